/*
 * db_session: the blocking twin of db/pool.h, for the processes that may wait: migrate, mailer, janitor and the command
 * line. One connection; reconnects by itself at the next call after a loss. A connection that was lost within a
 * transaction is not replaced before db_session_exec(…, "ROLLBACK"): what is left of the transaction must not run on
 * its own.
 */
#ifndef DB_SESSION_H
#define DB_SESSION_H

#include <stdbool.h>

#include "core/compiler.h"
#include "core/strbuf.h"
#include "db/params.h"
#include "db/result.h"
#include "db/statements.h"

struct config;
struct db_session;

struct db_session *db_session_new(const struct config *config, const char *conninfo); /* does not connect yet */
void db_session_free(struct db_session **session);
/* Connects if it is not: one round through the hosts, database.connect_timeout each. */
bool db_session_connect(struct db_session *session, struct strbuf *error) WARN_UNUSED;
/* True when the connection string is none, so that trying again is of no use. */
bool db_session_hopeless(const struct db_session *session);
/*
 * Runs a statement and waits, no longer than database.statement_timeout. params is emptied. The result belongs to the
 * session and lives until its next call.
 */
const struct db_result *db_session_run(struct db_session *session, enum db_statement statement,
                                       struct db_params *params);
/* Runs SQL text of ours (BEGIN, COMMIT, migrations), several statements allowed. Waits as long as it takes. */
bool db_session_exec(struct db_session *session, const char *sql, struct strbuf *error) WARN_UNUSED;
/* SQLSTATE of the last call when PostgreSQL refused it, else "". */
const char *db_session_sqlstate(const struct db_session *session);
/* How many connections were made: after a change what was set for the former one (LISTEN) is gone. */
unsigned db_session_connects(const struct db_session *session);
/* The socket, for poll() while waiting for NOTIFY; -1 when not connected. */
int db_session_fd(const struct db_session *session);
/* Borrowed until the next call of the session; NULL when not connected. */
struct pg_conn *db_session_pg(struct db_session *session);

/*
 * The connection string of this configuration: database.url, or the private cluster's socket. Heap, caller frees; hold
 * it out of logs.
 */
char *db_conninfo(const struct config *config);

#endif
