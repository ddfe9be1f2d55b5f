/* Messages of libpq end with a newline, and may have more lines than a log line can take. */
#ifndef DB_MESSAGE_H
#define DB_MESSAGE_H

#include <string.h>

#include "core/strbuf.h"

/* Appends the first line of a message. out may be NULL. */
static inline void message_first_line(struct strbuf *out, const char *message)
{
    if (out != NULL)
        strbuf_append(out, message, strcspn(message, "\n"));
}

#endif
