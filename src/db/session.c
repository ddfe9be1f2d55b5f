/*
 * db_session: see the header. In migrate, mailer, janitor and the command line, which have nothing else to do while
 * they wait.
 */
#include "db/session.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/log.h"
#include "core/mem.h"
#include "db/cluster.h"
#include "db/conninfo.h"
#include "db/message.h"

#define SERVER_GRACE \
    1000 /* milliseconds that the server's statement_timeout gets on top, to answer before we give up */
#define FOREVER UINT64_MAX

struct db_session {
    struct db_conninfo *conninfo; /* NULL: conninfo_error says why */
    struct strbuf conninfo_error;
    bool prepare;
    uint64_t connect_timeout, statement_timeout;
    PGconn *pg;
    unsigned connects;
    bool prepared[STMT_COUNT];
    bool in_transaction;
    bool lost_transaction; /* lost within a transaction that nobody has rolled back yet */
    struct db_result result;
    PGresult *answer, *error; /* of the last statement */
    struct strbuf message;
};

char *db_conninfo(const struct config *config)
{
    return db_cluster_wanted(config) ? db_cluster_conninfo(config) : mem_strdup(config->database_url);
}

struct db_session *db_session_new(const struct config *config, const char *conninfo)
{
    struct db_session *s = mem_zalloc(sizeof(*s));
    strbuf_init(&s->conninfo_error);
    strbuf_init(&s->message);
    s->conninfo = db_conninfo_parse(conninfo, config, &s->conninfo_error);
    s->prepare = config->database_prepared_statements;
    s->connect_timeout = (uint64_t)config->database_connect_timeout;
    s->statement_timeout = (uint64_t)config->database_statement_timeout + (s->prepare ? SERVER_GRACE : 0);
    return s;
}

bool db_session_hopeless(const struct db_session *session)
{
    return session->conninfo == NULL;
}

static void session_clear(struct db_session *s)
{
    PQclear(s->answer);
    PQclear(s->error);
    s->answer = s->error = NULL;
    strbuf_reset(&s->message);
    memset(&s->result, 0, sizeof(s->result));
}

static void session_close(struct db_session *s)
{
    PQfinish(s->pg);
    s->pg = NULL;
    s->in_transaction = false;
    memset(s->prepared, 0, sizeof(s->prepared));
}

/* The connection is of no use any more. */
static void session_lose(struct db_session *s)
{
    s->lost_transaction = s->in_transaction;
    session_close(s);
}

void db_session_free(struct db_session **session)
{
    struct db_session *s = *session;
    *session = NULL;
    if (s == NULL)
        return;
    session_clear(s);
    session_close(s);
    db_conninfo_free(&s->conninfo);
    strbuf_release(&s->conninfo_error);
    strbuf_release(&s->message);
    free(s);
}

/* Waits until the socket is ready. False when the deadline (clock_mono_ms()) has passed. */
static bool session_poll(const struct db_session *s, short events, uint64_t deadline)
{
    struct pollfd fd = {.fd = PQsocket(s->pg), .events = events};
    for (;;) {
        uint64_t now = clock_mono_ms();
        if (now >= deadline)
            return false;
        uint64_t left = deadline - now;
        int ready = poll(&fd, 1, left > 60000 ? 60000 : (int)left);
        if (ready > 0 || (ready < 0 && errno != EINTR))
            return true; /* libpq finds out what is wrong */
    }
}

static void session_on_notice(void *arg, const PGresult *result)
{
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    (void)arg;
    if (message != NULL)
        log_debug("PostgreSQL says: %s", message);
}

static bool session_connect_to(struct db_session *s, const struct db_endpoint *endpoint, struct strbuf *error)
{
    struct db_connect_params params = db_conninfo_params(s->conninfo, endpoint);
    uint64_t deadline = clock_mono_ms() + s->connect_timeout;
    s->pg = PQconnectStartParams(params.keywords, params.values, 0);
    PostgresPollingStatusType want = PQstatus(s->pg) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
    while (want == PGRES_POLLING_READING || want == PGRES_POLLING_WRITING) {
        if (!session_poll(s, want == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline)) {
            session_close(s);
            return strbuf_error(error, "no answer in time (database.connect_timeout)");
        }
        want = PQconnectPoll(s->pg);
    }
    if (want == PGRES_POLLING_OK) {
        PQsetNoticeReceiver(s->pg, session_on_notice, NULL);
        s->connects++;
        return true;
    }
    message_first_line(error, PQerrorMessage(s->pg));
    session_close(s);
    return false;
}

/* Has an idle connection been closed by the other side? Found out before a statement is sent, its outcome is not
 * unknown. */
static void session_look(struct db_session *s)
{
    struct pollfd fd = {.fd = PQsocket(s->pg), .events = POLLIN};
    if (s->pg == NULL)
        return;
    /* a FATAL message comes first, the end of the stream after it */
    while (fd.fd >= 0 && poll(&fd, 1, 0) > 0)
        if (!PQconsumeInput(s->pg))
            fd.fd = -1;
    if (fd.fd < 0)
        session_lose(s);
}

bool db_session_connect(struct db_session *session, struct strbuf *error)
{
    session_look(session);
    if (session->pg != NULL)
        return true;
    if (session->lost_transaction)
        return strbuf_error(error, "the connection was lost within the transaction");
    if (session->conninfo == NULL)
        return strbuf_error(error, "%s", session->conninfo_error.data);
    const struct db_endpoints *places = db_conninfo_endpoints(session->conninfo);
    for (size_t i = 0; i < places->count; i++) {
        if (i > 0)
            strbuf_error(error, "; ");
        if (session_connect_to(session, &places->items[i], error))
            return true;
    }
    return false;
}

static const struct db_result *session_outcome(struct db_session *s, enum db_outcome outcome, const char *message)
{
    s->result.outcome = outcome;
    if (message != NULL)
        message_first_line(&s->message, message);
    s->result.message = s->message.data;
    return &s->result;
}

/* Sends were done: collects all results up to ReadyForQuery, which comes after the commit. False: lost or too late. */
static bool session_collect(struct db_session *s, uint64_t deadline)
{
    for (;;) {
        while (PQisBusy(s->pg))
            if (!session_poll(s, POLLIN, deadline) || !PQconsumeInput(s->pg))
                return false;
        PGresult *r = PQgetResult(s->pg);
        if (r == NULL)
            break;
        ExecStatusType status = PQresultStatus(r);
        bool failed = status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY;
        PGresult **kept = failed ? &s->error : &s->answer;
        PQclear(*kept);
        *kept = r;
    }
    PGTransactionStatusType state = PQtransactionStatus(s->pg);
    if (state == PQTRANS_UNKNOWN)
        return false;
    s->in_transaction = state != PQTRANS_IDLE;
    return true;
}

static bool session_send(struct db_session *s, const struct db_statement_info *info, const struct db_params *p)
{
    const char *values[DB_PARAMS_MAX];
    int formats[DB_PARAMS_MAX];
    db_params_arrays(p, values, formats);
    /* no types: the casts in the statement say them, as in db/wire.c */
    if (s->prepare)
        return PQsendQueryPrepared(s->pg, info->name, p->count, values, p->lengths, formats, 1);
    return PQsendQueryParams(s->pg, info->sql, p->count, NULL, values, p->lengths, formats, 1);
}

static const struct db_result *session_failed(struct db_session *s)
{
    const char *state = PQresultErrorField(s->error, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(s->error, PG_DIAG_MESSAGE_PRIMARY);
    strncpy(s->result.sqlstate, state == NULL ? "" : state, sizeof(s->result.sqlstate) - 1);
    /* a host that takes no writes (any more): the next call looks for another */
    if (strcmp(s->result.sqlstate, "25006") == 0 && !s->in_transaction)
        session_close(s);
    return session_outcome(s, DB_FAILED, primary == NULL ? "PostgreSQL gave no reason" : primary);
}

static const struct db_result *session_broken(struct db_session *s, enum db_outcome outcome, uint64_t deadline)
{
    bool late = clock_mono_ms() >= deadline;
    session_outcome(s, outcome, late ? "no answer in time (database.statement_timeout)" : PQerrorMessage(s->pg));
    session_lose(s);
    return &s->result;
}

/* False: the result is set. */
static bool session_prepare(struct db_session *s, enum db_statement statement, uint64_t deadline)
{
    const struct db_statement_info *info = &db_statements[statement];
    if (!s->prepare || s->prepared[statement])
        return true;
    if (!PQsendPrepare(s->pg, info->name, info->sql, 0, NULL) || !session_collect(s, deadline)) {
        session_broken(s, DB_UNAVAILABLE, deadline);
        return false;
    }
    if (s->error != NULL) {
        session_failed(s);
        return false;
    }
    s->prepared[statement] = true;
    return true;
}

static const struct db_result *session_run(struct db_session *s, enum db_statement statement,
                                           const struct db_params *params)
{
    const struct db_statement_info *info = &db_statements[statement];
    uint64_t deadline = clock_mono_ms() + s->statement_timeout;
    if (!db_session_connect(s, &s->message))
        return session_outcome(s, DB_UNAVAILABLE, NULL);
    strbuf_reset(&s->message); /* hosts before the one that took us */
    if (!session_prepare(s, statement, deadline))
        return &s->result;
    if (!session_send(s, info, params) || !session_collect(s, deadline))
        return session_broken(s, info->lane == DB_LANE_READ ? DB_UNAVAILABLE : DB_UNKNOWN, deadline);
    if (s->error != NULL)
        return session_failed(s);
    s->result.pg = s->answer;
    return session_outcome(s, DB_OK, NULL);
}

const struct db_result *db_session_run(struct db_session *session, enum db_statement statement,
                                       struct db_params *params)
{
    session_clear(session);
    const struct db_result *result = session_run(session, statement, params);
    db_params_release(params);
    return result;
}

static bool sql_is(const char *sql, const char *command)
{
    return strncmp(sql, command, strlen(command)) == 0;
}

/* After a loss within a transaction only its end is let through. */
static bool session_end_lost(struct db_session *s, const char *sql, struct strbuf *error)
{
    if (sql_is(sql, "ROLLBACK") || sql_is(sql, "COMMIT"))
        s->lost_transaction = false;
    return sql_is(sql, "ROLLBACK") || strbuf_error(error, "the connection was lost within the transaction");
}

static bool session_exec(struct db_session *s, const char *sql, struct strbuf *error)
{
    if (PQsendQuery(s->pg, sql) && session_collect(s, FOREVER)) {
        if (s->error == NULL)
            return true;
        const char *state = PQresultErrorField(s->error, PG_DIAG_SQLSTATE);
        strncpy(s->result.sqlstate, state == NULL ? "" : state, sizeof(s->result.sqlstate) - 1);
        message_all_lines(error, PQresultErrorMessage(s->error));
        return false;
    }
    message_first_line(error, s->error != NULL ? PQresultErrorMessage(s->error) : PQerrorMessage(s->pg));
    session_lose(s);
    if (sql_is(sql, "COMMIT") || sql_is(sql, "ROLLBACK"))
        s->lost_transaction = false;
    return false;
}

bool db_session_exec(struct db_session *session, const char *sql, struct strbuf *error)
{
    session_clear(session);
    session_look(session);
    if (session->lost_transaction)
        return session_end_lost(session, sql, error);
    return db_session_connect(session, error) && session_exec(session, sql, error);
}

const char *db_session_sqlstate(const struct db_session *session)
{
    return session->result.sqlstate;
}

unsigned db_session_connects(const struct db_session *session)
{
    return session->connects;
}

int db_session_fd(const struct db_session *session)
{
    return session->pg == NULL ? -1 : PQsocket(session->pg);
}

struct pg_conn *db_session_pg(struct db_session *session)
{
    return session->pg;
}
