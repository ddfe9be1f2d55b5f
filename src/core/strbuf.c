/* strbuf: the growing byte string of all layers. No state of its own; a strbuf belongs to one thread at a time. */
#include "core/strbuf.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

/* Shared by all empty strbufs; never written, since capacity 0 says that there is no room. */
char strbuf_empty[1];

void strbuf_init(struct strbuf *b)
{
    *b = (struct strbuf)STRBUF_INIT;
}

void strbuf_release(struct strbuf *b)
{
    if (b->capacity)
        free(b->data);
    strbuf_init(b);
}

void strbuf_reset(struct strbuf *b)
{
    b->len = 0;
    if (b->capacity)
        b->data[0] = '\0';
}

/* Afterwards `more` bytes and the terminating zero fit. Doubles, so that appending costs linear time. */
void strbuf_reserve(struct strbuf *b, size_t more)
{
    assert(more < SIZE_MAX / 2 - b->len);
    size_t needed = b->len + more + 1;
    if (needed <= b->capacity)
        return;
    size_t capacity = b->capacity ? b->capacity * 2 : 64;
    if (capacity < needed)
        capacity = needed;
    bool owned = b->capacity != 0;
    b->data = mem_realloc(owned ? b->data : NULL, capacity);
    b->capacity = capacity;
    b->data[b->len] = '\0';
}

void strbuf_append(struct strbuf *b, const void *data, size_t len)
{
    if (!len)
        return;
    strbuf_reserve(b, len);
    memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void strbuf_append_char(struct strbuf *b, char c)
{
    strbuf_append(b, &c, 1);
}

void strbuf_append_str(struct strbuf *b, const char *s)
{
    strbuf_append(b, s, strlen(s));
}

void strbuf_printf(struct strbuf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    strbuf_vprintf(b, format, args);
    va_end(args);
}

void strbuf_vprintf(struct strbuf *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    size_t room = b->capacity ? b->capacity - b->len : 0;
    int len = vsnprintf(room ? b->data + b->len : NULL, room, format, args);
    assert(len >= 0);
    if ((size_t)len >= room) {
        strbuf_reserve(b, (size_t)len);
        vsnprintf(b->data + b->len, (size_t)len + 1, format, again);
    }
    va_end(again);
    b->len += (size_t)len;
}

char *strbuf_detach(struct strbuf *b)
{
    char *data = b->capacity ? b->data : mem_strdup("");
    strbuf_init(b);
    return data;
}

bool strbuf_error(struct strbuf *error, const char *format, ...)
{
    if (error) {
        va_list args;
        va_start(args, format);
        strbuf_vprintf(error, format, args);
        va_end(args);
    }
    return false;
}
