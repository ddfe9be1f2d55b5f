/*
 * db_conn: one connection of a worker to PostgreSQL, on the worker's loop. Made and freed by db/pool.c, which also
 * calls conn_tick().
 *
 *   OFFLINE → (RESOLVING →) CONNECTING, one endpoint after the other → IDLE ⇄ BUSY → OFFLINE …
 *
 * A round goes through all endpoints, from the one that worked last; when none takes us there is a pause of 100 ms,
 * doubled up to 2 s. The pause is over with a connection that held for a second.
 */
#include "db/conn.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "db/cancel.h"
#include "db/message.h"
#include "db/pool_private.h"
#include "db/wire.h"

#define PAUSE_MIN 100
#define PAUSE_MAX 2000
#define HELD_LONG 1000      /* a connection that lasted so long starts over with the shortest pause */
#define RESOLVED_FRESH 1000 /* names are not looked up again for so long */
#define SERVER_GRACE 1000   /* what the server's statement_timeout gets on top, to answer before we give up */
#define OLDEST_SERVER 130000

#define MOVE(state) (1u << (state))

static const struct {
    const char *name;
    unsigned next; /* states that it may go to */
} conn_states[CONN_STATE_COUNT] = {
    [CONN_OFFLINE] = {"offline", MOVE(CONN_RESOLVING) | MOVE(CONN_CONNECTING)},
    [CONN_RESOLVING] = {"resolving", MOVE(CONN_CONNECTING) | MOVE(CONN_OFFLINE)},
    [CONN_CONNECTING] = {"connecting", MOVE(CONN_CONNECTING) | MOVE(CONN_IDLE) | MOVE(CONN_OFFLINE)},
    [CONN_IDLE] = {"idle", MOVE(CONN_BUSY) | MOVE(CONN_OFFLINE)},
    [CONN_BUSY] = {"busy", MOVE(CONN_BUSY) | MOVE(CONN_IDLE) | MOVE(CONN_OFFLINE)},
};

static void conn_connect_next(struct db_conn *conn);

static void conn_set_state(struct db_conn *conn, enum db_conn_state state)
{
    assert(conn_states[conn->state].next & MOVE(state));
    if (conn->state != state)
        log_debug("database connection %s %u: %s -> %s", conn->lane->name, conn->index, conn_states[conn->state].name,
                  conn_states[state].name);
    conn->state = state;
}

bool conn_usable(const struct db_conn *conn)
{
    return (conn->state == CONN_IDLE || conn->state == CONN_BUSY) && !conn->failed;
}

bool conn_free(const struct db_conn *conn)
{
    return conn_usable(conn) && conn->retire == NULL && conn->running_count < conn->lane->depth;
}

void conn_set_busy(struct db_conn *conn, bool busy)
{
    conn_set_state(conn, busy ? CONN_BUSY : CONN_IDLE);
    if (!busy && conn->retire != NULL)
        pool_tick_soon(conn->lane->pool);
}

void conn_init(struct db_conn *conn, struct db_pool_lane *lane, unsigned index)
{
    memset(conn, 0, sizeof(*conn));
    conn->lane = lane;
    conn->index = index;
    conn->pause = PAUSE_MIN;
    h2o_linklist_init_anchor(&conn->running);
    strbuf_init(&conn->notice);
}

/* First the dup that libh2o watches, then libpq's own descriptor: the other way round epoll would be asked about a
 * closed one. */
static void conn_close(struct db_conn *conn)
{
    if (conn->sock != NULL)
        h2o_socket_close(conn->sock);
    conn->sock = NULL;
    conn->sock_ino = 0;
    PQfinish(conn->pg);
    conn->pg = NULL;
    db_endpoints_drop(&conn->endpoints);
    memset(conn->prepared, 0, sizeof(conn->prepared));
    conn->failed = false;
    conn->retire = NULL;
    strbuf_reset(&conn->notice);
}

/* Ends a round of connecting or a connection; the next attempt comes after the pause. */
static void conn_go_offline(struct db_conn *conn, uint64_t pause)
{
    conn_close(conn);
    conn_set_state(conn, CONN_OFFLINE);
    conn->deadline = clock_mono_ms() + pause;
    pool_tick_on(conn->lane->pool);
}

static void conn_round_failed(struct db_conn *conn)
{
    uint64_t pause = conn->pause;
    conn->pause = pause * 2 > PAUSE_MAX ? PAUSE_MAX : pause * 2;
    conn_go_offline(conn, pause);
}

static void conn_fail_running(struct db_conn *conn, const char *reason)
{
    struct db_pool *pool = conn->lane->pool;
    enum db_outcome outcome = conn->lane == &pool->lanes[DB_LANE_WORK] ? DB_UNKNOWN : DB_UNAVAILABLE;
    while (!h2o_linklist_is_empty(&conn->running)) {
        struct db_query *q = H2O_STRUCT_FROM_MEMBER(struct db_query, link, conn->running.next);
        h2o_linklist_unlink(&q->link);
        pool_fail(pool, q, outcome, reason);
    }
    conn->running_count = 0;
}

void conn_lost(struct db_conn *conn, const char *reason)
{
    assert(conn->state == CONN_IDLE || conn->state == CONN_BUSY);
    struct db_pool *pool = conn->lane->pool;
    char *kept = mem_strdup(reason); /* it may be in what is closed */
    conn_fail_running(conn, kept);
    bool held = clock_mono_ms() - conn->connected_at >= HELD_LONG;
    if (held)
        conn->pause = PAUSE_MIN;
    /* At once when it held; else the server throws us out again and again. */
    if (held)
        conn_go_offline(conn, 0);
    else
        conn_round_failed(conn);
    pool_on_lost(pool, kept);
    free(kept);
}

void conn_retire(struct db_conn *conn, const char *reason)
{
    conn->retire = reason;
    if (conn->running_count == 0)
        pool_tick_soon(conn->lane->pool);
}

/* What the log should say: the server's last words, or libpq's. */
static void conn_lost_by_error(struct db_conn *conn)
{
    struct strbuf reason = STRBUF_INIT;
    const struct db_query *head =
        conn->running_count == 0 ? NULL : H2O_STRUCT_FROM_MEMBER(struct db_query, link, conn->running.next);
    const char *last = head == NULL ? NULL : PQresultErrorField(head->error, PG_DIAG_MESSAGE_PRIMARY);
    if (last != NULL)
        message_first_line(&reason, last);
    else if (conn->notice.len > 0)
        message_first_line(&reason, conn->notice.data);
    else
        message_first_line(&reason, PQerrorMessage(conn->pg));
    conn_lost(conn, reason.len > 0 ? reason.data : "the connection broke");
    strbuf_release(&reason);
}

/* The endpoint did not take us: the next one, or the pause. */
static void conn_attempt_failed(struct db_conn *conn, const char *reason)
{
    struct db_pool *pool = conn->lane->pool;
    log_debug("database connection %s %u: attempt failed: %s", conn->lane->name, conn->index, reason);
    strbuf_reset(&pool->reason);
    message_first_line(&pool->reason, reason);
    if (conn->sock != NULL)
        h2o_socket_close(conn->sock);
    conn->sock = NULL;
    conn->sock_ino = 0;
    PQfinish(conn->pg);
    conn->pg = NULL;
    conn->tried++;
    conn->endpoint = (conn->endpoint + 1) % conn->endpoints->count;
    if (conn->tried < conn->endpoints->count)
        conn_connect_next(conn);
    else
        conn_round_failed(conn);
}

static void conn_on_writable(h2o_socket_t *sock, const char *failure);
static void conn_on_readable(h2o_socket_t *sock, const char *failure);

static void conn_want_write(struct db_conn *conn)
{
    /* libh2o aborts when a second one is asked for */
    if (!h2o_socket_is_writing(conn->sock))
        h2o_socket_notify_write(conn->sock, conn_on_writable);
}

/* Watches the socket that libpq uses now. False without a descriptor. */
static bool conn_watch(struct db_conn *conn)
{
    struct stat st;
    int fd = PQsocket(conn->pg);
    if (fd < 0 || fstat(fd, &st) != 0)
        return false;
    if (conn->sock != NULL && conn->sock_ino == st.st_ino)
        return true;
    if (conn->sock != NULL)
        h2o_socket_close(conn->sock);
    conn->sock = NULL;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return false;
    conn->sock = h2o_evloop_socket_create(conn->lane->pool->loop, copy, H2O_SOCKET_FLAG_DONT_READ);
    conn->sock->data = conn;
    conn->sock_ino = st.st_ino;
    return true;
}

static void conn_connected(struct db_conn *conn)
{
    if (PQserverVersion(conn->pg) < OLDEST_SERVER) {
        conn_attempt_failed(conn, "the server is older than PostgreSQL 13; upgrade it");
        return;
    }
    if (PQsetnonblocking(conn->pg, 1) != 0 || !PQenterPipelineMode(conn->pg)) {
        conn_attempt_failed(conn, PQerrorMessage(conn->pg));
        return;
    }
    conn_set_state(conn, CONN_IDLE);
    conn->connected_at = clock_mono_ms();
    conn->deadline = 0;
    if (conn->was_connected)
        conn->lane->pool->stats.reconnects++;
    conn->was_connected = true;
    h2o_socket_read_start(conn->sock, conn_on_readable);
    pool_on_connected(conn);
}

static void conn_wait_connecting(struct db_conn *conn, PostgresPollingStatusType want)
{
    if (!conn_watch(conn)) {
        conn_attempt_failed(conn, "cannot watch the connection: out of file descriptors");
        return;
    }
    if (want == PGRES_POLLING_READING) {
        h2o_socket_read_start(conn->sock, conn_on_readable);
    } else {
        /* readable is level triggered: with nobody who reads the loop would spin */
        h2o_socket_read_stop(conn->sock);
        conn_want_write(conn);
    }
}

static void conn_poll(struct db_conn *conn)
{
    PostgresPollingStatusType status = PQconnectPoll(conn->pg);
    if (status == PGRES_POLLING_OK && conn_watch(conn))
        conn_connected(conn);
    else if (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING)
        conn_wait_connecting(conn, status);
    else
        conn_attempt_failed(conn, PQerrorMessage(conn->pg));
}

static void conn_on_readable(h2o_socket_t *sock, const char *failure)
{
    struct db_conn *conn = sock->data;
    (void)failure; /* libpq finds out itself */
    if (conn->state == CONN_CONNECTING)
        conn_poll(conn);
    else if (!wire_receive(conn))
        conn_lost_by_error(conn);
}

static void conn_on_writable(h2o_socket_t *sock, const char *failure)
{
    struct db_conn *conn = sock->data;
    (void)failure;
    if (conn->state == CONN_CONNECTING)
        conn_poll(conn);
    else if (!conn_flush(conn))
        conn_lost_by_error(conn);
}

bool conn_flush(struct db_conn *conn)
{
    int left = PQflush(conn->pg);
    if (left > 0)
        conn_want_write(conn);
    return left >= 0;
}

/* A FATAL that ends an idle connection comes as a notice. */
static void conn_on_notice(void *arg, const PGresult *result)
{
    struct db_conn *conn = arg;
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (message == NULL)
        return;
    log_debug("database connection %s %u: %s: %s", conn->lane->name, conn->index,
              severity == NULL ? "notice" : severity, message);
    if (severity == NULL || (strcmp(severity, "FATAL") != 0 && strcmp(severity, "PANIC") != 0))
        return;
    strbuf_reset(&conn->notice);
    strbuf_append_str(&conn->notice, message);
}

/* Starts at conn->endpoint. */
static void conn_connect_next(struct db_conn *conn)
{
    struct db_pool *pool = conn->lane->pool;
    struct db_connect_params params = db_conninfo_params(pool->conninfo, &conn->endpoints->items[conn->endpoint]);
    conn_set_state(conn, CONN_CONNECTING);
    conn->deadline = clock_mono_ms() + pool->connect_timeout;
    pool_tick_on(pool);
    conn->pg = PQconnectStartParams(params.keywords, params.values, 0);
    if (conn->pg == NULL) {
        conn_attempt_failed(conn, "out of memory");
        return;
    }
    PQsetNoticeReceiver(conn->pg, conn_on_notice, conn);
    if (PQstatus(conn->pg) == CONNECTION_BAD)
        conn_attempt_failed(conn, PQerrorMessage(conn->pg));
    else
        conn_wait_connecting(conn, PGRES_POLLING_WRITING);
}

static void conn_begin_round(struct db_conn *conn)
{
    struct db_pool *pool = conn->lane->pool;
    conn->endpoints = db_endpoints_share(pool->endpoints);
    conn->endpoint = pool->preferred % conn->endpoints->count;
    conn->tried = 0;
    conn_connect_next(conn);
}

static void conn_begin(struct db_conn *conn, uint64_t now)
{
    struct db_pool *pool = conn->lane->pool;
    if (pool->resolver == NULL || (pool->endpoints != NULL && now - pool->resolved_at < RESOLVED_FRESH)) {
        conn_begin_round(conn);
        return;
    }
    conn_set_state(conn, CONN_RESOLVING);
    conn->deadline = now + pool->connect_timeout;
    db_resolver_start(pool->resolver);
}

void conn_on_resolved(struct db_conn *conn, const char *reason)
{
    if (conn->state != CONN_RESOLVING)
        return;
    if (reason == NULL) {
        conn_begin_round(conn);
        return;
    }
    strbuf_reset(&conn->lane->pool->reason);
    message_first_line(&conn->lane->pool->reason, reason);
    conn_round_failed(conn);
}

void conn_hurry(struct db_conn *conn, uint64_t now)
{
    if (conn->state == CONN_OFFLINE && conn->deadline > now)
        conn->deadline = now;
}

/* The statement at the head has had the server for longer than it may: what holds it up is ended there, too, if that is
 * possible. */
static void conn_give_up_statement(struct db_conn *conn)
{
    const struct db_query *head = H2O_STRUCT_FROM_MEMBER(struct db_query, link, conn->running.next);
    char *reason = mem_printf("no answer to the statement '%s' in time (database.statement_timeout)", query_name(head));
    log_warning("giving up a database connection: %s", reason);
    /* as in conn_close(): libh2o's descriptor goes first */
    h2o_socket_close(conn->sock);
    conn->sock = NULL;
    db_cancel_finish(conn->pg);
    conn->pg = NULL;
    conn_lost(conn, reason);
    free(reason);
}

static void conn_tick_connected(struct db_conn *conn, uint64_t now)
{
    const struct db_pool *pool = conn->lane->pool;
    uint64_t limit = pool->statement_timeout + (pool->prepared ? SERVER_GRACE : 0);
    if (conn->failed)
        conn_lost_by_error(conn);
    else if (conn->retire != NULL && conn->running_count == 0)
        conn_lost(conn, conn->retire);
    else if (conn->running_count > 0 && now > conn->head_since && now - conn->head_since >= limit)
        conn_give_up_statement(conn);
}

void conn_tick(struct db_conn *conn, uint64_t now)
{
    switch (conn->state) {
    case CONN_OFFLINE:
        /* One connection for each lane first: a server with few left must not give them all to one lane. */
        if (now >= conn->deadline && (conn->index == 0 || db_pool_connected(conn->lane->pool)))
            conn_begin(conn, now);
        break;
    case CONN_RESOLVING:
        if (now >= conn->deadline)
            conn_on_resolved(conn, "looking up the host's name takes too long");
        break;
    case CONN_CONNECTING:
        if (now >= conn->deadline)
            conn_attempt_failed(conn, "no answer in time (database.connect_timeout)");
        break;
    case CONN_IDLE:
    case CONN_BUSY:
        conn_tick_connected(conn, now);
        break;
    }
}

void conn_release(struct db_conn *conn)
{
    conn_fail_running(conn, "the server is stopping");
    conn_close(conn);
    strbuf_release(&conn->notice);
}
