/* json_write: the answers' JSON. Stateless; used by the workers. */
#include "core/json_write.h"

#include <inttypes.h>
#include <string.h>

/* The letter of a short escape (RFC 8259, section 7), 'u' for one with four digits, or 0 when the byte stands for
 * itself. */
static char json_write_escape(unsigned char c)
{
    static const char control[0x20] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    if (c == '"' || c == '\\')
        return (char)c;
    if (c >= 0x20)
        return 0;
    return control[c] ? control[c] : 'u';
}

void json_write_string(struct strbuf *out, const char *s, size_t len)
{
    size_t done = 0; /* up to here the string is in out */
    strbuf_reserve(out, len + 2);
    strbuf_append_char(out, '"');
    for (size_t i = 0; i < len; i++) {
        char escape = json_write_escape((unsigned char)s[i]);
        if (!escape)
            continue;
        strbuf_append(out, s + done, i - done);
        if (escape == 'u')
            strbuf_printf(out, "\\u%04x", (unsigned)(unsigned char)s[i]);
        else
            strbuf_append(out, (char[]){'\\', escape}, 2);
        done = i + 1;
    }
    strbuf_append(out, s + done, len - done);
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
