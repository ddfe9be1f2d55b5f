/* A password for the command line: from a file, from standard input, or typed without echo. */
#ifndef CLI_PASSWORD_INPUT_H
#define CLI_PASSWORD_INPUT_H

#include <stdbool.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct password_source {
    const char *file;    /* --password-file, or NULL */
    bool standard_input; /* --password-stdin */
};

/*
 * The first line, without its end, checked by the rules for passwords. With neither source it asks twice when standard
 * input is a terminal, and fails when it is none. The caller wipes and releases the password.
 */
bool password_input_read(const struct password_source *source, struct strbuf *password_r,
                         struct strbuf *error) WARN_UNUSED;

#endif
