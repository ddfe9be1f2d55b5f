/* encoding: see the header. In the mailer, and in workers for the SMTP test. */
#include "mail/encoding.h"

#include <openssl/evp.h>
#include <string.h>

#include "core/utf8.h"

#define WORD_BEGIN "=?UTF-8?B?"
#define WORD_END "?="
#define WORD_FRAME (sizeof(WORD_BEGIN) - 1 + sizeof(WORD_END) - 1)

/* --- cleaning --- */

/* C0, DEL, C1, U+2028, U+2029. */
static bool encoding_is_control(const unsigned char *s, size_t size)
{
    return (size == 1 && (s[0] < 0x20 || s[0] == 0x7f)) || (size == 2 && s[0] == 0xc2 && s[1] < 0xa0) ||
           (size == 3 && s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9));
}

/* U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069: what makes "gpj.exe" look like "exe.jpg". */
static bool encoding_turns(const unsigned char *s, size_t size)
{
    if (size != 3 || s[0] != 0xe2)
        return false;
    return (s[1] == 0x80 && (s[2] == 0x8e || s[2] == 0x8f || (s[2] >= 0xaa && s[2] <= 0xae))) ||
           (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9);
}

void encoding_one_line(const char *text, size_t len, size_t most, struct strbuf *out)
{
    size_t end = out->len + most;
    for (size_t i = 0, size; i < len; i += size) {
        const char *s = text + i;
        size = utf8_sequence(s, len - i);
        bool broken = !size;
        size = broken ? 1 : size;
        if (!broken && encoding_turns((const unsigned char *)s, size))
            continue;
        bool control = !broken && encoding_is_control((const unsigned char *)s, size);
        size_t adds = broken || control ? 1 : size;
        if (out->len + adds > end)
            return;
        strbuf_append(out, broken ? "?" : control ? " " : s, adds);
    }
}

/* --- words in headers --- */

static bool encoding_is_printable(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < 0x20 || text[i] == 0x7f || (unsigned char)text[i] >= 0x80)
            return false;
    return true;
}

/* The longest piece of whole characters in `most` bytes, one at least. */
static size_t encoding_piece(const char *text, size_t len, size_t most)
{
    size_t end = 0;
    for (size_t size; end < len; end += size) {
        size = utf8_sequence(text + end, len - end);
        if (end && end + size > most)
            break;
    }
    return end;
}

static void encoding_word(const char *text, size_t len, struct strbuf *out)
{
    unsigned char base64[ENCODING_WORD_MAX + 1];
    EVP_EncodeBlock(base64, (const unsigned char *)text, (int)len);
    strbuf_printf(out, WORD_BEGIN "%s" WORD_END, base64);
}

/* Bytes of text for a word of `most` bytes. */
static size_t encoding_room(size_t most)
{
    return most < WORD_FRAME + 8 ? 6 : (most - WORD_FRAME) / 4 * 3;
}

static void encoding_words(const char *text, size_t len, size_t used, struct strbuf *out)
{
    size_t left = ENCODING_LINE_MAX - (used < ENCODING_LINE_MAX ? used : ENCODING_LINE_MAX);
    while (len) {
        size_t most = encoding_room(left < ENCODING_WORD_MAX ? left : ENCODING_WORD_MAX);
        size_t piece = encoding_piece(text, len, most);
        encoding_word(text, piece, out);
        text += piece;
        len -= piece;
        left = ENCODING_LINE_MAX - 1; /* behind the space of the fold */
        if (len)
            strbuf_append_str(out, "\r\n ");
    }
}

void encoding_header(const char *text, size_t used, struct strbuf *out)
{
    struct strbuf clean = STRBUF_INIT;
    encoding_one_line(text, strlen(text), ENCODING_7BIT_MAX, &clean);
    if (encoding_is_printable(clean.data, clean.len) && used + clean.len <= ENCODING_LINE_MAX &&
        !strstr(clean.data, "=?"))
        strbuf_append(out, clean.data, clean.len);
    else
        encoding_words(clean.data, clean.len, used, out);
    strbuf_release(&clean);
}

void encoding_phrase(const char *text, size_t used, struct strbuf *out)
{
    struct strbuf clean = STRBUF_INIT;
    encoding_one_line(text, strlen(text), ENCODING_7BIT_MAX, &clean);
    if (encoding_is_printable(clean.data, clean.len) && used + clean.len + 2 <= ENCODING_LINE_MAX &&
        !strpbrk(clean.data, "\"\\") && !strstr(clean.data, "=?"))
        strbuf_printf(out, "\"%s\"", clean.data);
    else
        encoding_words(clean.data, clean.len, used, out);
    strbuf_release(&clean);
}

/* --- bodies --- */

bool encoding_is_7bit(const char *text, size_t len)
{
    size_t line = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x7f || (c < 0x20 && c != '\n' && c != '\t'))
            return false;
        line = c == '\n' ? 0 : line + 1;
        if (line > ENCODING_7BIT_MAX)
            return false;
    }
    return true;
}

void encoding_crlf(const char *text, size_t len, struct strbuf *out)
{
    for (size_t i = 0; i < len;) {
        const char *end = memchr(text + i, '\n', len - i);
        size_t line = end ? (size_t)(end - text) - i : len - i;
        strbuf_append(out, text + i, line);
        strbuf_append(out, "\r\n", 2);
        i += line + 1;
    }
}

/* A byte that may stand for itself; a blank may not at the end of a line. */
static bool encoding_is_plain(unsigned char c, bool last)
{
    return (c > 0x20 && c < 0x7f && c != '=') || ((c == ' ' || c == '\t') && !last);
}

/* Columns that must be free for the byte at text: those of its whole character, which is not torn apart. */
static size_t encoding_width(const char *text, size_t len)
{
    size_t size = utf8_sequence(text, len);
    return encoding_is_plain((unsigned char)*text, len == 1) ? 1 : size > 1 ? 3 * size : 3;
}

static void encoding_quoted_line(const char *text, size_t len, struct strbuf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t column = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        bool plain = encoding_is_plain(c, i + 1 == len);
        /* the last place is the soft line break's */
        if (column + encoding_width(text + i, len - i) > ENCODING_LINE_MAX - 1) {
            strbuf_append(out, "=\r\n", 3);
            column = 0;
        }
        char quoted[] = {'=', digits[c >> 4], digits[c & 15]};
        strbuf_append(out, plain ? text + i : quoted, plain ? 1 : 3);
        column += plain ? 1 : 3;
    }
    strbuf_append(out, "\r\n", 2);
}

void encoding_quoted_printable(const char *text, size_t len, struct strbuf *out)
{
    for (size_t i = 0; i < len;) {
        const char *end = memchr(text + i, '\n', len - i);
        size_t line = end ? (size_t)(end - text) - i : len - i;
        encoding_quoted_line(text + i, line, out);
        i += line + 1;
    }
}
