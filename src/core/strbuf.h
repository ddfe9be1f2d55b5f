/*
 * strbuf: a byte string that grows. `data` is always terminated by a zero byte that `len` does not count;
 * an empty strbuf points to a static empty string and owns nothing. Lives embedded: init / release.
 */
#ifndef CORE_STRBUF_H
#define CORE_STRBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"

struct strbuf {
    char *data;
    size_t len;
    size_t capacity;
};

extern char strbuf_empty[1];
#define STRBUF_INIT          \
    {                        \
        .data = strbuf_empty \
    }

void strbuf_init(struct strbuf *b);
void strbuf_release(struct strbuf *b); /* frees and makes it an empty one again */
void strbuf_reset(struct strbuf *b);   /* empty, keeps the memory */
void strbuf_reserve(struct strbuf *b, size_t more);
void strbuf_append(struct strbuf *b, const void *data, size_t len);
void strbuf_append_char(struct strbuf *b, char c);
void strbuf_append_str(struct strbuf *b, const char *s);
void strbuf_printf(struct strbuf *b, const char *format, ...) PRINTF_LIKE(2, 3); /* appends */
void strbuf_vprintf(struct strbuf *b, const char *format, va_list args) PRINTF_LIKE(2, 0);
/* Hands the heap memory over to the caller (free()), never NULL; the strbuf is empty afterwards. */
char *strbuf_detach(struct strbuf *b);

/*
 * The `struct strbuf *error` parameter of calls that can fail: appends a message, prefixed by nothing.
 * NULL is allowed and means that the caller does not want the reason. Always returns false.
 */
bool strbuf_error(struct strbuf *error, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
