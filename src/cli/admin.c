/*
 * `verstak-sync-server admin NAME`, in the process that the operator started: reads the command line and the password,
 * and writes the entry into `admin:` of the configuration file, beside a server that may be running; that one reads it
 * at its next SIGHUP. The database is not needed.
 */
#include "cli/admin.h"

#include <stdio.h>
#include <string.h>

#include "auth/passwords.h"
#include "cli/user_call.h"
#include "core/config.h"
#include "core/mem.h"

enum { STATUS_DONE = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

static void print_usage(void)
{
    printf("usage: verstak-sync-server admin NAME [OPTION]…\n\n"
           "Writes the admin NAME into the configuration file, or gives that admin a new password. A running server\n"
           "knows it after SIGHUP.\n\n"
           "  --password-file FILE   Read the password from the first line of a file.\n"
           "  --password-stdin       Read it from the first line of standard input.\n"
           "                         Without either it is asked for at the terminal.\n"
           "  --data DIR             The server's data directory (default ./server-data).\n"
           "  --config FILE          The server's configuration (default DIR/config.yml).\n");
}

static bool check_call(const struct user_call *call, struct strbuf *error)
{
    if (call->command == NULL)
        return strbuf_error(error, "admin: needs a name");
    if (call->name != NULL)
        return strbuf_error(error, "unexpected argument '%s'", call->name);
    if (call->email != NULL)
        return strbuf_error(error, "admin: takes no --email");
    if (call->password_source.file != NULL && call->password_source.standard_input)
        return strbuf_error(error, "only one of --password-file and --password-stdin is possible");
    return true;
}

static bool write_entry(const struct user_call *call, const struct config *config, struct strbuf *error)
{
    struct strbuf password = STRBUF_INIT;
    char hash[PASSWORDS_HASH_SIZE];
    bool done = password_input_read(&call->password_source, &password, error);
    if (done && !passwords_hash(password.data, (int)config->password_cost, hash))
        done = strbuf_error(error, "cannot hash the password: libcrypt does not make bcrypt hashes of cost %d",
                            (int)config->password_cost);
    done = done && config_write_admin(config->file, call->command, hash, error);
    mem_wipe(password.data, password.len);
    strbuf_release(&password);
    return done;
}

static bool carry_out(struct user_call *call, struct strbuf *error)
{
    struct config *config = config_load(&call->flags, error);
    bool done = config != NULL && write_entry(call, config, error);
    if (done)
        printf("admin '%s' is in '%s'; a running server knows it after SIGHUP\n", call->command, config->file);
    config_free(&config);
    return done;
}

static int tell(int status, const struct strbuf *error)
{
    fprintf(stderr, "verstak-sync-server: %s%s\n", error->data,
            status == STATUS_USAGE ? "; see verstak-sync-server admin --help" : "");
    return status;
}

int admin_main(int argc, char **argv)
{
    struct strbuf error = STRBUF_INIT;
    struct user_call call;
    int status = STATUS_DONE;

    if (!user_call_parse(&call, argc, argv, &error))
        status = tell(STATUS_USAGE, &error);
    else if (call.help)
        print_usage();
    else if (!check_call(&call, &error))
        status = tell(STATUS_USAGE, &error);
    else if (!carry_out(&call, &error))
        status = tell(STATUS_FAILED, &error);
    if (fflush(stdout) != 0 && status == STATUS_DONE)
        status = STATUS_FAILED;
    user_call_release(&call);
    strbuf_release(&error);
    return status;
}
