/*
 * Query strings and forms, in a worker; called by http/request_input.c and http/request_body.c.
 */
#include "http/urlencoded.h"

#include <string.h>

#include "core/utf8.h"

bool urlencoded_next(const char **at, size_t *len, const char **name_r, size_t *name_len_r, const char **value_r,
                     size_t *value_len_r)
{
    while (*len > 0) {
        const char *piece = *at, *stop = memchr(piece, '&', *len);
        size_t piece_len = stop != NULL ? (size_t)(stop - piece) : *len;
        size_t used = stop != NULL ? piece_len + 1 : piece_len;
        *at += used;
        *len -= used;
        if (piece_len == 0)
            continue;
        const char *equals = memchr(piece, '=', piece_len);
        *name_r = piece;
        *name_len_r = equals != NULL ? (size_t)(equals - piece) : piece_len;
        *value_r = equals != NULL ? equals + 1 : piece + piece_len;
        *value_len_r = (size_t)(piece + piece_len - *value_r);
        return true;
    }
    return false;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool urlencoded_decode(const char *s, size_t len, char *out_r, size_t *out_len_r)
{
    size_t n = 0;
    for (size_t i = 0; i < len; ++i) {
        char c = s[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = len - i > 2 ? digit_value(s[i + 1]) : -1, low = len - i > 2 ? digit_value(s[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        out_r[n++] = c;
    }
    out_r[n] = '\0';
    *out_len_r = n;
    return utf8_storable(out_r, n);
}
