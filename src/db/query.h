/* db_query: one statement on its way through db/pool.c. */
#ifndef DB_QUERY_H
#define DB_QUERY_H

#include <h2o.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "db/pool.h"

struct db_query {
    h2o_linklist_t link;
    /* WAITING: on its lane's waiting; RUNNING: on a connection's running; FINISHED: on the pool's finished */
    enum db_query_state { QUERY_WAITING, QUERY_RUNNING, QUERY_FINISHED } state;
    struct db_pool_lane *lane;
    enum db_statement statement;
    struct db_params params; /* kept until the end: it may be sent once more after a deadlock */
    uint64_t deadline;
    db_done_cb cb;
    void *arg;
    bool cancelled;
    bool retried;
    bool parses;             /* its Parse is on its way before it, not answered yet */
    PGresult *pg, *error;    /* collected until the Sync that ends it */
    enum db_outcome outcome; /* FINISHED */
    char *message;
};

struct db_query *query_new(enum db_statement statement, struct db_params *params, uint64_t deadline, db_done_cb cb,
                           void *arg);
/* Clears what an earlier try collected. */
void query_reset(struct db_query *query);
/* Calls the callback and frees the query, which is on no list any more. */
void query_answer(struct db_query *query);
void query_free(struct db_query *query);
const char *query_name(const struct db_query *query);

#endif
