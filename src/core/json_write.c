/* json_write: the answers' JSON. Stateless; used by the workers. */
#include "core/json_write.h"

#include <inttypes.h>
#include <string.h>

#define JSON_WRITE_STEP 1024
#define JSON_WRITE_LONGEST 6 /* bytes that one may become: \u001f */

/* The letter of a short escape (RFC 8259, section 7), 'u' for one with four digits; 0: the byte stands for itself. */
static const char json_write_escapes[256] = {
    [0x00 ... 0x07] = 'u', ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n',          [0x0b] = 'u',
    ['\f'] = 'f',          ['\r'] = 'r', ['"'] = '"',  [0x0e ... 0x1f] = 'u', ['\\'] = '\\',
};

/* Writes the escaped bytes to `to`, where there is room, and returns the place behind them. */
static char *json_write_escaped(char *to, const char *s, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        char escape = json_write_escapes[c];
        if (!escape) {
            *to++ = s[i];
            continue;
        }
        *to++ = '\\';
        *to++ = escape;
        if (escape == 'u') {
            memcpy(to, (char[]){'0', '0', hex[c >> 4], hex[c & 15]}, 4);
            to += 4;
        }
    }
    return to;
}

/* In steps, so that the room for the worst case stays small. */
void json_write_string(struct strbuf *out, const char *s, size_t len)
{
    strbuf_append_char(out, '"');
    for (size_t done = 0, step; done < len; done += step) {
        step = len - done < JSON_WRITE_STEP ? len - done : JSON_WRITE_STEP;
        strbuf_reserve(out, step * JSON_WRITE_LONGEST);
        out->len = (size_t)(json_write_escaped(out->data + out->len, s + done, step) - out->data);
    }
    strbuf_append_char(out, '"');
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
    strbuf_printf(out, "%" PRId64, value);
}
