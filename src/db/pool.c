/*
 * db_pool: see the header. In workers, on the loop's thread only.
 *
 *   submit → lane's waiting → (pump) a connection's running → callback                  answered: db/wire.c
 *                           ↘ finished → (tick) callback                 failed without an answer
 *
 * One timerfd ticks every 50 ms while anything is waiting, running or connecting, and looks at all deadlines; an idle
 * pool does not wake up.
 */
#include "db/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/log.h"
#include "core/mem.h"
#include "db/pool_private.h"
#include "db/wire.h"

#define TICK_NS 50000000L
#define FIRST_NS 1L

static void pool_set_timer(struct db_pool *pool, long first_ns)
{
    struct itimerspec spec = {.it_value.tv_nsec = first_ns, .it_interval.tv_nsec = first_ns == 0 ? 0 : TICK_NS};
    if (timerfd_settime(h2o_socket_get_fd(pool->timer), 0, &spec, NULL) != 0)
        log_error("cannot set the database timer: %s", strerror(errno));
}

void pool_tick_on(struct db_pool *pool)
{
    if (pool->tick != TICK_OFF || pool->closing)
        return;
    pool->tick = TICK_PERIODIC;
    pool_set_timer(pool, TICK_NS);
}

void pool_tick_soon(struct db_pool *pool)
{
    if (pool->tick == TICK_SOON || pool->closing)
        return;
    pool->tick = TICK_SOON;
    pool_set_timer(pool, FIRST_NS);
}

static struct db_query *query_at(h2o_linklist_t *link)
{
    return H2O_STRUCT_FROM_MEMBER(struct db_query, link, link);
}

void pool_fail(struct db_pool *pool, struct db_query *query, enum db_outcome outcome, const char *message)
{
    query->state = QUERY_FINISHED;
    query->outcome = outcome;
    query->message = mem_strdup(message);
    pool->stats.unknown += outcome == DB_UNKNOWN;
    h2o_linklist_insert(&pool->finished, &query->link);
    pool_tick_soon(pool);
}

/* Those that a callback adds come with the next tick, so that a callback that submits again and again does not hold the
 * loop. */
static void pool_deliver(struct db_pool *pool)
{
    h2o_linklist_t now;
    h2o_linklist_init_anchor(&now);
    h2o_linklist_insert_list(&now, &pool->finished);
    while (!h2o_linklist_is_empty(&now)) {
        struct db_query *q = query_at(now.next);
        h2o_linklist_unlink(&q->link);
        query_answer(q);
    }
}

static void lane_insert(struct db_pool_lane *lane, h2o_linklist_t *before, struct db_query *query)
{
    query->state = QUERY_WAITING;
    h2o_linklist_insert(before, &query->link);
    if (lane->waiting_count++ == 0 || query->deadline < lane->next_deadline)
        lane->next_deadline = query->deadline;
}

static void lane_remove(struct db_pool_lane *lane, struct db_query *query)
{
    h2o_linklist_unlink(&query->link);
    lane->waiting_count--;
}

/* The free connection with the fewest statements on their way. */
static struct db_conn *lane_pick(struct db_pool_lane *lane)
{
    struct db_conn *best = NULL;
    for (unsigned i = 0; i < lane->conn_count; i++) {
        struct db_conn *conn = &lane->conns[i];
        if (!conn_free(conn) || (best != NULL && best->running_count <= conn->running_count))
            continue;
        best = conn;
        if (best->running_count == 0)
            break;
    }
    return best;
}

static void lane_expire_query(struct db_pool_lane *lane, struct db_query *query)
{
    lane_remove(lane, query);
    pool_fail(lane->pool, query, DB_UNAVAILABLE, "no database connection was free in time");
}

static unsigned lane_running_for(const struct db_pool_lane *lane, uint64_t owner)
{
    unsigned running = 0;
    for (unsigned i = 0; i < lane->conn_count; i++) {
        const struct db_conn *conn = &lane->conns[i];
        running += conn->running_count > 0 && query_at(conn->running.next)->params.owner == owner;
    }
    return running;
}

/*
 * The oldest that may go. Where statements wait for locks of one another, one owner's would take every connection and
 * hold up all others: beyond its share they wait here. NULL: all that wait have theirs.
 */
static struct db_query *lane_next(const struct db_pool_lane *lane)
{
    for (h2o_linklist_t *at = lane->waiting.next; at != &lane->waiting; at = at->next) {
        struct db_query *q = query_at(at);
        if (lane->share == 0 || q->params.owner == 0 || lane_running_for(lane, q->params.owner) < lane->share)
            return q;
    }
    return NULL;
}

void pool_pump(struct db_pool_lane *lane)
{
    struct db_conn *conn;
    struct db_query *q;
    while (lane->waiting_count > 0 && (conn = lane_pick(lane)) != NULL && (q = lane_next(lane)) != NULL) {
        if (clock_mono_ms() > q->deadline) {
            lane_expire_query(lane, q);
            continue;
        }
        lane_remove(lane, q);
        if (wire_send(conn, q))
            continue;
        lane_insert(lane, lane->waiting.next, q);
        conn->failed = true;
        pool_tick_soon(lane->pool);
    }
}

void pool_requeue(struct db_query *query)
{
    query_reset(query);
    lane_insert(query->lane, query->lane->waiting.next, query);
    pool_pump(query->lane);
}

static void lane_expire(struct db_pool_lane *lane, uint64_t now)
{
    if (lane->waiting_count == 0 || now <= lane->next_deadline)
        return;
    lane->next_deadline = UINT64_MAX;
    for (h2o_linklist_t *at = lane->waiting.next, *next; at != &lane->waiting; at = next) {
        struct db_query *q = query_at(at);
        next = at->next;
        if (now > q->deadline)
            lane_expire_query(lane, q);
        else if (q->deadline < lane->next_deadline)
            lane->next_deadline = q->deadline;
    }
}

static bool lane_is_quiet(const struct db_pool_lane *lane)
{
    for (unsigned i = 0; i < lane->conn_count; i++)
        if (lane->conns[i].state != CONN_IDLE || lane->conns[i].failed || lane->conns[i].retire != NULL)
            return false;
    return lane->waiting_count == 0;
}

static void lane_tick(struct db_pool_lane *lane, uint64_t now)
{
    for (unsigned i = 0; i < lane->conn_count; i++)
        conn_tick(&lane->conns[i], now);
    lane_expire(lane, now);
    pool_pump(lane);
}

static bool pool_is_quiet(const struct db_pool *pool)
{
    return lane_is_quiet(&pool->lanes[DB_LANE_READ]) && lane_is_quiet(&pool->lanes[DB_LANE_WORK]) && pool->up &&
           pool->lost == 0;
}

static void pool_on_tick(h2o_socket_t *sock, const char *failure)
{
    struct db_pool *pool = sock->data;
    uint64_t expirations, now = clock_mono_ms();
    (void)failure;
    if (read(h2o_socket_get_fd(sock), &expirations, sizeof(expirations)) < 0)
        return; /* set anew since the loop saw it */
    pool->tick = TICK_PERIODIC;
    for (size_t i = 0; i < ARRAY_SIZE(pool->lanes); i++)
        lane_tick(&pool->lanes[i], now);
    pool_deliver(pool);
    pool_health(pool, clock_mono_ms());
    if (pool->tick == TICK_PERIODIC && pool_is_quiet(pool)) {
        pool->tick = TICK_OFF;
        pool_set_timer(pool, 0);
    }
}

void pool_on_connected(struct db_conn *conn)
{
    struct db_pool *pool = conn->lane->pool;
    if (conn->endpoints == pool->endpoints)
        pool->preferred = conn->endpoint;
    struct strbuf where = STRBUF_INIT;
    db_endpoint_describe(&conn->endpoints->items[conn->endpoint], &where);
    log_debug("connected to PostgreSQL %s at %s", PQparameterStatus(conn->pg, "server_version"), where.data);
    strbuf_release(&where);
    pool_health(pool, conn->connected_at);
    pool_pump(conn->lane);
}

void pool_on_lost(struct db_pool *pool, const char *reason)
{
    if (pool->lost++ == 0)
        pool->lost_at = clock_mono_ms();
    strbuf_reset(&pool->reason);
    strbuf_append_str(&pool->reason, reason);
    pool_tick_soon(pool);
}

void pool_avoid_endpoint(struct db_conn *conn)
{
    struct db_pool *pool = conn->lane->pool;
    /* With one host all that helps is to connect anew: perhaps its address leads elsewhere now. */
    if (conn->endpoints != pool->endpoints || pool->endpoints->count == 1)
        return;
    pool->preferred = (conn->endpoint + 1) % pool->endpoints->count;
    for (size_t i = 0; i < ARRAY_SIZE(pool->lanes); i++) {
        for (unsigned k = 0; k < pool->lanes[i].conn_count; k++) {
            struct db_conn *other = &pool->lanes[i].conns[k];
            if (other != conn && conn_usable(other) && other->endpoints == conn->endpoints &&
                other->endpoint == conn->endpoint)
                conn_retire(other, "the database takes no writes");
        }
    }
}

static void pool_on_resolved(void *arg, struct db_endpoints *found, const char *error)
{
    struct db_pool *pool = arg;
    bool resolved = found != NULL;
    if (resolved && pool->endpoints != NULL && db_endpoints_equal(found, pool->endpoints)) {
        db_endpoints_drop(&found);
    } else if (resolved) {
        db_endpoints_drop(&pool->endpoints);
        pool->endpoints = found;
        pool->preferred = 0;
    }
    if (resolved)
        pool->resolved_at = clock_mono_ms();
    for (size_t i = 0; i < ARRAY_SIZE(pool->lanes); i++)
        for (unsigned k = 0; k < pool->lanes[i].conn_count; k++)
            conn_on_resolved(&pool->lanes[i].conns[k], resolved ? NULL : error);
}

static void lane_init(struct db_pool *pool, enum db_lane kind, const char *name, unsigned conns, unsigned depth)
{
    struct db_pool_lane *lane = &pool->lanes[kind];
    lane->pool = pool;
    lane->name = name;
    lane->depth = depth;
    lane->share = depth > 1 ? 0 : conns < 8 ? 1 : conns / 4; /* reads of a pipeline wait for nobody */
    lane->conn_count = conns;
    lane->conns = mem_alloc(conns * sizeof(*lane->conns));
    h2o_linklist_init_anchor(&lane->waiting);
    for (unsigned i = 0; i < conns; i++)
        conn_init(&lane->conns[i], lane, i);
}

static bool pool_open_timer(struct db_pool *pool)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0)
        return false;
    pool->timer = h2o_evloop_socket_create(pool->loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    pool->timer->data = pool;
    h2o_socket_read_start(pool->timer, pool_on_tick);
    return true;
}

struct db_pool *db_pool_new(h2o_loop_t *loop, const struct config *config, const char *conninfo, struct strbuf *error)
{
    struct db_pool *pool = mem_zalloc(sizeof(*pool));
    pool->loop = loop;
    pool->prepared = config->database_prepared_statements;
    pool->statement_timeout = (uint64_t)config->database_statement_timeout;
    pool->connect_timeout = (uint64_t)config->database_connect_timeout;
    pool->queue_limit = (unsigned)config->database_queue;
    pool->down_since = clock_mono_ms();
    h2o_linklist_init_anchor(&pool->finished);
    strbuf_init(&pool->reason);
    pool->conninfo = db_conninfo_parse(conninfo, config, error);
    if (pool->conninfo == NULL || !pool_open_timer(pool)) {
        if (pool->conninfo != NULL)
            strbuf_error(error, "cannot make a timer: %s", strerror(errno));
        db_pool_free(&pool);
        return NULL;
    }
    pool->resolver = db_resolver_new(loop, db_conninfo_endpoints(pool->conninfo), pool_on_resolved, pool);
    if (pool->resolver == NULL)
        pool->endpoints = db_endpoints_share(db_conninfo_endpoints(pool->conninfo));
    lane_init(pool, DB_LANE_READ, "read", (unsigned)config->database_read_connections, POOL_PIPELINE_DEPTH);
    lane_init(pool, DB_LANE_WORK, "work", (unsigned)config->database_work_connections, 1);
    pool_tick_soon(pool);
    return pool;
}

static void lane_release(struct db_pool_lane *lane)
{
    for (unsigned i = 0; i < lane->conn_count; i++)
        conn_release(&lane->conns[i]);
    while (lane->waiting_count > 0) {
        struct db_query *q = query_at(lane->waiting.next);
        lane_remove(lane, q);
        pool_fail(lane->pool, q, DB_UNAVAILABLE, "the server is stopping");
    }
}

void db_pool_free(struct db_pool **pool)
{
    struct db_pool *p = *pool;
    *pool = NULL;
    if (p == NULL)
        return;
    p->closing = true;
    for (size_t i = 0; i < ARRAY_SIZE(p->lanes); i++)
        lane_release(&p->lanes[i]);
    while (!h2o_linklist_is_empty(&p->finished))
        pool_deliver(p);
    db_resolver_free(&p->resolver);
    if (p->timer != NULL)
        h2o_socket_close(p->timer);
    db_endpoints_drop(&p->endpoints);
    db_conninfo_free(&p->conninfo);
    strbuf_release(&p->reason);
    for (size_t i = 0; i < ARRAY_SIZE(p->lanes); i++)
        free(p->lanes[i].conns);
    free(p);
}

struct db_query *db_pool_submit(struct db_pool *pool, enum db_statement statement, struct db_params *params,
                                uint64_t deadline, db_done_cb cb, void *arg)
{
    struct db_query *q = query_new(statement, params, deadline, cb, arg);
    struct db_pool_lane *lane = q->lane = &pool->lanes[db_statements[statement].lane];
    if (pool->closing) {
        pool_fail(pool, q, DB_UNAVAILABLE, "the server is stopping");
    } else if (lane->waiting_count >= pool->queue_limit) {
        pool->stats.refused++;
        pool_fail(pool, q, DB_UNAVAILABLE, "too many statements wait for the database");
    } else {
        lane_insert(lane, &lane->waiting, q);
        pool_pump(lane);
        pool_tick_on(pool);
    }
    return q;
}

void db_pool_cancel(struct db_query **query)
{
    struct db_query *q = *query;
    *query = NULL;
    if (q == NULL)
        return;
    if (q->state == QUERY_RUNNING) {
        q->cancelled = true;
        return;
    }
    if (q->state == QUERY_WAITING)
        lane_remove(q->lane, q);
    else
        h2o_linklist_unlink(&q->link);
    query_free(q);
}

bool db_pool_connected(const struct db_pool *pool)
{
    for (size_t i = 0; i < ARRAY_SIZE(pool->lanes); i++) {
        const struct db_pool_lane *lane = &pool->lanes[i];
        bool usable = false;
        for (unsigned k = 0; k < lane->conn_count; k++)
            usable = usable || conn_usable(&lane->conns[k]);
        if (!usable)
            return false;
    }
    return true;
}

static void stats_add_lane(struct db_pool_stats *stats, const struct db_pool_lane *lane)
{
    stats->waiting += lane->waiting_count;
    for (unsigned i = 0; i < lane->conn_count; i++) {
        stats->running += lane->conns[i].running_count;
        stats->connected += conn_usable(&lane->conns[i]);
        stats->connecting += !conn_usable(&lane->conns[i]);
    }
}

void db_pool_get_stats(const struct db_pool *pool, struct db_pool_stats *stats_r)
{
    *stats_r = pool->stats;
    stats_r->waiting = stats_r->running = stats_r->connected = stats_r->connecting = 0;
    for (size_t i = 0; i < ARRAY_SIZE(pool->lanes); i++)
        stats_add_lane(stats_r, &pool->lanes[i]);
}
