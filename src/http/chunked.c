/*
 * The decoder of chunked bodies, in a worker; called by http/edge.c in place of libh2o's.
 */
#include "http/chunked.h"

#include <stdbool.h>
#include <string.h>

enum state {
    AT_SIZE, /* zero: the first state */
    AT_EXTENSION,
    AT_SIZE_LF,
    AT_DATA,
    AT_DATA_CR,
    AT_DATA_LF,
    AT_TRAILER_LINE, /* first byte of a line */
    AT_TRAILER,
    AT_TRAILER_LF,
    AT_END_LF,
    AT_END,
    AT_BROKEN,
};

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Visible bytes, blanks and everything above ASCII: no control byte. */
static bool is_text(char c)
{
    return c == '\t' || ((unsigned char)c >= 0x20 && c != 0x7f);
}

static enum state at_size(struct chunked_decoder *d, char c)
{
    int digit = digit_value(c);
    if (digit >= 0) {
        if (++d->count > 15) /* sixteen digits do not fit into what one can add up */
            return AT_BROKEN;
        d->left = d->left * 16 + (size_t)digit;
        return AT_SIZE;
    }
    if (d->count == 0)
        return AT_BROKEN;
    d->count = 0;
    if (c == ';')
        return AT_EXTENSION;
    return c == '\r' ? AT_SIZE_LF : AT_BROKEN;
}

static enum state at_extension(struct chunked_decoder *d, char c)
{
    if (c == '\r')
        return AT_SIZE_LF;
    return is_text(c) && ++d->count < CHUNKED_EXTENSION_MAX ? AT_EXTENSION : AT_BROKEN;
}

static enum state at_trailer(struct chunked_decoder *d, char c, bool first)
{
    if (++d->left > CHUNKED_TRAILER_MAX)
        return AT_BROKEN;
    if (c == '\r')
        return first ? AT_END_LF : AT_TRAILER_LF;
    return is_text(c) ? AT_TRAILER : AT_BROKEN;
}

/* The state after one byte that is no data. */
static enum state step(struct chunked_decoder *d, char c)
{
    switch ((enum state)d->state) {
    case AT_SIZE:
        return at_size(d, c);
    case AT_EXTENSION:
        return at_extension(d, c);
    case AT_SIZE_LF:
        d->count = 0;
        if (c != '\n')
            return AT_BROKEN;
        return d->left > 0 ? AT_DATA : AT_TRAILER_LINE;
    case AT_DATA_CR:
        return c == '\r' ? AT_DATA_LF : AT_BROKEN;
    case AT_DATA_LF:
        return c == '\n' ? AT_SIZE : AT_BROKEN;
    case AT_TRAILER_LINE:
        return at_trailer(d, c, true);
    case AT_TRAILER:
        return at_trailer(d, c, false);
    case AT_TRAILER_LF:
        return c == '\n' ? AT_TRAILER_LINE : AT_BROKEN;
    case AT_END_LF:
        return c == '\n' ? AT_END : AT_BROKEN;
    case AT_DATA:
    case AT_END:
    case AT_BROKEN:
        break;
    }
    return AT_BROKEN;
}

/* Moves as much of the chunk as is there. */
static size_t take_data(struct chunked_decoder *d, char *to, const char *from, size_t available)
{
    size_t n = available < d->left ? available : d->left;
    if (to != from)
        memmove(to, from, n);
    d->left -= n;
    if (d->left == 0)
        d->state = AT_DATA_CR;
    return n;
}

ssize_t chunked_decode(struct chunked_decoder *decoder, char *buf, size_t *len)
{
    size_t from = 0, to = 0, end = *len;
    while (from < end && decoder->state != AT_END && decoder->state != AT_BROKEN) {
        if (decoder->state == AT_DATA) {
            size_t n = take_data(decoder, buf + to, buf + from, end - from);
            from += n;
            to += n;
        } else {
            decoder->state = (char)step(decoder, buf[from]);
            ++from;
        }
    }
    *len = to;
    if (decoder->state == AT_BROKEN)
        return CHUNKED_BROKEN;
    if (decoder->state != AT_END)
        return CHUNKED_INCOMPLETE;
    memmove(buf + to, buf + from, end - from);
    return (ssize_t)(end - from);
}
