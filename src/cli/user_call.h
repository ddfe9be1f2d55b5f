/* user_call: the command line of `verstak-sync-server user …`, and of `admin …`, read. */
#ifndef CLI_USER_CALL_H
#define CLI_USER_CALL_H

#include <stdbool.h>

#include "cli/password_input.h"
#include "core/compiler.h"
#include "core/config.h"
#include "core/strbuf.h"

struct user_call {
    const char *command; /* NULL only with help */
    const char *name;    /* second word, or NULL */
    const char *email;   /* --email, or NULL */
    struct password_source password_source;
    bool help;
    struct config_flags flags; /* what concerns the server's configuration */
};

/* argv as main() got it, argv[1] being "user" or "admin" (whose name is the first word); strings are borrowed from it. Release in both cases. */
bool user_call_parse(struct user_call *call, int argc, char **argv, struct strbuf *error) WARN_UNUSED;
void user_call_release(struct user_call *call);

#endif
