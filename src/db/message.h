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

/* Appends all its lines (what, where in the SQL, in which function) as one. out may be NULL. */
static inline void message_all_lines(struct strbuf *out, const char *message)
{
    for (const char *line = message; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        strbuf_error(out, "%s%.*s", line == message ? "" : "; ", (int)len, line);
        line += len + (line[len] != '\0');
    }
}

#endif
