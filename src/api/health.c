/*
 * GET /api/v1/health and /readyz, in a worker: is the database reachable, is the blob store writable? The answer is
 * kept as bytes and is at most a second old. The steps:
 *
 *   health_get   answer from the kept bytes; when they get old start a check ahead of time, too old: wait for it
 *   check_begin  one statement, and one small file in a thread; a timer bounds both
 *   check_end    both are there or the time is over: new bytes, wake who waits
 *
 * However many ask, one check runs. The store is tried in a thread of health's own: the worker's file threads may be
 * busy for seconds with large uploads, which is no reason to be called out of order.
 */
#include "api/health.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "api/handlers.h"
#include "blob/store.h"
#include "core/clock.h"
#include "core/json_write.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/version.h"
#include "core/work_pool.h"
#include "db/params.h"
#include "db/pool.h"
#include "db/result.h"
#include "http/reply.h"
#include "http/request.h"

#define FRESH_MS 500    /* younger: no check is due */
#define MAX_AGE_MS 1000 /* older: not told to anybody */
#define CHECK_MS 2000   /* a check that takes longer has failed */

struct waiting {
    struct http_waiter *waiter;
    struct waiting *next;
};

struct health {
    const struct http_context *context;
    struct work_pool *thread;
    h2o_socket_t *thread_done, *timer;
    int timer_fd;
    struct work storage; /* the try of the blob store */
    bool storage_running, storage_result;
    bool writable; /* result of the last try that ended */
    struct db_query *query;
    bool reachable;
    int64_t schema_version; /* last one seen */
    bool checking;
    uint64_t checked_at; /* clock_mono_ms(); 0: never */
    int status;
    struct strbuf body;
    struct waiting *waiting;
};

static void health_write(struct health *h)
{
    struct strbuf *body = &h->body;
    char now[CLOCK_RFC3339_SIZE];
    bool ok = h->reachable && h->writable;

    clock_rfc3339(time(NULL), now);
    h->status = ok ? 200 : 503;
    strbuf_reset(body);
    strbuf_append_char(body, '{');
    json_write_member(body, "status", ok ? "ok" : "degraded");
    strbuf_append_char(body, ',');
    json_write_member(body, "version", VERSION_TEXT);
    strbuf_append_char(body, ',');
    json_write_member(body, "build_commit", VERSION_COMMIT);
    strbuf_printf(body, ",\"uptime_seconds\":%lld", (long long)((clock_mono_ms() - h->context->started) / 1000));
    strbuf_printf(body, ",\"database_reachable\":%s", h->reachable ? "true" : "false");
    strbuf_printf(body, ",\"blob_storage_writable\":%s", h->writable ? "true" : "false");
    strbuf_printf(body, ",\"schema_version\":%lld,", (long long)h->schema_version);
    json_write_member(body, "server_time", now);
    strbuf_append_char(body, ',');
    json_write_member(body, "time", now);
    strbuf_append_char(body, '}');
}

static void set_timer(struct health *h, unsigned ms)
{
    struct itimerspec when = {.it_value = {ms / 1000, (long)(ms % 1000) * 1000000}};
    timerfd_settime(h->timer_fd, 0, &when, NULL);
}

static void check_end(struct health *h)
{
    struct waiting *waiting = h->waiting;

    set_timer(h, 0);
    if (h->query != NULL)
        db_pool_cancel(&h->query);
    h->checking = false;
    h->checked_at = clock_mono_ms();
    health_write(h);
    h->waiting = NULL;
    while (waiting != NULL) {
        struct waiting *next = waiting->next;
        http_waiter_wake(&waiting->waiter);
        free(waiting);
        waiting = next;
    }
}

static void check_progress(struct health *h)
{
    if (h->checking && h->query == NULL && !h->storage_running)
        check_end(h);
}

static void database_answered(void *arg, const struct db_result *result)
{
    struct health *h = arg;
    h->query = NULL;
    h->reachable = result->outcome == DB_OK && db_result_rows(result) == 1;
    if (h->reachable)
        h->schema_version = db_result_int(result, 0, 0);
    check_progress(h);
}

static void storage_try(struct work *work)
{
    struct health *h = (struct health *)((char *)work - offsetof(struct health, storage));
    h->storage_result = blob_store_writable(h->context->blobs);
}

static void storage_tried(struct work *work)
{
    struct health *h = (struct health *)((char *)work - offsetof(struct health, storage));
    h->storage_running = false;
    h->writable = h->storage_result;
    check_progress(h);
}

static void time_over(h2o_socket_t *socket, const char *error UNUSED)
{
    struct health *h = socket->data;
    uint64_t expired;
    if (read(h->timer_fd, &expired, sizeof(expired)) != sizeof(expired) || !h->checking)
        return;
    if (h->query != NULL)
        h->reachable = false;
    if (h->storage_running)
        h->writable = false;
    check_end(h);
}

static void threads_done(h2o_socket_t *socket, const char *error UNUSED)
{
    struct health *h = socket->data;
    work_pool_reap(h->thread);
}

static void check_begin(struct health *h)
{
    struct db_params params;

    h->checking = true;
    set_timer(h, CHECK_MS);
    db_params_init(&params);
    h->query = db_pool_submit(h->context->db, STMT_HEALTH, &params, clock_mono_ms() + CHECK_MS, database_answered, h);
    /* One that hangs since an earlier check is waited for again: a second thread would hang beside it. */
    if (!h->storage_running) {
        h->storage.run = storage_try;
        h->storage.done = storage_tried;
        h->storage_running = work_pool_submit(h->thread, &h->storage);
    }
}

static void health_reply(struct http_request *request)
{
    const struct health *h = http_request_context(request)->health;
    struct strbuf body = STRBUF_INIT;
    strbuf_append(&body, h->body.data, h->body.len);
    if (h->status == 503)
        reply_header(request, "retry-after", "2");
    reply_json(request, h->status, &body);
}

void health_get(struct http_request *request)
{
    struct health *h = http_request_context(request)->health;
    uint64_t age = clock_mono_ms() - h->checked_at;
    bool known = h->checked_at != 0 && age < MAX_AGE_MS;

    if (!h->checking && (!known || age >= FRESH_MS))
        check_begin(h);
    if (known) {
        health_reply(request);
        return;
    }
    struct waiting *waiting = mem_alloc(sizeof(*waiting));
    waiting->waiter = http_request_wait(request, health_reply);
    waiting->next = h->waiting;
    h->waiting = waiting;
}

void health_livez(struct http_request *request)
{
    reply_status(request, "ok");
}

/* The loop closes the descriptor that it is given, so it gets one of its own. */
static h2o_socket_t *watch(struct health *h, h2o_loop_t *loop, int fd, h2o_socket_cb cb)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) {
        log_error("cannot duplicate a descriptor for the health check: raise the limit of open files");
        exit(1);
    }
    h2o_socket_t *socket = h2o_evloop_socket_create(loop, own, H2O_SOCKET_FLAG_DONT_READ);
    socket->data = h;
    h2o_socket_read_start(socket, cb);
    return socket;
}

struct health *health_new(h2o_loop_t *loop, const struct http_context *context)
{
    struct health *h = mem_zalloc(sizeof(*h));
    h->context = context;
    strbuf_init(&h->body);
    h->thread = work_pool_new("health", 1, 1, 0);
    h->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (h->timer_fd < 0) {
        log_error("cannot make a timer for the health check: raise the limit of open files");
        exit(1);
    }
    h->thread_done = watch(h, loop, work_pool_fd(h->thread), threads_done);
    h->timer = watch(h, loop, h->timer_fd, time_over);
    return h;
}

void health_free(struct health **health)
{
    struct health *h = *health;
    if (h == NULL)
        return;
    *health = NULL;
    h2o_socket_close(h->timer);
    h2o_socket_close(h->thread_done);
    close(h->timer_fd);
    if (h->query != NULL)
        db_pool_cancel(&h->query);
    work_pool_free(&h->thread);
    strbuf_release(&h->body);
    free(h);
}
