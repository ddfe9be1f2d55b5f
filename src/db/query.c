/*
 * db_query: what one statement brings along and what it ends with. In workers; owned by db/pool.c, on exactly one list
 * at any time.
 */
#include "db/query.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"

struct db_query *query_new(enum db_statement statement, struct db_params *params, uint64_t deadline, db_done_cb cb,
                           void *arg)
{
    struct db_query *q = mem_zalloc(sizeof(*q));
    q->statement = statement;
    q->params = *params;
    db_params_init(params);
    q->deadline = deadline;
    q->cb = cb;
    q->arg = arg;
    return q;
}

const char *query_name(const struct db_query *query)
{
    return db_statements[query->statement].name;
}

void query_reset(struct db_query *query)
{
    PQclear(query->pg);
    PQclear(query->error);
    query->pg = query->error = NULL;
    query->parses = false;
}

void query_free(struct db_query *query)
{
    query_reset(query);
    db_params_release(&query->params);
    free(query->message);
    free(query);
}

static void query_result(const struct db_query *query, struct db_result *result_r)
{
    memset(result_r, 0, sizeof(*result_r));
    result_r->outcome = query->outcome;
    result_r->message = query->message == NULL ? "" : query->message;
    if (query->outcome == DB_OK)
        result_r->pg = query->pg;
    if (query->outcome != DB_FAILED || query->error == NULL)
        return;
    const char *state = PQresultErrorField(query->error, PG_DIAG_SQLSTATE);
    if (state != NULL)
        strncpy(result_r->sqlstate, state, sizeof(result_r->sqlstate) - 1);
}

void query_answer(struct db_query *query)
{
    struct db_result result;
    query_result(query, &result);
    if (query->cb != NULL && !query->cancelled)
        query->cb(query->arg, &result);
    else if (result.outcome == DB_FAILED)
        log_warning("statement '%s' failed and nobody waits for it: %s (SQLSTATE %s)", query_name(query),
                    result.message, result.sqlstate);
    query_free(query);
}
