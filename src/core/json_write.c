/* json_write: the answers' JSON. Stateless; used by the workers. */
#include "core/json_write.h"

#include <stdint.h>
#include <string.h>

#define JSON_WRITE_STEP 1024
#define JSON_WRITE_LONGEST 6 /* bytes that one may become: \u001f */

/* The letter of a short escape (RFC 8259, section 7), 'u' for one with four digits; 0: the byte stands for itself. */
static const char json_write_escapes[256] = {
    [0x00 ... 0x07] = 'u', ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n',          [0x0b] = 'u',
    ['\f'] = 'f',          ['\r'] = 'r', ['"'] = '"',  [0x0e ... 0x1f] = 'u', ['\\'] = '\\',
};

/* How many bytes at the start of s stand for themselves. Eight at a time: most texts have nothing to escape. */
static size_t json_write_plain(const char *s, size_t len)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones * 0x80;
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t word, quote, backslash;
        memcpy(&word, s + i, 8);
        quote = word ^ ones * '"';
        backslash = word ^ ones * '\\';
        /* The high bit of a byte is set where the byte is below 0x20, '"' or '\\', or borrows from one that is. */
        if (((word - ones * 0x20) | (quote - ones) | (backslash - ones)) & ~word & highs)
            break;
    }
    while (i < len && !json_write_escapes[(unsigned char)s[i]])
        i++;
    return i;
}

/* Writes the escaped bytes to `to`, where there is room, and returns the place behind them. */
static char *json_write_escaped(char *to, const char *s, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        size_t plain = json_write_plain(s + i, len - i);
        memcpy(to, s + i, plain);
        to += plain;
        i += plain;
        if (i == len)
            break;
        unsigned char c = (unsigned char)s[i];
        *to++ = '\\';
        *to++ = json_write_escapes[c];
        if (json_write_escapes[c] == 'u') {
            memcpy(to, (char[]){'0', '0', hex[c >> 4], hex[c & 15]}, 4);
            to += 4;
        }
    }
    return to;
}

/* In steps, so that the room for the worst case stays small. */
void json_write_string(struct strbuf *out, const char *s, size_t len)
{
    strbuf_reserve(out, 2);
    out->data[out->len++] = '"';
    for (size_t done = 0, step; done < len; done += step) {
        step = len - done < JSON_WRITE_STEP ? len - done : JSON_WRITE_STEP;
        strbuf_reserve(out, step * JSON_WRITE_LONGEST + 1);
        out->len = (size_t)(json_write_escaped(out->data + out->len, s + done, step) - out->data);
    }
    out->data[out->len++] = '"';
    out->data[out->len] = '\0';
}

void json_write_name(struct strbuf *out, const char *name)
{
    strbuf_append_char(out, '"');
    strbuf_append_str(out, name);
    strbuf_append(out, "\":", 2);
}

void json_write_member(struct strbuf *out, const char *name, const char *value)
{
    json_write_name(out, name);
    json_write_string(out, value, strlen(value));
}

void json_write_int(struct strbuf *out, int64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do
        digits[--at] = (char)('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (value < 0)
        digits[--at] = '-';
    strbuf_append(out, digits + at, sizeof(digits) - at);
}
