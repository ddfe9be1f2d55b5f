/*
 * db_wire: see the header. In workers, called by db/pool.c (send) and db/conn.c (receive).
 *
 * A statement ends at its PGRES_PIPELINE_SYNC and not before: PostgreSQL commits when it reads the Sync, after it has
 * sent the rows, and the commit itself may fail (a deferred constraint, a serialization failure).
 *
 *   first use:   Parse | Bind Describe Execute | Sync    results: COMMAND_OK, NULL, rows, NULL, SYNC
 *   afterwards:          Bind Describe Execute | Sync             rows, NULL, SYNC
 */
#include "db/wire.h"

#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "db/pool_private.h"

static struct db_query *wire_head(const struct db_conn *conn)
{
    return H2O_STRUCT_FROM_MEMBER(struct db_query, link, conn->running.next);
}

/*
 * No types are sent: PostgreSQL takes them from the casts in the statement. Otherwise they would depend on whether the
 * parameter was NULL when a connection saw the statement for the first time.
 */
static bool wire_send_statement(struct db_conn *conn, struct db_query *q)
{
    const struct db_statement_info *info = &db_statements[q->statement];
    const char *values[DB_PARAMS_MAX];
    int formats[DB_PARAMS_MAX];
    db_params_arrays(&q->params, values, formats);
    if (!conn->lane->pool->prepared)
        return PQsendQueryParams(conn->pg, info->sql, q->params.count, NULL, values, q->params.lengths, formats, 1);
    if (!conn->prepared[q->statement]) {
        if (!PQsendPrepare(conn->pg, info->name, info->sql, 0, NULL))
            return false;
        q->parses = true;
        conn->prepared[q->statement] = true;
    }
    return PQsendQueryPrepared(conn->pg, info->name, q->params.count, values, q->params.lengths, formats, 1);
}

bool wire_send(struct db_conn *conn, struct db_query *query)
{
    query_reset(query);
    /* Whatever of it went out: without a Sync PostgreSQL rolls it back. */
    if (!wire_send_statement(conn, query))
        return false;
    if (conn->running_count++ == 0)
        conn->head_since = clock_mono_ms();
    h2o_linklist_insert(&conn->running, &query->link);
    query->state = QUERY_RUNNING;
    conn_set_busy(conn, true);
    if (!PQpipelineSync(conn->pg) || !conn_flush(conn)) {
        conn->failed = true;
        pool_tick_soon(conn->lane->pool);
    }
    return true;
}

static const char *wire_sqlstate(const PGresult *error)
{
    const char *state = PQresultErrorField(error, PG_DIAG_SQLSTATE);
    return state == NULL ? "" : state;
}

/* A prepared statement whose columns changed under it. The code is that of any unsupported feature, hence the look at
 * who says so. */
static bool wire_plan_is_stale(const PGresult *error)
{
    const char *function = PQresultErrorField(error, PG_DIAG_SOURCE_FUNCTION);
    return strcmp(wire_sqlstate(error), "0A000") == 0 && function != NULL &&
           strcmp(function, "RevalidateCachedQuery") == 0;
}

/* PostgreSQL answered with the error and rolled back; these say that the same statement may well succeed now. */
static bool wire_worth_retrying(const PGresult *error)
{
    static const char *const states[] = {
        "40001", /* serialization_failure */
        "40P01", /* deadlock_detected */
        "26000", /* invalid_sql_statement_name: the Parse sent with a statement before it failed */
        "42P05", /* duplicate_prepared_statement: it did not fail after all */
        "25006", /* read_only_sql_transaction: another host may take it */
    };
    for (size_t i = 0; i < ARRAY_SIZE(states); i++)
        if (strcmp(wire_sqlstate(error), states[i]) == 0)
            return true;
    return wire_plan_is_stale(error);
}

/* What an error says about the connection. */
static void wire_judge_connection(struct db_conn *conn, const struct db_query *q)
{
    const char *state = wire_sqlstate(q->error);
    if (strcmp(state, "25006") == 0) {
        pool_avoid_endpoint(conn);
        conn_retire(conn, "the database takes no writes");
    } else if (strncmp(state, "57P0", 4) == 0) {
        conn_retire(conn, "the database is shutting down");
    } else if (wire_plan_is_stale(q->error)) {
        conn_retire(conn, "a prepared statement's columns have changed");
    } else if (strcmp(state, "26000") == 0) {
        conn->prepared[q->statement] = false;
    }
}

static void wire_set_failure(struct db_query *q)
{
    const char *primary = PQresultErrorField(q->error, PG_DIAG_MESSAGE_PRIMARY);
    bool read_only = strcmp(wire_sqlstate(q->error), "25006") == 0;
    q->outcome = read_only ? DB_UNAVAILABLE : DB_FAILED;
    q->message = mem_strdup(primary == NULL ? "PostgreSQL gave no reason" : primary);
}

/* The head of the connection is complete. */
static void wire_finish_head(struct db_conn *conn)
{
    struct db_query *q = wire_head(conn);
    h2o_linklist_unlink(&q->link);
    if (--conn->running_count == 0)
        conn_set_busy(conn, false);
    else
        conn->head_since = clock_mono_ms();
    if (q->error != NULL) {
        wire_judge_connection(conn, q);
        if (!q->retried && !q->cancelled && wire_worth_retrying(q->error)) {
            log_debug("statement '%s' is sent again: SQLSTATE %s", query_name(q), wire_sqlstate(q->error));
            q->retried = true;
            pool_requeue(q);
            return;
        }
        wire_set_failure(q);
    } else {
        q->outcome = DB_OK;
    }
    /* PostgreSQL works on the next one while we work on this one's answer. */
    pool_pump(conn->lane);
    query_answer(q);
}

static void wire_take_error(struct db_query *q, PGresult *result)
{
    if (q->error == NULL)
        q->error = result;
    else
        PQclear(result);
}

/* Takes over one result of the head. False when it says that the connection is gone. */
static bool wire_take(struct db_conn *conn, PGresult *result)
{
    struct db_query *q = wire_head(conn);
    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        PQclear(result);
        wire_finish_head(conn);
        return true;
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        if (q->parses) {
            q->parses = false;
            PQclear(result);
        } else {
            PQclear(q->pg);
            q->pg = result;
        }
        return true;
    case PGRES_PIPELINE_ABORTED:
        PQclear(result);
        return true;
    default:
        break;
    }
    /* An error without a SQLSTATE is libpq's own: it lost the connection. */
    bool alive = wire_sqlstate(result)[0] != '\0';
    if (q->parses)
        conn->prepared[q->statement] = strcmp(wire_sqlstate(result), "42P05") == 0;
    wire_take_error(q, result);
    return alive;
}

bool wire_receive(struct db_conn *conn)
{
    bool alive = PQconsumeInput(conn->pg) != 0;
    /* Also after a loss: answers that had arrived whole before it are good. */
    unsigned separators = 0;
    while (conn->running_count > 0 && !PQisBusy(conn->pg)) {
        PGresult *result = PQgetResult(conn->pg);
        separators = result == NULL ? separators + 1 : 0;
        if (separators > 1 || (result != NULL && !wire_take(conn, result)))
            return false;
    }
    if (conn->running_count == 0)
        PQisBusy(conn->pg); /* lets libpq look at a FATAL that came unasked, see conn_on_notice() */
    return alive && !conn->failed && conn_flush(conn);
}
