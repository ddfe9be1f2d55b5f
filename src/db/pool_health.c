/*
 * pool_health: tells the operator in words when a worker's database goes away and comes back: once each, not once a
 * statement or connection, with the reason. While it is away a line a minute. In workers, called by db/pool.c.
 */
#include "core/log.h"
#include "db/pool_private.h"

#define BRIEF 1000   /* a lane without a connection for so short is no news while others are connected */
#define GATHER 200   /* connections that are lost so close together are told in one line */
#define REMIND 60000 /* between two lines that it is still away */
#define SHORT 5000   /* so long after a loss all connections should be back */

static void health_count(const struct db_pool *pool, unsigned *usable_r, unsigned *all_r)
{
    *usable_r = *all_r = 0;
    for (size_t i = 0; i < ARRAY_SIZE(pool->lanes); i++) {
        const struct db_pool_lane *lane = &pool->lanes[i];
        *all_r += lane->conn_count;
        for (unsigned k = 0; k < lane->conn_count; k++)
            *usable_r += conn_usable(&lane->conns[k]);
    }
}

static const char *health_reason(const struct db_pool *pool)
{
    return pool->reason.len > 0 ? pool->reason.data : "no connection yet";
}

static void health_is_up(struct db_pool *pool, uint64_t now)
{
    if (pool->told_down)
        log_info("the database is back after %.1f s", (double)(now - pool->down_since) / 1000);
    pool->up = true;
    pool->told_down = false;
    pool->lost = 0;
    /* who still waits for the end of a pause need not */
    for (size_t i = 0; i < ARRAY_SIZE(pool->lanes); i++)
        for (unsigned k = 0; k < pool->lanes[i].conn_count; k++)
            conn_hurry(&pool->lanes[i].conns[k], now);
}

static void health_is_down(struct db_pool *pool, uint64_t now)
{
    if (!pool->told_down)
        log_warning("%s: %s; trying until it answers", pool->up ? "the database is gone" : "cannot reach the database",
                    health_reason(pool));
    else
        log_warning("the database is still away after %llu s: %s", (unsigned long long)(now - pool->down_since) / 1000,
                    health_reason(pool));
    pool->up = false;
    pool->told_down = true;
    pool->told_at = now;
    pool->lost = 0;
}

/* Lanes are served, but not by as many connections as there should be. */
static void health_of_connections(struct db_pool *pool, unsigned usable, unsigned all, uint64_t now)
{
    if (pool->lost > 0 && now - pool->lost_at < GATHER)
        return;
    if (pool->lost > 0)
        log_info("lost %u of %u database connections: %s; connecting again", pool->lost, all, health_reason(pool));
    pool->lost = 0;
    if (usable == all) {
        pool->short_since = 0;
        pool->told_short = false;
    } else if (pool->short_since == 0) {
        pool->short_since = now;
    } else if (!pool->told_short && now - pool->short_since >= SHORT) {
        log_warning("only %u of %u database connections: %s", usable, all, health_reason(pool));
        pool->told_short = true;
    }
}

void pool_health(struct db_pool *pool, uint64_t now)
{
    unsigned usable, all;
    health_count(pool, &usable, &all);
    if (db_pool_connected(pool)) {
        if (!pool->up)
            health_is_up(pool, now);
        pool->down_since = 0;
        health_of_connections(pool, usable, all, now);
        return;
    }
    if (pool->down_since == 0)
        pool->down_since = now;
    bool news = pool->up ? usable == 0 || now - pool->down_since >= BRIEF : pool->reason.len > 0 && !pool->told_down;
    if (news || (pool->told_down && now - pool->told_at >= REMIND))
        health_is_down(pool, now);
}
