/*
 * db_pool: a worker's connections to PostgreSQL, non-blocking, on its libh2o loop. Two lanes (db/statements.h); each
 * has a bounded queue.
 *
 * The callback never runs before db_pool_submit() returns, runs exactly once, and never after db_pool_cancel(). The
 * result is valid until it returns. A statement that was sent is sent again only when PostgreSQL itself answered that
 * it was rolled back for a reason that may be over (deadlock, serialization failure, a host that takes no writes),
 * once; one whose connection broke never.
 */
#ifndef DB_POOL_H
#define DB_POOL_H

#include <h2o.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/compiler.h"
#include "core/strbuf.h"
#include "db/params.h"
#include "db/result.h"
#include "db/statements.h"

struct config;
struct db_pool;
struct db_query;

typedef void (*db_done_cb)(void *arg, const struct db_result *result);

struct db_pool_stats {
    unsigned connected, connecting; /* connections of both lanes: usable, and not */
    unsigned waiting, running;      /* statements */
    uint64_t refused;               /* statements that found the queue full, since start */
    uint64_t reconnects;
    uint64_t unknown; /* statements whose outcome is not known */
};

/*
 * conninfo: any libpq connection string or URI (several hosts allowed); copied. Starts to connect at once and for ever,
 * with a pause of 100 ms to 2 s. NULL when the string is none. Host names are looked up in a thread; those that come
 * from a pg_service.conf file are left to libpq, which blocks.
 */
struct db_pool *db_pool_new(h2o_loop_t *loop, const struct config *config, const char *conninfo,
                            struct strbuf *error) WARN_UNUSED;
/*
 * Fails all that waits with DB_UNAVAILABLE and all that runs with DB_UNKNOWN (reads: DB_UNAVAILABLE), then closes. Not
 * to be called from a callback of the pool.
 */
void db_pool_free(struct db_pool **pool);

/*
 * Takes over *params (empty afterwards). deadline: clock_mono_ms() by which the statement must have been sent; passed
 * unsent it ends with DB_UNAVAILABLE. cb may be NULL: nobody waits (errors are logged). Returns a handle that is valid
 * until cb runs.
 */
struct db_query *db_pool_submit(struct db_pool *pool, enum db_statement statement, struct db_params *params,
                                uint64_t deadline, db_done_cb cb, void *arg);
/* Forgets the callback; a statement that is not sent yet is dropped, one that runs goes on and its result is thrown
 * away. Clears the handle. */
void db_pool_cancel(struct db_query **query);
bool db_pool_connected(const struct db_pool *pool); /* at least one connection of each lane is usable */
void db_pool_get_stats(const struct db_pool *pool, struct db_pool_stats *stats_r);

#endif
