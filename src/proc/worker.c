/*
 * The worker: an event loop with the HTTP server and the connections to the database, and a few threads for what must
 * not block it.
 *
 * Runs in a child of the master (proc/child_kinds.c) with the listener it inherited. The loop and everything on it is
 * made here, after the fork: an epoll descriptor from before would be shared with the other workers. Signals come
 * through a signalfd and time through a timerfd of the monotonic clock; libh2o's own timers follow the wall clock,
 * which can be set.
 *
 *   start   everything is made; it serves once the database is connected, or after a few seconds without it (requests
 * then get 503) TERM    stops accepting, finishes what is in flight (server.shutdown_timeout), leaves; a second one: at
 * once USR1    opens the log again master  its pipe ends when it died: stops accepting at once, finishes briefly,
 * leaves
 */
#include "proc/worker.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <h2o.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "api/health.h"
#include "api/routes.h"
#include "auth/sealing.h"
#include "blob/store.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/work_pool.h"
#include "db/pool.h"
#include "db/session.h"
#include "http/request.h"
#include "http/server.h"
#include "proc/heritage.h"
#include "proc/signals.h"

#define READY_WITHOUT_DATABASE_MS 3000
#define ORPHAN_DRAIN_MS 2000
#define TICK_MS 1000
#define TICK_DRAINING_MS 100
#define FILE_THREADS (2 + BLOB_WRITERS_MOST) /* the second number may wait for the disk */
#define SYNC_THREADS 4                       /* each may wait for the disk, and should not hold the others */
#define SYNC_QUEUE 1024
#define READ_THREADS 4  /* the same */
#define READ_QUEUE 256  /* more downloads that want to begin get a 503 */
#define SMTP_QUEUE 2    /* an admin's tests of the SMTP settings: seldom, and up to 20 s each */
#define HASHING_NICE 10 /* a password takes 0.2 s; requests go first */
#define WATCHED_MOST 8
#define SPARE_DESCRIPTORS 256 /* beside client connections: database, files of blobs, the loop's own */

enum worker_state { WORKER_STARTING, WORKER_SERVING, WORKER_DRAINING, WORKER_LEAVING };

static const char *const state_names[] = {"starting", "serving", "draining", "leaving"};

struct worker {
    struct heritage *heritage;
    const struct config *config;
    h2o_loop_t *loop;
    struct http_context context;
    struct http_server *server;
    enum worker_state state;
    uint64_t started, deadline; /* clock_mono_ms(); deadline of the draining */
    int signals, timer;
    h2o_socket_t *watched[WATCHED_MOST];
    unsigned watched_count;
};

static void set_state(struct worker *worker, enum worker_state state)
{
    log_debug("worker: %s -> %s", state_names[worker->state], state_names[state]);
    worker->state = state;
}

/* As many descriptors as the system lets us have; returns the connections that they are enough for. */
static unsigned raise_descriptors(unsigned wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    rlim_t need = (rlim_t)wanted + SPARE_DESCRIPTORS;
    if (limit.rlim_cur < need) {
        limit.rlim_cur = need < limit.rlim_max ? need : limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= need)
        return wanted;
    unsigned most = limit.rlim_cur > 2 * SPARE_DESCRIPTORS ? (unsigned)limit.rlim_cur - SPARE_DESCRIPTORS
                                                           : (unsigned)limit.rlim_cur / 2;
    log_warning("the limit of %llu open files is enough for %u connections only; raise it (LimitNOFILE=, ulimit -n) or "
                "lower http.max_connections",
                (unsigned long long)limit.rlim_cur, most);
    return most;
}

/* Tells the loop of a descriptor that is not libh2o's to read; it gets a duplicate, because libh2o closes what it has.
 */
static bool watch(struct worker *worker, int fd, void *data, h2o_socket_cb readable)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) {
        log_error("cannot duplicate a descriptor: %s", strerror(errno));
        return false;
    }
    h2o_socket_t *socket = h2o_evloop_socket_create(worker->loop, copy, H2O_SOCKET_FLAG_DONT_READ);
    socket->data = data;
    h2o_socket_read_start(socket, readable);
    assert(worker->watched_count < WATCHED_MOST);
    worker->watched[worker->watched_count++] = socket;
    return true;
}

static void on_work(h2o_socket_t *socket, const char *error)
{
    (void)error;
    work_pool_reap(socket->data);
}

static bool tick_every(struct worker *worker, long milliseconds)
{
    struct timespec interval = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
    struct itimerspec timer = {.it_interval = interval, .it_value = interval};
    if (timerfd_settime(worker->timer, 0, &timer, NULL) == 0)
        return true;
    log_error("cannot set a timer: %s", strerror(errno));
    return false;
}

static void drain(struct worker *worker, int64_t milliseconds)
{
    if (worker->state == WORKER_STARTING || worker->state == WORKER_SERVING) {
        set_state(worker, WORKER_DRAINING);
        http_server_drain(worker->server);
        if (!tick_every(worker, TICK_DRAINING_MS))
            set_state(worker, WORKER_LEAVING);
    }
    worker->deadline = clock_mono_ms() + (uint64_t)milliseconds;
}

static void on_term(struct worker *worker)
{
    if (worker->state == WORKER_DRAINING)
        set_state(worker, WORKER_LEAVING); /* the second one */
    else
        drain(worker, worker->config->server_shutdown_timeout);
}

static void reopen_log(void)
{
    struct strbuf error = STRBUF_INIT;
    if (!log_reopen(&error))
        log_error("%s", error.data);
    strbuf_release(&error);
}

/* INT is not ours: a terminal sends it to master and children alike, and the master then sends TERM; both would be two.
 */
static void on_signal(h2o_socket_t *socket, const char *error)
{
    struct worker *worker = socket->data;
    int number;
    (void)error;
    while ((number = signals_next(worker->signals)) != 0) {
        if (number == SIGTERM)
            on_term(worker);
        else if (number == SIGUSR1)
            reopen_log();
    }
}

static void on_master(h2o_socket_t *socket, const char *error)
{
    struct worker *worker = socket->data;
    (void)error;
    if (!heritage_orphaned(worker->heritage))
        return;
    log_warning("the master is gone; leaving");
    h2o_socket_read_stop(socket); /* the end of file stays readable for ever */
    drain(worker, ORPHAN_DRAIN_MS);
}

static void serve(struct worker *worker)
{
    if (!db_pool_connected(worker->context.db))
        log_warning("no connection to the database yet; requests that need it get a 503 until there is one");
    set_state(worker, WORKER_SERVING);
    http_server_listen(worker->server);
    heritage_ready(worker->heritage);
    (void)tick_every(worker, TICK_MS);
}

/* Called at each turn of the loop. */
static void advance(struct worker *worker)
{
    uint64_t now;
    switch (worker->state) {
    case WORKER_STARTING:
        if (db_pool_connected(worker->context.db) || clock_mono_ms() - worker->started >= READY_WITHOUT_DATABASE_MS)
            serve(worker);
        break;
    case WORKER_DRAINING:
        now = clock_mono_ms();
        if (http_server_connections(worker->server) == 0) {
            set_state(worker, WORKER_LEAVING);
        } else if (now >= worker->deadline) {
            log_warning("%u connections are cut: they did not end in time", http_server_connections(worker->server));
            set_state(worker, WORKER_LEAVING);
        }
        break;
    case WORKER_SERVING:
    case WORKER_LEAVING:
        break;
    }
}

static void on_tick(h2o_socket_t *socket, const char *error)
{
    struct worker *worker = socket->data;
    uint64_t ticks;
    (void)error;
    if (read(worker->timer, &ticks, sizeof(ticks)) == sizeof(ticks))
        http_server_sweep(worker->server);
}

/* Without the key all goes on but the SMTP password that admins stored. */
static void open_sealing(struct http_context *context)
{
    struct strbuf reason = STRBUF_INIT;
    if (!sealing_open(&context->sealing, context->config->data, &reason))
        log_warning("an SMTP password can neither be stored nor used: %s", reason.data);
    strbuf_release(&reason);
}

static bool make_context(struct worker *worker, struct strbuf *error)
{
    struct http_context *context = &worker->context;
    const struct config *config = worker->config;
    context->config = config;
    context->started = worker->heritage->started;
    context->blobs = blob_store_open(config->data, error);
    if (context->blobs == NULL)
        return false;
    open_sealing(context);
    char *conninfo = db_conninfo(config);
    context->db = db_pool_new(worker->loop, config, conninfo, error);
    mem_wipe(conninfo, strlen(conninfo));
    free(conninfo);
    if (context->db == NULL)
        return false;
    context->hashing =
        work_pool_new("hashing", (unsigned)config->password_threads, (unsigned)config->password_queue, HASHING_NICE);
    /* one work of each upload waits at most, so that they take turns */
    context->files = work_pool_new("files", FILE_THREADS, (unsigned)config->http_max_uploads, 0);
    context->syncing = work_pool_new("syncing", SYNC_THREADS, SYNC_QUEUE, 0);
    context->reading = work_pool_new("reading", READ_THREADS, READ_QUEUE, 0);
    context->smtp = work_pool_new("smtp", 1, SMTP_QUEUE, 0);
    context->health = health_new(worker->loop, context);
    return true;
}

static bool make_server(struct worker *worker, struct strbuf *error)
{
    unsigned most = raise_descriptors((unsigned)worker->config->http_max_connections);
    worker->server =
        http_server_new(worker->loop, &worker->context, &api_routes, worker->heritage->listener, most, error);
    return worker->server != NULL;
}

static bool watch_all(struct worker *worker)
{
    return watch(worker, worker->signals, worker, on_signal) && watch(worker, worker->timer, worker, on_tick) &&
           watch(worker, worker->heritage->master, worker, on_master) &&
           watch(worker, work_pool_fd(worker->context.hashing), worker->context.hashing, on_work) &&
           watch(worker, work_pool_fd(worker->context.files), worker->context.files, on_work) &&
           watch(worker, work_pool_fd(worker->context.syncing), worker->context.syncing, on_work) &&
           watch(worker, work_pool_fd(worker->context.reading), worker->context.reading, on_work) &&
           watch(worker, work_pool_fd(worker->context.smtp), worker->context.smtp, on_work) &&
           tick_every(worker, TICK_DRAINING_MS);
}

static bool start(struct worker *worker, struct strbuf *error)
{
    signal(SIGPIPE, SIG_IGN); /* libh2o writes with writev() */
    worker->started = clock_mono_ms();
    worker->signals = signals_open(error); /* before there are threads, which inherit the mask */
    if (worker->signals < 0)
        return false;
    worker->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (worker->timer < 0)
        return strbuf_error(error, "cannot make a timer: %s", strerror(errno));
    worker->loop = h2o_evloop_create();
    if (!make_context(worker, error) || !make_server(worker, error))
        return false;
    return watch_all(worker) || strbuf_error(error, "cannot watch all descriptors");
}

/* False when the loop is broken: after a failed epoll_ctl() it may be deaf for new sockets for ever. */
static bool run(struct worker *worker)
{
    while (worker->state != WORKER_LEAVING) {
        if (h2o_evloop_run(worker->loop, INT32_MAX) != 0 && errno != EINTR) {
            log_error("the event loop failed: %s; leaving, so that the master starts another worker", strerror(errno));
            return false;
        }
        advance(worker);
        log_flush();
    }
    return true;
}

/* Nobody waits for anything any more. */
static void finish(struct worker *worker)
{
    health_free(&worker->context.health);
    db_pool_free(&worker->context.db);
    work_pool_free(&worker->context.hashing);
    work_pool_free(&worker->context.files);
    work_pool_free(&worker->context.syncing);
    work_pool_free(&worker->context.reading);
    work_pool_free(&worker->context.smtp);
    sealing_free(&worker->context.sealing);
    blob_store_close(&worker->context.blobs);
    log_flush();
}

int worker_main(struct heritage *heritage)
{
    static struct worker worker; /* reachable from callbacks till the end of the process */
    struct strbuf error = STRBUF_INIT;
    worker.heritage = heritage;
    worker.config = heritage->config;
    if (!start(&worker, &error)) {
        log_error("%s", error.data);
        strbuf_release(&error);
        return 1;
    }
    bool orderly = run(&worker);
    /* at once: threads and statements may take their time, and a test of SMTP settings, whose admin has gone, 20 s */
    if (!orderly || http_server_connections(worker.server) > 0 || work_pool_depth(worker.context.smtp) > 0) {
        log_flush();
        _exit(orderly ? 0 : 1);
    }
    finish(&worker);
    return 0;
}
