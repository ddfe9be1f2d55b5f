/*
 * The life of a request, in a worker.
 *
 * http_request_new() makes the object and a guard in libh2o's pool. The guard holds one reference; so does each
 * database query, thread and waiter. libh2o's request ends in two ways: the answer was sent, or the connection broke
 * while it was sent; either way its pool is cleared and the guard's dispose function lets go. Answering takes the
 * h2o_req_t out of the object at once (http_request_take), because behind the last h2o_send() the same address is the
 * next request of that connection: what comes late finds NULL and cannot answer a stranger.
 *
 * The states and who moves between them:
 *   RUNNING -> QUERY (request_query.c) -> RUNNING     RUNNING -> WORK, WAIT (here) -> RUNNING
 *   RUNNING -> BODY (body.c) -> RUNNING
 *   RUNNING, QUERY, WAIT, BODY -> ANSWERED (reply.c; from the sweep when the time is over)      any -> DEAD (guard)
 */
#include "http/request_private.h"

#include <assert.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/work_pool.h"
#include "http/reply.h"

struct http_guard {
    struct http_request *request;
};

struct http_request_end {
    struct http_request_end *next;
    void (*end)(void *data);
    void *data;
};

struct http_waiter {
    struct http_request *request;
    void (*then)(struct http_request *request);
};

struct request_work {
    struct work work;
    struct work_pool *pool;
    struct http_request *request;
    void *data;
    void (*run)(void *data);
    http_work_step *step;
};

static const char *const state_names[] = {
    [HTTP_REQUEST_RUNNING] = "running", [HTTP_REQUEST_QUERY] = "query", [HTTP_REQUEST_WORK] = "work",
    [HTTP_REQUEST_WAIT] = "wait",       [HTTP_REQUEST_BODY] = "body",   [HTTP_REQUEST_ANSWERED] = "answered",
    [HTTP_REQUEST_DEAD] = "dead",
};

static bool is_waiting(enum http_request_state state)
{
    return state == HTTP_REQUEST_QUERY || state == HTTP_REQUEST_WORK || state == HTTP_REQUEST_WAIT ||
           state == HTTP_REQUEST_BODY;
}

void http_request_set_state(struct http_request *request, enum http_request_state state)
{
    enum http_request_state old = request->state;
    assert(old != HTTP_REQUEST_ANSWERED && old != HTTP_REQUEST_DEAD); /* the end */
    assert(!is_waiting(state) || old == HTTP_REQUEST_RUNNING);
    assert(state != HTTP_REQUEST_ANSWERED || old != HTTP_REQUEST_WORK); /* the thread reads the body */
    log_debug("request %s: %s -> %s", request->id, state_names[old], state_names[state]);
    if (is_waiting(old))
        h2o_linklist_unlink(&request->waiting);
    if (is_waiting(state))
        h2o_linklist_insert(&request->server->waiting, &request->waiting);
    request->state = state;
}

bool http_request_alive(const struct http_request *request)
{
    return request->h2o != NULL;
}

static void guard_dispose(void *p)
{
    struct http_request *request = ((struct http_guard *)p)->request;
    request->guard = NULL;
    request->connection->request = NULL;
    request->connection = NULL;
    if (http_request_alive(request)) {
        http_request_cancel_query(request);
        http_request_set_state(request, HTTP_REQUEST_DEAD);
        request->h2o = NULL;
    }
    http_request_release(request);
}

struct http_request *http_request_new(struct http_server *server, struct http_connection *connection, h2o_req_t *req)
{
    struct http_request *request = mem_zalloc(sizeof(*request));
    h2o_mem_init_pool(&request->pool);
    strbuf_init(&request->reply);
    request->references = 1;
    request->h2o = req;
    request->server = server;
    request->context = server->context;
    request->connection = connection;
    request->started = clock_mono_ms();
    request->deadline = request->started + (uint64_t)request->context->config->http_request_timeout;
    request->head_only = h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD"));
    http_server_make_id(server, request->id);
    request->guard = h2o_mem_alloc_shared(&req->pool, sizeof(*request->guard), guard_dispose);
    request->guard->request = request;
    connection->request = request;
    http_request_find_address(request);
    return request;
}

void http_request_reference(struct http_request *request)
{
    ++request->references;
}

static void run_ends(struct http_request *request)
{
    while (request->ends != NULL) {
        struct http_request_end *end = request->ends;
        request->ends = end->next;
        end->end(end->data);
    }
}

void http_request_release(struct http_request *request)
{
    assert(request->references > 0);
    if (--request->references > 0)
        return;
    assert(request->guard == NULL && !is_waiting(request->state));
    run_ends(request);
    if (request->body != NULL)
        http_body_release(request->body);
    if (request->json != NULL)
        json_object_put(request->json);
    request->server->unsent -= request->reply.capacity;
    strbuf_release(&request->reply);
    h2o_mem_clear_pool(&request->pool);
    free(request);
}

h2o_req_t *http_request_take(struct http_request *request, int status)
{
    h2o_req_t *req = request->h2o;
    assert(req != NULL); /* answered twice, or dead */
    http_request_cancel_query(request);
    http_request_set_state(request, HTTP_REQUEST_ANSWERED);
    request->h2o = NULL;
    request->status = status;
    return req;
}

static bool body_comes_in(const struct http_request *request)
{
    return request->state == HTTP_REQUEST_BODY && !http_body_complete(request->body);
}

/* Late, and nothing but we will ever answer it. A request in a thread is looked at when the thread has finished, or at
 * once when none has begun with it. */
static bool is_late(const struct http_request *request, uint64_t now)
{
    if (body_comes_in(request))
        return http_body_stalled(request->body, now);
    if (now < request->deadline)
        return false;
    if (request->state != HTTP_REQUEST_WORK)
        return true;
    work_pool_skip(request->work->pool, &request->work->work);
    return false;
}

static struct http_request *find_late(struct http_server *server, uint64_t now)
{
    for (h2o_linklist_t *node = server->waiting.next; node != &server->waiting; node = node->next) {
        struct http_request *request = H2O_STRUCT_FROM_MEMBER(struct http_request, waiting, node);
        if (is_late(request, now))
            return request;
    }
    return NULL;
}

static void answer_late(struct http_request *request)
{
    if (body_comes_in(request)) {
        reply_error(request, ERROR_REQUEST_TIMEOUT);
        return;
    }
    log_warning("request %s: no result within %lld ms; it got a 503", request->id,
                (long long)request->context->config->http_request_timeout);
    reply_retry_after(request, ERROR_UNAVAILABLE, 2);
}

void http_request_sweep(struct http_server *server)
{
    uint64_t now = clock_mono_ms();
    struct http_request *request;
    /* From the start each time: an answer may let the next request of its connection in. */
    while ((request = find_late(server, now)) != NULL)
        answer_late(request);
}

static void work_run(struct work *work)
{
    struct request_work *w = H2O_STRUCT_FROM_MEMBER(struct request_work, work, work);
    w->run(w->data);
}

static void work_done(struct work *work)
{
    struct request_work *w = H2O_STRUCT_FROM_MEMBER(struct request_work, work, work);
    struct http_request *request = w->request;
    if (http_request_alive(request)) {
        http_request_set_state(request, HTTP_REQUEST_RUNNING);
        if (clock_mono_ms() >= request->deadline)
            answer_late(request);
        else
            w->step(request, w->data);
    }
    http_request_release(request);
}

void http_request_work(struct http_request *request, struct work_pool *pool, void *data, void (*run)(void *data),
                       http_work_step *step)
{
    struct request_work *w = http_request_alloc(request, sizeof(*w));
    w->work.run = work_run;
    w->work.done = work_done;
    w->pool = pool;
    w->request = request;
    w->data = data;
    w->run = run;
    w->step = step;
    request->work = w;
    http_request_reference(request);
    http_request_set_state(request, HTTP_REQUEST_WORK);
    if (work_pool_submit(pool, &w->work))
        return;
    http_request_set_state(request, HTTP_REQUEST_RUNNING);
    reply_retry_after(request, ERROR_UNAVAILABLE, 2);
    http_request_release(request);
}

struct http_waiter *http_request_wait(struct http_request *request, void (*then)(struct http_request *request))
{
    struct http_waiter *waiter = mem_zalloc(sizeof(*waiter));
    waiter->request = request;
    waiter->then = then;
    http_request_reference(request);
    http_request_set_state(request, HTTP_REQUEST_WAIT);
    return waiter;
}

void http_waiter_wake(struct http_waiter **waiter)
{
    struct http_waiter w = **waiter;
    free(*waiter);
    *waiter = NULL;
    if (http_request_alive(w.request)) {
        http_request_set_state(w.request, HTTP_REQUEST_RUNNING);
        w.then(w.request);
    }
    http_request_release(w.request);
}

void *http_request_alloc(struct http_request *request, size_t size)
{
    void *p = h2o_mem_alloc_pool(&request->pool, size);
    memset(p, 0, size);
    return p;
}

char *http_request_strdup(struct http_request *request, const char *s, size_t len)
{
    char *copy = h2o_mem_alloc_pool(&request->pool, len + 1);
    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

void http_request_set_data(struct http_request *request, void *data)
{
    request->data = data;
}

void *http_request_data(const struct http_request *request)
{
    return request->data;
}

void http_request_on_end(struct http_request *request, void (*end)(void *data), void *data)
{
    struct http_request_end *e = http_request_alloc(request, sizeof(*e));
    e->end = end;
    e->data = data;
    e->next = request->ends;
    request->ends = e;
}

const struct http_context *http_request_context(const struct http_request *request)
{
    return request->context;
}

const struct config *http_request_config(const struct http_request *request)
{
    return request->context->config;
}

const char *http_request_id(const struct http_request *request)
{
    return request->id;
}

const char *http_request_user(const struct http_request *request)
{
    return request->user;
}

void http_request_set_user(struct http_request *request, const char *name)
{
    request->user = http_request_strdup(request, name, strlen(name));
}

const char *http_request_session(const struct http_request *request)
{
    return request->session;
}
