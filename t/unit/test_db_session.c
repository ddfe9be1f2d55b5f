/*
 * Drives db/session.h and db/migrations.h for t/14_db_session.t. One command a line on stdin, one answer a line on
 * stdout:
 *
 *   migrate            → done | unreachable REASON | refused REASON
 *   run STATEMENT …    → ok ROWS | failed SQLSTATE MESSAGE | unavailable MESSAGE | unknown MESSAGE     (t:TEXT
 * parameters) exec SQL           → ok | error REASON connect            → ok | error REASON fd                 →
 * connected | not connected
 */
#include "db/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "core/log.h"
#include "db/migrations.h"

static void answer(bool good, const struct strbuf *error)
{
    printf("%s%s\n", good ? "ok" : "error ", good ? "" : error->data);
}

static void command_migrate(struct db_session *session)
{
    static const char *const names[] = {
        [DB_MIGRATE_DONE] = "done", [DB_MIGRATE_UNREACHABLE] = "unreachable ", [DB_MIGRATE_REFUSED] = "refused "};
    struct strbuf error = STRBUF_INIT;
    enum db_migrate_outcome outcome = db_migrations_apply(session, &error);
    printf("%s%s\n", names[outcome], error.data);
    strbuf_release(&error);
}

static enum db_statement statement_named(const char *name)
{
    for (int i = 0; i < STMT_COUNT; i++)
        if (strcmp(db_statements[i].name, name) == 0)
            return (enum db_statement)i;
    fprintf(stderr, "no statement '%s'\n", name);
    exit(2);
}

static void command_run(struct db_session *session, char *words)
{
    char *rest = NULL;
    const char *name = strtok_r(words, " ", &rest);
    struct db_params params;
    db_params_init(&params);
    for (const char *w = strtok_r(NULL, " ", &rest); w != NULL; w = strtok_r(NULL, " ", &rest))
        db_params_str(&params, w + 2);
    const struct db_result *r = db_session_run(session, statement_named(name), &params);
    static const char *const names[] = {
        [DB_OK] = "ok", [DB_FAILED] = "failed", [DB_UNAVAILABLE] = "unavailable", [DB_UNKNOWN] = "unknown"};
    if (r->outcome == DB_OK)
        printf("ok %d\n", db_result_rows(r));
    else
        printf("%s%s%s %s\n", names[r->outcome], r->sqlstate[0] == '\0' ? "" : " ", r->sqlstate, r->message);
    if (params.count != 0)
        puts("violation: the parameters were not emptied");
}

static void command(struct db_session *session, char *line)
{
    struct strbuf error = STRBUF_INIT;
    if (strcmp(line, "migrate") == 0)
        command_migrate(session);
    else if (strncmp(line, "run ", 4) == 0)
        command_run(session, line + 4);
    else if (strncmp(line, "exec ", 5) == 0)
        answer(db_session_exec(session, line + 5, &error), &error);
    else if (strcmp(line, "connect") == 0)
        answer(db_session_connect(session, &error), &error);
    else if (strcmp(line, "fd") == 0)
        puts(db_session_fd(session) >= 0 && db_session_pg(session) != NULL ? "connected" : "not connected");
    else
        puts("bad command");
    strbuf_release(&error);
}

int main(int argc, char **argv)
{
    struct config config = {
        .database_prepared_statements = argc < 3 || strcmp(argv[2], "unprepared") != 0,
        .database_statement_timeout = 1000,
        .database_connect_timeout = 1000,
    };
    char line[4096];
    struct strbuf error = STRBUF_INIT;
    if (argc < 2) {
        puts("1..0 # SKIP driven by t/14_db_session.t");
        return 0;
    }
    if (getenv("TEST_DB_SESSION_LOG") != NULL && !log_open(getenv("TEST_DB_SESSION_LOG"), LOG_LEVEL_DEBUG, &error))
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct db_session *session = db_session_new(&config, argv[1]);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        command(session, line);
    }
    db_session_free(&session);
    strbuf_release(&error);
    puts("bye");
    return 0;
}
