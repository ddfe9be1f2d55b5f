/*
 * `verstak-sync-server user …`, in the process that the operator started. The steps: read the command line, read the
 * password if there is one to set (as the user who called, for the file may be theirs alone), open the database
 * (proc/cluster_visit.h), run one statement, say what came of it.
 */
#include "cli/user.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/accounts.h"
#include "auth/passwords.h"
#include "cli/user_call.h"
#include "core/clock.h"
#include "core/compiler.h"
#include "core/config.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "db/params.h"
#include "db/result.h"
#include "db/session.h"
#include "proc/cluster_visit.h"

enum { STATUS_DONE = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

/* What a command needs to know. */
struct job {
    const char *name; /* user name, or address where there is one; for `list` a part of either, or NULL */
    const char *email;
    char password_hash[PASSWORDS_HASH_SIZE];
};

struct command {
    const char *name, *argument, *text;
    bool needs_name, sets_password;
    /* Runs the statement and prints what came of it. */
    bool (*run)(const struct job *job, struct db_session *session, struct strbuf *error);
};

/* Runs a statement; NULL with a message that says what to do. */
static const struct db_result *run(struct db_session *session, enum db_statement statement, struct db_params *params,
                                   struct strbuf *error)
{
    const struct db_result *result = db_session_run(session, statement, params);
    if (result->outcome == DB_OK)
        return result;
    if (result->outcome == DB_UNKNOWN)
        strbuf_error(error, "the connection to the database broke off: look with `user list` whether it was done");
    else if (strncmp(result->sqlstate, "42", 2) == 0)
        strbuf_error(error, "the database has not been set up for this version; start the server once (%s)",
                     result->message);
    else
        strbuf_error(error, "the database refused: %s", result->message);
    return NULL;
}

static bool no_such_user(const struct job *job, struct strbuf *error)
{
    return strbuf_error(error, "no user '%s'; `user list` shows all", job->name);
}

static bool run_add(const struct job *job, struct db_session *session, struct strbuf *error)
{
    struct db_params params;
    db_params_init(&params);
    db_params_str(&params, job->name);
    db_params_str(&params, job->email == NULL ? "" : job->email);
    db_params_str(&params, job->password_hash);
    const struct db_result *result = run(session, STMT_USER_ADD, &params, error);
    if (result == NULL)
        return false;
    if (!db_result_null(result, 0, 0))
        return strbuf_error(error, "%s", db_result_text(result, 0, 1, NULL));
    printf("user '%s' added, id %lld\n", job->name, (long long)db_result_int(result, 0, 2));
    return true;
}

/* Separated by tabs: for people and for cut(1). */
static bool run_list(const struct job *job, struct db_session *session, struct strbuf *error)
{
    struct db_params params;
    db_params_init(&params);
    db_params_str(&params, job->name == NULL ? "" : job->name);
    const struct db_result *result = run(session, STMT_USER_LIST, &params, error);
    if (result == NULL)
        return false;
    printf("ID\tNAME\tEMAIL\tSTATE\tDEVICES\tOPERATIONS\tBLOB_BYTES\tLAST_SEEN\tCREATED\n");
    for (int row = 0; row < db_result_rows(result); row++) {
        char seen[CLOCK_RFC3339_SIZE], created[CLOCK_RFC3339_SIZE];
        const char *state = db_result_bool(result, row, 4)   ? "blocked"
                            : db_result_bool(result, row, 3) ? "active"
                                                             : "unconfirmed";
        db_result_time(result, row, 5, seen);
        db_result_time(result, row, 6, created);
        printf("%lld\t%s\t%s\t%s\t%lld\t%lld\t%lld\t%s\t%s\n", (long long)db_result_int(result, row, 0),
               db_result_text(result, row, 1, NULL), db_result_text(result, row, 2, NULL), state,
               (long long)db_result_int(result, row, 7), (long long)db_result_int(result, row, 8),
               (long long)db_result_int(result, row, 9), seen, created);
    }
    return true;
}

/* The statements that change one account answer alike: its id, NULL when there is none, and its name. */
static bool change(const struct job *job, struct db_session *session, enum db_statement statement,
                   struct db_params *params, const char *done, struct strbuf *error)
{
    const struct db_result *result = run(session, statement, params, error);
    if (result == NULL)
        return false;
    if (db_result_null(result, 0, 0))
        return no_such_user(job, error);
    printf("user '%s' %s\n", db_result_text(result, 0, 1, NULL), done);
    return true;
}

static bool set_blocked(const struct job *job, struct db_session *session, bool blocked, struct strbuf *error)
{
    struct db_params params;
    db_params_init(&params);
    db_params_str(&params, job->name);
    db_params_bool(&params, blocked);
    return change(job, session, STMT_USER_SET_BLOCKED, &params, blocked ? "blocked" : "unblocked", error);
}

static bool run_block(const struct job *job, struct db_session *session, struct strbuf *error)
{
    return set_blocked(job, session, true, error);
}

static bool run_unblock(const struct job *job, struct db_session *session, struct strbuf *error)
{
    return set_blocked(job, session, false, error);
}

static bool run_passwd(const struct job *job, struct db_session *session, struct strbuf *error)
{
    struct db_params params;
    db_params_init(&params);
    db_params_str(&params, job->name);
    db_params_str(&params, job->password_hash);
    return change(job, session, STMT_USER_SET_PASSWORD, &params, "has a new password", error);
}

static bool run_delete(const struct job *job, struct db_session *session, struct strbuf *error)
{
    struct db_params params;
    db_params_init(&params);
    db_params_str(&params, job->name);
    return change(job, session, STMT_USER_DELETE, &params, "deleted with all devices and vaults", error);
}

static const struct command commands[] = {
    {"add", "NAME [--email ADDRESS]", "Add a user, who can pair devices at once.", true, true, run_add},
    {"list", "[TEXT]", "List all users, or those with TEXT in their name or address.", false, false, run_list},
    {"block", "NAME", "Refuse the user and all the user's devices.", true, false, run_block},
    {"unblock", "NAME", "Admit a blocked user again.", true, false, run_unblock},
    {"passwd", "NAME", "Set a new password; devices stay paired.", true, true, run_passwd},
    {"delete", "NAME", "Delete the user with all devices, vaults and operations.", true, false, run_delete},
};

static void print_usage(FILE *out)
{
    fprintf(out, "usage: verstak-sync-server user COMMAND [NAME] [OPTION]…\n\n");
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        fprintf(out, "  %-8s %-24s %s\n", commands[i].name, commands[i].argument, commands[i].text);
    fprintf(out, "\nNAME is a user name or, where one has been given, an e-mail address.\n\n"
                 "  --password-file FILE   Read the password from the first line of a file.\n"
                 "  --password-stdin       Read it from the first line of standard input.\n"
                 "                         Without either it is asked for at the terminal.\n"
                 "  --data DIR             The server's data directory (default ./server-data).\n"
                 "  --config FILE          The server's configuration (default DIR/config.yml).\n"
                 "  --database-url URL     The shared database, as database.url of the configuration.\n"
                 "  --user NAME            The user to become when root calls (server.user).\n"
                 "  --SECTION.KEY VALUE    Any option of the configuration.\n\n"
                 "Works on the running server's database; when none runs, PostgreSQL is started for the duration.\n");
}

/* NULL: there is none of that name. */
static const struct command *find_command(const char *name, struct strbuf *error)
{
    for (size_t i = 0; name != NULL && i < ARRAY_SIZE(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    if (name == NULL)
        strbuf_error(error, "no command given");
    else
        strbuf_error(error, "unknown command '%s'", name);
    return NULL;
}

/* What can be known to be wrong before anything is asked or opened. */
static bool check_call(const struct user_call *call, const struct command *command, struct strbuf *error)
{
    const char *fault = NULL;
    if (command->needs_name && call->name == NULL)
        return strbuf_error(error, "user %s: needs a name", command->name);
    if (call->email != NULL && command->run != run_add)
        return strbuf_error(error, "user %s: takes no --email", command->name);
    if (!command->sets_password && (call->password_source.file != NULL || call->password_source.standard_input))
        return strbuf_error(error, "user %s: takes no password", command->name);
    if (call->password_source.file != NULL && call->password_source.standard_input)
        return strbuf_error(error, "only one of --password-file and --password-stdin is possible");
    if (command->run == run_add)
        fault = accounts_name_fault(call->name, strlen(call->name));
    if (fault == NULL && call->email != NULL)
        fault = accounts_email_fault(call->email, strlen(call->email));
    if (fault == NULL && call->name != NULL && !utf8_storable(call->name, strlen(call->name)))
        fault = "the name is not UTF-8";
    return fault == NULL || strbuf_error(error, "%s", fault);
}

/* The hash of the password that is asked for; the password itself does not outlive the call. */
static bool make_hash(const struct user_call *call, const struct config *config, struct job *job, struct strbuf *error)
{
    struct strbuf password = STRBUF_INIT;
    bool made = password_input_read(&call->password_source, &password, error);
    if (made && !passwords_hash(password.data, (int)config->password_cost, job->password_hash))
        made = strbuf_error(error, "cannot hash the password: libcrypt does not make bcrypt hashes of cost %d",
                            (int)config->password_cost);
    mem_wipe(password.data, password.len);
    strbuf_release(&password);
    return made;
}

/* Everything after the command line has been read. */
static bool carry_out(struct user_call *call, const struct command *command, struct strbuf *error)
{
    struct job job = {.name = call->name, .email = call->email};
    struct config *config = config_load(&call->flags, error);
    struct cluster_visit *visit = NULL;
    bool done = config != NULL && (!command->sets_password || make_hash(call, config, &job, error));
    if (done)
        visit = cluster_visit_begin(config, &call->flags, error);
    done = visit != NULL && command->run(&job, cluster_visit_session(visit), error);
    cluster_visit_end(&visit);
    config_free(&config);
    mem_wipe(job.password_hash, sizeof(job.password_hash));
    return done;
}

static int usage_error(const struct strbuf *error)
{
    fprintf(stderr, "verstak-sync-server: %s; see verstak-sync-server user --help\n", error->data);
    return STATUS_USAGE;
}

static int perform(struct user_call *call, struct strbuf *error)
{
    const struct command *command = find_command(call->command, error);
    if (command == NULL || !check_call(call, command, error))
        return usage_error(error);
    if (carry_out(call, command, error))
        return STATUS_DONE;
    fprintf(stderr, "verstak-sync-server: %s\n", error->data);
    return STATUS_FAILED;
}

int user_main(int argc, char **argv)
{
    struct strbuf error = STRBUF_INIT;
    struct user_call call;
    int status = STATUS_DONE;

    if (!user_call_parse(&call, argc, argv, &error))
        status = usage_error(&error);
    else if (call.help)
        print_usage(stdout);
    else
        status = perform(&call, &error);
    if (fflush(stdout) != 0 && status == STATUS_DONE)
        status = STATUS_FAILED;
    user_call_release(&call);
    strbuf_release(&error);
    return status;
}
