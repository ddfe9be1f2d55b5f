/*
 * Cookies of a worker's requests. Called by the router (session cookies), by handlers through http_request_cookie() and
 * by the handlers that log somebody in or out.
 */
#include "http/cookies.h"

#include <inttypes.h>
#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static void trim(const char **s, size_t *len)
{
    while (*len > 0 && is_space(**s)) {
        ++*s;
        --*len;
    }
    while (*len > 0 && is_space((*s)[*len - 1]))
        --*len;
}

/* One "name=value" between semicolons. */
static bool pair_is(const char *pair, size_t len, const char *name, const char **value_r, size_t *value_len_r)
{
    const char *equals = memchr(pair, '=', len);
    if (equals == NULL)
        return false;
    const char *key = pair;
    size_t key_len = (size_t)(equals - pair);
    trim(&key, &key_len);
    if (key_len != strlen(name) || memcmp(key, name, key_len) != 0)
        return false;
    const char *value = equals + 1;
    size_t value_len = len - (size_t)(value - pair);
    trim(&value, &value_len);
    if (value_len >= 2 && value[0] == '"' && value[value_len - 1] == '"') {
        ++value;
        value_len -= 2;
    }
    *value_r = value;
    *value_len_r = value_len;
    return true;
}

bool cookies_find(const char *header, size_t len, const char *name, const char **value_r, size_t *value_len_r)
{
    const char *end = header + len;
    while (header < end) {
        const char *stop = memchr(header, ';', (size_t)(end - header));
        if (stop == NULL)
            stop = end;
        if (pair_is(header, (size_t)(stop - header), name, value_r, value_len_r))
            return true;
        header = stop < end ? stop + 1 : end;
    }
    return false;
}

void cookies_set(struct strbuf *out, const char *name, const char *value, const char *path, int64_t max_age,
                 bool secure)
{
    strbuf_printf(out, "%s=%s; Path=%s; Max-Age=%" PRId64 "; HttpOnly; SameSite=Lax%s", name, value, path,
                  max_age > 0 ? max_age : 0, secure ? "; Secure" : "");
}
