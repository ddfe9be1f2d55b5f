/*
 * json_check: the checker of RFC 8259's grammar. A loop over states with one bit for each open bracket, since a
 * recursive one would let a body of brackets use up the stack. In the workers, on each request body and payload.
 */
#include "core/json_check.h"

#include <string.h>

#include "core/utf8.h"

enum json_state {
    JSON_WANT_VALUE,          /* after a colon, a comma in an array, or at the start */
    JSON_WANT_VALUE_OR_CLOSE, /* after [ */
    JSON_WANT_KEY,            /* after a comma in an object */
    JSON_WANT_KEY_OR_CLOSE,   /* after { */
    JSON_AFTER_VALUE,
};

struct json_scan {
    const char *at, *end;
    bool unstorable; /* some string held U+0000 or a lone surrogate */
    size_t depth, limit;
    unsigned char objects[JSON_CHECK_DEEP_DEPTH / 8 + 1]; /* bit n: the bracket at depth n is a { */
};

static void json_skip_space(struct json_scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

static bool json_take(struct json_scan *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

/* --- strings --- */

/* Four hexadecimal digits as a number, or -1. */
static int json_hex4(struct json_scan *s)
{
    int value = 0;
    if (s->end - s->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = *s->at++;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* Behind "\u". A high surrogate takes the low one that follows it. */
static bool json_unicode_escape(struct json_scan *s)
{
    int unit = json_hex4(s);
    if (unit < 0)
        return false;
    if (unit >= 0xd800 && unit <= 0xdbff && s->end - s->at >= 6 && s->at[0] == '\\' && s->at[1] == 'u') {
        const char *second = s->at;
        s->at += 2;
        int low = json_hex4(s);
        if (low < 0)
            return false;
        if (low >= 0xdc00 && low <= 0xdfff)
            return true;
        s->at = second; /* an escape of its own */
    }
    if (unit == 0 || (unit >= 0xd800 && unit <= 0xdfff))
        s->unstorable = true;
    return true;
}

static bool json_escape(struct json_scan *s)
{
    if (s->at == s->end)
        return false;
    char c = *s->at++;
    return c == 'u' ? json_unicode_escape(s) : c && strchr("\"\\/bfnrt", c) != NULL;
}

/* ASCII that stands for itself in a string: all but control bytes, the quotation mark and the backslash. */
static const bool json_plain[256] = {[0x20 ... 0x21] = true, [0x23 ... 0x5b] = true, [0x5d ... 0x7f] = true};

/* Behind the opening quotation mark. */
static bool json_string(struct json_scan *s)
{
    for (;;) {
        while (s->at < s->end && json_plain[(unsigned char)*s->at])
            s->at++;
        if (s->at == s->end)
            return false;
        unsigned char c = (unsigned char)*s->at;
        if (c >= 0x80) {
            size_t size = utf8_sequence(s->at, (size_t)(s->end - s->at));
            if (!size)
                return false;
            s->at += size;
            continue;
        }
        s->at++;
        if (c != '\\')
            return c == '"'; /* else a control byte */
        if (!json_escape(s))
            return false;
    }
}

/* --- numbers and words --- */

static bool json_digits(struct json_scan *s)
{
    const char *start = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > start;
}

static bool json_number(struct json_scan *s)
{
    json_take(s, '-');
    if (!json_take(s, '0') && !json_digits(s))
        return false;
    if (json_take(s, '.') && !json_digits(s))
        return false;
    if (json_take(s, 'e') || json_take(s, 'E')) {
        if (!json_take(s, '+'))
            json_take(s, '-');
        return json_digits(s);
    }
    return true;
}

static bool json_word(struct json_scan *s, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
        return false;
    s->at += len;
    return true;
}

/* "01", "1x" and "nullnull" are no value with something behind it, but none at all. */
static bool json_bare_end(const struct json_scan *s)
{
    if (s->at == s->end)
        return true;
    char c = *s->at;
    return !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("+-._", c));
}

/* Anything but { and [. */
static bool json_scalar(struct json_scan *s)
{
    if (json_take(s, '"'))
        return json_string(s);
    bool ok = json_word(s, "true") || json_word(s, "false") || json_word(s, "null") || json_number(s);
    return ok && json_bare_end(s);
}

/* --- brackets --- */

static bool json_in_object(const struct json_scan *s)
{
    return s->objects[s->depth / 8] >> s->depth % 8 & 1;
}

static bool json_open(struct json_scan *s, bool object)
{
    if (s->depth == s->limit)
        return false;
    s->depth++;
    unsigned char bit = (unsigned char)(1u << s->depth % 8);
    if (object)
        s->objects[s->depth / 8] |= bit;
    else
        s->objects[s->depth / 8] &= (unsigned char)~bit;
    return true;
}

/* --- the loop --- */

static enum json_verdict json_step_value(struct json_scan *s, enum json_state *state)
{
    bool may_close = *state == JSON_WANT_VALUE_OR_CLOSE;
    if (may_close && json_take(s, ']')) {
        s->depth--;
        *state = JSON_AFTER_VALUE;
        return JSON_OK;
    }
    bool object = json_take(s, '{');
    if (object || json_take(s, '[')) {
        *state = object ? JSON_WANT_KEY_OR_CLOSE : JSON_WANT_VALUE_OR_CLOSE;
        return json_open(s, object) ? JSON_OK : JSON_TOO_DEEP;
    }
    *state = JSON_AFTER_VALUE;
    return json_scalar(s) ? JSON_OK : JSON_INVALID;
}

static enum json_verdict json_step_key(struct json_scan *s, enum json_state *state)
{
    if (*state == JSON_WANT_KEY_OR_CLOSE && json_take(s, '}')) {
        s->depth--;
        *state = JSON_AFTER_VALUE;
        return JSON_OK;
    }
    if (!json_take(s, '"') || !json_string(s))
        return JSON_INVALID;
    json_skip_space(s);
    *state = JSON_WANT_VALUE;
    return json_take(s, ':') ? JSON_OK : JSON_INVALID;
}

/* A comma or the bracket that closes; only inside brackets. */
static enum json_verdict json_step_after(struct json_scan *s, enum json_state *state)
{
    bool object = json_in_object(s);
    if (json_take(s, ',')) {
        *state = object ? JSON_WANT_KEY : JSON_WANT_VALUE;
        return JSON_OK;
    }
    if (!json_take(s, object ? '}' : ']'))
        return JSON_INVALID;
    s->depth--;
    return JSON_OK;
}

static enum json_verdict json_step(struct json_scan *s, enum json_state *state)
{
    switch (*state) {
    case JSON_WANT_VALUE:
    case JSON_WANT_VALUE_OR_CLOSE:
        return json_step_value(s, state);
    case JSON_WANT_KEY:
    case JSON_WANT_KEY_OR_CLOSE:
        return json_step_key(s, state);
    default:
        return json_step_after(s, state);
    }
}

enum json_verdict json_check(const char *text, size_t len, unsigned flags)
{
    struct json_scan s;
    enum json_state state = JSON_WANT_VALUE;
    if (!len)
        return JSON_INVALID;
    /* The bits of a level are set when it is opened: clearing them all would cost more than a small body. */
    s.at = text;
    s.end = text + len;
    s.unstorable = false;
    s.depth = 0;
    s.limit = flags & JSON_CHECK_DEEP ? JSON_CHECK_DEEP_DEPTH : JSON_CHECK_DEPTH;
    do {
        json_skip_space(&s);
        enum json_verdict verdict = json_step(&s, &state);
        if (verdict != JSON_OK)
            return verdict;
    } while (s.depth || state != JSON_AFTER_VALUE);
    json_skip_space(&s);
    if (s.at != s.end)
        return JSON_TRAILING;
    return s.unstorable && flags & JSON_CHECK_STORABLE ? JSON_UNSTORABLE : JSON_OK;
}
