/*
 * What db/pool.c, db/query.c, db/conn.c and db/wire.c share. Nobody else includes this.
 *
 * Callbacks of queries run in two places only: db/wire.c, when the answer came in a read event, and pool_deliver(),
 * from the tick. A connection is torn down in read and write events and in the tick, never while somebody submits or
 * answers; whoever finds it broken elsewhere sets `failed` and asks for a tick.
 */
#ifndef DB_POOL_PRIVATE_H
#define DB_POOL_PRIVATE_H

#include <h2o.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "db/conn.h"
#include "db/conninfo.h"
#include "db/pool.h"
#include "db/query.h"
#include "db/resolver.h"

/* Statements on their way on one pipelined connection; more wait, and may be taken by another. */
#define POOL_PIPELINE_DEPTH 64

struct db_pool_lane {
    struct db_pool *pool;
    const char *name;
    unsigned depth; /* statements on their way on one connection */
    unsigned share; /* of them that may be of one owner; 0: all */
    unsigned conn_count;
    struct db_conn *conns;
    h2o_linklist_t waiting; /* struct db_query.link, oldest first */
    unsigned waiting_count;
    uint64_t next_deadline; /* no query in waiting ends before */
};

struct db_pool {
    h2o_loop_t *loop;
    bool prepared; /* database.prepared_statements */
    bool closing;
    uint64_t statement_timeout, connect_timeout; /* milliseconds */
    unsigned queue_limit;                        /* of each lane */
    struct db_conninfo *conninfo;

    struct db_resolver *resolver;   /* NULL: no names in the connection string */
    struct db_endpoints *endpoints; /* where to connect; NULL until names are looked up */
    size_t preferred;               /* endpoint that connected last */
    uint64_t resolved_at;

    struct db_pool_lane lanes[2]; /* index: enum db_lane */
    h2o_linklist_t finished;      /* queries that ended without an answer: their callbacks run at the next tick */

    h2o_socket_t *timer; /* timerfd of CLOCK_MONOTONIC: libh2o's own timers follow the wall clock */
    enum { TICK_OFF, TICK_PERIODIC, TICK_SOON } tick;

    /* What the log was told: db/pool_health.c */
    bool up, told_down, told_short;
    uint64_t down_since;  /* a lane has no connection; 0: each has */
    uint64_t short_since; /* some connections are missing; 0: none is */
    uint64_t told_at;     /* last line that it is away */
    unsigned lost;        /* connections lost that the log was not told of */
    uint64_t lost_at;     /* the first of them */
    struct strbuf reason; /* of the last loss or failure to connect */

    struct db_pool_stats stats; /* counters only */
};

/* The timer runs while there is something to watch. */
void pool_tick_on(struct db_pool *pool);
/* Runs the tick in the next turn of the loop. */
void pool_tick_soon(struct db_pool *pool);
/* Sends what waits as far as connections are free. */
void pool_pump(struct db_pool_lane *lane);
/* Puts a query that PostgreSQL certainly did not carry out back to the head of its lane. */
void pool_requeue(struct db_query *query);
/* Ends a query without an answer, at the next tick. */
void pool_fail(struct db_pool *pool, struct db_query *query, enum db_outcome outcome, const char *message);
void pool_on_connected(struct db_conn *conn);
void pool_on_lost(struct db_pool *pool, const char *reason);
/* Tells in the log when the database goes away and comes back. At the end of each tick and after each connecting. */
void pool_health(struct db_pool *pool, uint64_t now);
/* What connected there is not (any more) a database that takes writes. */
void pool_avoid_endpoint(struct db_conn *conn);

#endif
