/* Reading of checked JSON text in place. Runs in workers, called by api/push_parse.c. */
#include "api/json_slice.h"

#include <stdlib.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static const char *skip_blank(const char *p, const char *end)
{
    while (p < end && is_blank(*p))
        p++;
    return p;
}

/* p stands on the opening quotation mark; returns what is behind the closing one. */
static const char *skip_string(const char *p, const char *end)
{
    for (p++; p < end; p++) {
        if (*p == '"')
            return p + 1;
        if (*p == '\\' && p + 1 < end)
            p++;
    }
    return end;
}

static const char *skip_container(const char *p, const char *end)
{
    size_t depth = 0;
    while (p < end) {
        if (*p == '"') {
            p = skip_string(p, end);
            continue;
        }
        if (*p == '{' || *p == '[')
            depth++;
        else if ((*p == '}' || *p == ']') && --depth == 0)
            return p + 1;
        p++;
    }
    return end;
}

static const char *skip_word(const char *p, const char *end)
{
    while (p < end && strchr(" \n\r\t,]}:", *p) == NULL)
        p++;
    return p;
}

static struct json_slice slice_at(const char *p, const char *end)
{
    struct json_slice value = {p, end};
    if (p == end)
        value.start = NULL;
    else if (*p == '"')
        value.end = skip_string(p, end);
    else if (*p == '{' || *p == '[')
        value.end = skip_container(p, end);
    else
        value.end = skip_word(p, end);
    return value;
}

/* The text is one value and white space around it, so there is no need to look for the value's end. */
struct json_slice json_slice_of(const char *text, size_t len)
{
    const char *start = skip_blank(text, text + len), *end = text + len;
    while (end > start && is_blank(end[-1]))
        end--;
    return (struct json_slice){start == end ? NULL : start, end};
}

enum json_kind json_slice_kind(struct json_slice value)
{
    if (value.start == NULL || value.start == value.end)
        return JSON_ABSENT;
    switch (*value.start) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 'n':
        return JSON_NULL;
    case 't':
    case 'f':
        return JSON_BOOLEAN;
    default:
        return JSON_NUMBER;
    }
}

struct json_walk json_walk_begin(struct json_slice container)
{
    if (container.end - container.start < 2)
        return (struct json_walk){container.end, container.end};
    return (struct json_walk){container.start + 1, container.end - 1};
}

bool json_walk_next(struct json_walk *walk, struct json_slice *name_r, struct json_slice *value_r)
{
    const char *p = skip_blank(walk->p, walk->end);
    if (p < walk->end && *p == ',')
        p = skip_blank(p + 1, walk->end);
    if (p == walk->end)
        return false;
    if (name_r != NULL) {
        *name_r = slice_at(p, walk->end);
        p = skip_blank(name_r->end, walk->end);
        if (p < walk->end && *p == ':')
            p++;
        p = skip_blank(p, walk->end);
    }
    *value_r = slice_at(p, walk->end);
    /* Always forward, even in text that nobody has checked. */
    walk->p = value_r->end > p ? value_r->end : walk->end;
    return value_r->start != NULL;
}

/* Four hexadecimal digits of either case at p; -1 when they are not there. */
static long unit_at(const char *p, const char *end)
{
    long unit = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        if (c >= '0' && c <= '9')
            unit = unit * 16 + (c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            unit = unit * 16 + ((c | 0x20) - 'a' + 10);
        else
            return -1;
    }
    return unit;
}

static size_t put_utf8(unsigned long c, char *out_r)
{
    if (c < 0x80) {
        out_r[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out_r[0] = (char)(0xc0 | (c >> 6));
        out_r[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out_r[0] = (char)(0xe0 | (c >> 12));
        out_r[1] = (char)(0x80 | ((c >> 6) & 0x3f));
        out_r[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out_r[0] = (char)(0xf0 | (c >> 18));
    out_r[1] = (char)(0x80 | ((c >> 12) & 0x3f));
    out_r[2] = (char)(0x80 | ((c >> 6) & 0x3f));
    out_r[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* p stands behind "\u". Returns what is behind the digits, of both halves when it is a surrogate pair. */
static const char *decode_unit(const char *p, const char *end, unsigned long *c_r)
{
    long unit = unit_at(p, end);
    *c_r = 0xfffd;
    if (unit < 0)
        return end;
    p += 4;
    if (unit >= 0xd800 && unit < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
        long low = unit_at(p + 2, end);
        if (low >= 0xdc00 && low < 0xe000) {
            *c_r = 0x10000 + (((unsigned long)unit - 0xd800) << 10) + ((unsigned long)low - 0xdc00);
            return p + 6;
        }
    }
    if (unit < 0xd800 || unit > 0xdfff)
        *c_r = (unsigned long)unit;
    return p;
}

static char short_escape(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c; /* quotation mark, backslash, slash */
    }
}

static struct json_slice inside(struct json_slice string)
{
    if (string.end - string.start < 2)
        return (struct json_slice){string.end, string.end};
    return (struct json_slice){string.start + 1, string.end - 1};
}

size_t json_slice_decode(struct json_slice string, char *out_r)
{
    struct json_slice in = inside(string);
    char *out = out_r;
    for (const char *p = in.start; p < in.end;) {
        const char *escape = memchr(p, '\\', (size_t)(in.end - p));
        size_t plain = (size_t)((escape != NULL ? escape : in.end) - p);
        memcpy(out, p, plain);
        out += plain;
        if (escape == NULL || escape + 1 == in.end)
            break;
        p = escape + 2;
        if (escape[1] == 'u') {
            unsigned long c;
            p = decode_unit(p, in.end, &c);
            out += put_utf8(c, out);
        } else {
            *out++ = short_escape(escape[1]);
        }
    }
    return (size_t)(out - out_r);
}

bool json_slice_plain(struct json_slice string, const char **s_r, size_t *len_r)
{
    struct json_slice in = inside(string);
    *s_r = in.start;
    *len_r = (size_t)(in.end - in.start);
    return memchr(in.start, '\\', *len_r) == NULL;
}

bool json_slice_is(struct json_slice string, const char *text, size_t text_len)
{
    const char *s;
    size_t len;
    char decoded[256];
    if (json_slice_plain(string, &s, &len))
        return len == text_len && memcmp(s, text, len) == 0;
    /* An escape takes six bytes at most for one: longer slices cannot be one of our short names. */
    if (len > 6 * text_len || len > sizeof(decoded) - 4)
        return false;
    return json_slice_decode(string, decoded) == text_len && memcmp(decoded, text, text_len) == 0;
}

/* A number with fraction or exponent. */
static bool whole_double(struct json_slice number, int64_t *value_r)
{
    char text[64];
    size_t len = (size_t)(number.end - number.start);
    if (len >= sizeof(text))
        return false;
    memcpy(text, number.start, len);
    text[len] = '\0';
    double value = strtod(text, NULL);
    /* From 2^53 on, a double does not tell each whole number from the next. */
    if (!(value > -9007199254740992.0 && value < 9007199254740992.0) || value != (double)(int64_t)value)
        return false;
    *value_r = (int64_t)value;
    return true;
}

bool json_slice_int(struct json_slice number, int64_t *value_r)
{
    const char *p = number.start;
    bool negative = p < number.end && *p == '-';
    int64_t value = 0;
    if (negative)
        p++;
    if (p == number.end)
        return false;
    for (; p < number.end; p++) {
        if (*p < '0' || *p > '9')
            return whole_double(number, value_r);
        /* Downwards, where int64 has one more. */
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, *p - '0', &value))
            return false;
    }
    if (!negative && __builtin_sub_overflow((int64_t)0, value, &value))
        return false;
    *value_r = value;
    return true;
}
