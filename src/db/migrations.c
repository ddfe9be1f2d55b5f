/*
 * db_migrations: see the header. In the migrate process.
 *
 *   bootstrap → each migration that is missing, in order → functions whose text changed
 *
 * Each step is one transaction that first takes the advisory lock, so that hosts which start at the same time take
 * turns and each sees what the one before it did. The lock is the transaction's, not the session's: that works through
 * PgBouncer, too.
 */
#include "db/migrations.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/digest.h"
#include "core/hex.h"
#include "core/log.h"
#include "db/message.h"
#include "db/session.h"
#include "db/statements.h"

#define OLDEST_SERVER 130000
#define SQLSTATE_REFUSED "V0001" /* our own, of no class of PostgreSQL's: this schema is not ours to touch */

/*
 * The lock's number is the first eight bytes of SHA-256("verstak-sync-server migrations") without the sign. A migration
 * may take long, but not wait long for a table: whoever comes after it in the queue for that table waits, too.
 */
#define BEGIN_LOCKED                                                                 \
    "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SET LOCAL " \
    "idle_in_transaction_session_timeout = 0; "                                      \
    "SELECT pg_advisory_xact_lock(1354164255563393280); "                            \
    "SET LOCAL lock_timeout = '10s'; SET LOCAL check_function_bodies = off"

enum step { STEP_DONE, STEP_NOTHING, STEP_FAILED };

struct migration {
    struct db_session *session;
    struct strbuf *error;
    char sqlstate[6]; /* of the failure; "" when the connection was lost */
};

static void migration_failed(struct migration *m, const char *sqlstate, const char *message)
{
    strncpy(m->sqlstate, sqlstate == NULL ? "" : sqlstate, sizeof(m->sqlstate) - 1);
    message_all_lines(m->error, message);
}

/* A short query of ours with text parameters and a text result; NULL when it failed. The caller clears the result. */
static PGresult *migration_query(struct migration *m, const char *sql, int count, const char *const *values)
{
    PGresult *r = PQexecParams(db_session_pg(m->session), sql, count, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(r) == PGRES_TUPLES_OK || PQresultStatus(r) == PGRES_COMMAND_OK)
        return r;
    migration_failed(m, PQresultErrorField(r, PG_DIAG_SQLSTATE), PQresultErrorMessage(r));
    PQclear(r);
    return NULL;
}

static bool migration_run(struct migration *m, const char *sql, int count, const char *const *values)
{
    PGresult *r = migration_query(m, sql, count, values);
    PQclear(r);
    return r != NULL;
}

static bool migration_exec(struct migration *m, const char *sql)
{
    struct strbuf message = STRBUF_INIT;
    bool good = db_session_exec(m->session, sql, &message);
    if (!good)
        migration_failed(m, db_session_sqlstate(m->session), message.data);
    strbuf_release(&message);
    return good;
}

static void file_digest(const struct db_sql_file *file, char out_r[DIGEST_HEX_SIZE])
{
    unsigned char digest[DIGEST_SIZE];
    digest_sha256(file->sql, strlen(file->sql), digest);
    hex_encode(digest, sizeof(digest), out_r);
}

/* One row of schema_migrations against the file of that number. */
static bool migration_check_applied(int version, const char *name, const char *sha256, struct strbuf *error)
{
    char digest[DIGEST_HEX_SIZE];
    if (version < 1 || (size_t)version > db_migration_file_count)
        return strbuf_error(
            error,
            "the database has migration '%s', but this program knows only the first %zu: a newer version "
            "has written to it; install that version or a later one",
            name, db_migration_file_count);
    file_digest(&db_migration_files[version - 1], digest);
    if (strcmp(digest, sha256) != 0)
        return strbuf_error(error,
                            "migration '%s' was applied to the database with another text than this program has; "
                            "use the program that the database was made with, or a later release of it",
                            name);
    return true;
}

/* Finds the first migration that is missing; the number of files when none is. */
static bool migration_find_missing(struct migration *m, size_t *missing_r)
{
    PGresult *r = migration_query(m, "SELECT version, name, sha256 FROM schema_migrations ORDER BY version", 0, NULL);
    bool good = r != NULL;
    size_t in_order = 0;
    for (int i = 0; i < PQntuples(r) && good; i++) {
        int version = (int)strtol(PQgetvalue(r, i, 0), NULL, 10); /* an int4 of ours */
        good = migration_check_applied(version, PQgetvalue(r, i, 1), PQgetvalue(r, i, 2), m->error);
        in_order += (size_t)version == in_order + 1;
    }
    if (r != NULL && !good)
        strcpy(m->sqlstate, SQLSTATE_REFUSED);
    PQclear(r);
    *missing_r = in_order;
    return good;
}

static bool migration_record(struct migration *m, const struct db_sql_file *file)
{
    char version[16], digest[DIGEST_HEX_SIZE];
    snprintf(version, sizeof(version), "%d", file->version);
    file_digest(file, digest);
    const char *const values[] = {version, file->name, digest};
    return migration_run(m, "INSERT INTO schema_migrations (version, name, sha256) VALUES ($1::int, $2, $3)", 3,
                         values);
}

/* Within the transaction: the next migration that is missing. */
static enum step step_migration(struct migration *m)
{
    size_t missing;
    if (!migration_find_missing(m, &missing))
        return STEP_FAILED;
    if (missing == db_migration_file_count)
        return STEP_NOTHING;
    const struct db_sql_file *file = &db_migration_files[missing];
    if (!migration_exec(m, file->sql) || !migration_record(m, file)) {
        strbuf_error(m->error, " (in migration '%s'; nothing of it was applied)", file->name);
        return STEP_FAILED;
    }
    log_info("applied migration %s", file->name);
    return STEP_DONE;
}

static enum step step_bootstrap(struct migration *m)
{
    return migration_exec(m, db_bootstrap_sql) ? STEP_DONE : STEP_FAILED;
}

static enum step step_function(struct migration *m, const struct db_sql_file *file)
{
    char digest[DIGEST_HEX_SIZE];
    file_digest(file, digest);
    const char *const values[] = {file->name, digest};
    PGresult *r = migration_query(m, "SELECT 1 FROM schema_functions WHERE name = $1 AND sha256 = $2", 2, values);
    bool known = PQntuples(r) > 0;
    PQclear(r);
    if (r == NULL)
        return STEP_FAILED;
    if (known)
        return STEP_NOTHING;
    if (!migration_exec(m, file->sql) ||
        !migration_run(m,
                       "INSERT INTO schema_functions (name, sha256) VALUES ($1, $2) "
                       "ON CONFLICT (name) DO UPDATE SET sha256 = excluded.sha256, applied_at = now()",
                       2, values)) {
        strbuf_error(m->error, " (in functions/%s.sql; none of the functions were changed)", file->name);
        return STEP_FAILED;
    }
    log_info("applied functions %s", file->name);
    return STEP_DONE;
}

static enum step step_functions(struct migration *m)
{
    for (size_t i = 0; i < db_function_file_count; i++)
        if (step_function(m, &db_function_files[i]) == STEP_FAILED)
            return STEP_FAILED;
    return STEP_DONE;
}

static enum step migration_transaction(struct migration *m, enum step (*step)(struct migration *))
{
    enum step done = migration_exec(m, BEGIN_LOCKED) ? step(m) : STEP_FAILED;
    if (done != STEP_FAILED)
        return migration_exec(m, "COMMIT") ? done : STEP_FAILED;
    struct strbuf ignored = STRBUF_INIT; /* the first reason is the one that counts */
    if (!db_session_exec(m->session, "ROLLBACK", &ignored))
        log_debug("cannot roll back: %s", ignored.data);
    strbuf_release(&ignored);
    return STEP_FAILED;
}

static bool migration_check_server(struct migration *m)
{
    int version = PQserverVersion(db_session_pg(m->session));
    const char *encoding = PQparameterStatus(db_session_pg(m->session), "server_encoding");
    if (version < OLDEST_SERVER)
        return strbuf_error(m->error, "the database server is PostgreSQL %d; this program needs 13 or newer",
                            version / 10000);
    if (encoding != NULL && strcmp(encoding, "UTF8") != 0)
        return strbuf_error(m->error, "the database's encoding is %s; create it with ENCODING 'UTF8'", encoding);
    return true;
}

/* Classes of errors that time or another host may cure: connection, rollback, resources, locks, operator; and a host
 * without writes. */
static bool migration_may_try_again(const struct migration *m)
{
    static const char *const classes[] = {"08", "40", "53", "55", "57", "25006"};
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
        if (strncmp(m->sqlstate, classes[i], strlen(classes[i])) == 0)
            return true;
    return m->sqlstate[0] == '\0';
}

enum db_migrate_outcome db_migrations_apply(struct db_session *session, struct strbuf *error)
{
    struct migration m = {.session = session, .error = error};
    if (!db_session_connect(session, error))
        return db_session_hopeless(session) ? DB_MIGRATE_REFUSED : DB_MIGRATE_UNREACHABLE;
    if (!migration_check_server(&m))
        return DB_MIGRATE_REFUSED;
    enum step step = migration_transaction(&m, step_bootstrap);
    while (step == STEP_DONE)
        step = migration_transaction(&m, step_migration);
    if (step == STEP_NOTHING)
        step = migration_transaction(&m, step_functions);
    if (step != STEP_FAILED)
        return DB_MIGRATE_DONE;
    return migration_may_try_again(&m) ? DB_MIGRATE_UNREACHABLE : DB_MIGRATE_REFUSED;
}
