/* mail/encoding.h: headers as RFC 2047 wants them, quoted-printable, and text of outside made harmless */
#include <ctype.h>
#include <openssl/evp.h>

#include "core/utf8.h"
#include "mail/encoding.h"
#include "tap.h"

/* Undoes encoded words: their texts one after another. False when a word is none of ours, too long, or splits a
 * character. */
static bool decode(const char *header, struct strbuf *out)
{
    while (*header) {
        size_t len = strcspn(header, "\r");
        unsigned char text[128];
        if (strncmp(header, "=?UTF-8?B?", 10) != 0 || len > ENCODING_WORD_MAX ||
            strncmp(header + len - 2, "?=", 2) != 0)
            return false;
        int n = EVP_DecodeBlock(text, (const unsigned char *)header + 10, (int)len - 12);
        for (const char *pad = header + len - 3; n > 0 && *pad == '='; pad--)
            n--;
        if (n < 1 || !utf8_valid((char *)text, (size_t)n))
            return false;
        strbuf_append(out, text, (size_t)n);
        header += len;
        if (*header && strncmp(header, "\r\n ", 3) != 0)
            return false;
        header += *header ? 3 : 0;
    }
    return true;
}

static size_t longest_line(const char *text, size_t used)
{
    size_t longest = 0;
    for (size_t len; *text; text += len + (text[len] ? 2 : 0), used = 0) {
        len = strcspn(text, "\r");
        longest = len + used > longest ? len + used : longest;
    }
    return longest;
}

static void test_plain_headers(void)
{
    static const struct {
        const char *text, *header, *phrase;
    } cases[] = {
        {"Hello", "Hello", "\"Hello\""},
        {"a, b <c@d>", "a, b <c@d>", "\"a, b <c@d>\""},
        {"a\"b", "a\"b", "=?UTF-8?B?YSJi?="},
        {"a\r\nBcc: x@y", "a  Bcc: x@y", "\"a  Bcc: x@y\""},
        {"a\nb\tc\x7f"
         "d",
         "a b c d", "\"a b c d\""},
        {"=?UTF-8?B?YQ==?=", "=?UTF-8?B?PT9VVEYtOD9CP1lRPT0/PQ==?=", "=?UTF-8?B?PT9VVEYtOD9CP1lRPT0/PQ==?="},
        {"", "", "\"\""},
        {"\xff", "?", "\"?\""},
        {"a\xc2\x85"
         "b\xe2\x80\xa8"
         "c",
         "a b c", "\"a b c\""},
        {"exe.\xe2\x80\xae"
         "gpj",
         "exe.gpj", "\"exe.gpj\""},
        {"Ж", "=?UTF-8?B?0JY=?=", "=?UTF-8?B?0JY=?="},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct strbuf out = STRBUF_INIT;
        encoding_header(cases[i].text, 9, &out);
        is_str(out.data, cases[i].header, "header: %s", cases[i].text);
        strbuf_reset(&out);
        encoding_phrase(cases[i].text, 6, &out);
        is_str(out.data, cases[i].phrase, "phrase: %s", cases[i].text);
        strbuf_release(&out);
    }
}

/* Each length, so that each place of a border between words is met, with characters of one to four bytes. */
static void test_long_headers(void)
{
    static const char *const characters[] = {"a", "ж", "€", "😀"};
    unsigned wrong = 0;
    for (size_t c = 0; c < ARRAY_SIZE(characters); c++)
        for (size_t count = 1; count < 120; count++)
            for (size_t used = 0; used <= 30; used += 10) {
                struct strbuf text = STRBUF_INIT, out = STRBUF_INIT, back = STRBUF_INIT;
                strbuf_append_str(&text, "ü");
                for (size_t i = 0; i < count; i++)
                    strbuf_append_str(&text, characters[c]);
                encoding_header(text.data, used, &out);
                if (!decode(out.data, &back) || strcmp(back.data, text.data) != 0 ||
                    longest_line(out.data, used) > ENCODING_LINE_MAX)
                    wrong++;
                strbuf_release(&text);
                strbuf_release(&out);
                strbuf_release(&back);
            }
    is_int(wrong, 0, "long headers come back whole, in words of 75 bytes and lines of 76 at most");
}

static void test_over_long(void)
{
    struct strbuf text = STRBUF_INIT, out = STRBUF_INIT;
    for (int i = 0; i < 100000; i++)
        strbuf_append_str(&text, "ж");
    encoding_header(text.data, 9, &out);
    ok(out.len < 3000, "an over-long header is cut off");
    strbuf_reset(&out);
    encoding_one_line(text.data, text.len, 501, &out);
    is_int(out.len, 500, "… between characters");
    strbuf_reset(&out);
    encoding_one_line("a\0b", 3, 10, &out);
    is_str(out.data, "a b", "a zero byte is a space");
    strbuf_release(&text);
    strbuf_release(&out);
}

static void test_7bit(void)
{
    struct strbuf text = STRBUF_INIT;
    ok(encoding_is_7bit("a\tb\n\n", 5), "ASCII");
    ok(!encoding_is_7bit("a\rb", 3), "a carriage return is not");
    ok(!encoding_is_7bit("a\0b", 3), "a zero byte is not");
    ok(!encoding_is_7bit("\xc3\xbc", 2), "an umlaut is not");
    for (int i = 0; i < ENCODING_7BIT_MAX; i++)
        strbuf_append_char(&text, 'a');
    ok(encoding_is_7bit(text.data, text.len), "998 bytes in a line are");
    strbuf_append_char(&text, 'a');
    ok(!encoding_is_7bit(text.data, text.len), "999 are not");
    strbuf_release(&text);
}

/* RFC 2045, 6.7, read strictly. */
static bool decode_quoted(const char *text, struct strbuf *out)
{
    while (*text) {
        size_t len = strcspn(text, "\r");
        if (len > ENCODING_LINE_MAX || strncmp(text + len, "\r\n", 2) != 0 ||
            (len && isblank((unsigned char)text[len - 1])))
            return false;
        bool soft = len && text[len - 1] == '=';
        size_t begin = out->len;
        for (size_t i = 0; i < len - soft; i++) {
            unsigned byte = (unsigned char)text[i];
            if (byte == '=' && (i + 2 >= len || sscanf(text + i + 1, "%2X", &byte) != 1))
                return false;
            i += text[i] == '=' ? 2 : 0;
            strbuf_append_char(out, (char)byte);
        }
        if (!utf8_valid(out->data + begin, out->len - begin))
            return false; /* a character that was torn apart */
        if (!soft)
            strbuf_append_char(out, '\n');
        text += len + 2;
    }
    return true;
}

static void test_quoted(void)
{
    static const struct {
        const char *text, *quoted;
    } cases[] = {
        {"a\n", "a\r\n"},           {"a=b\n", "a=3Db\r\n"},       {"end \n", "end=20\r\n"},
        {"tab\t\n", "tab=09\r\n"},  {"in side\n", "in side\r\n"}, {"ж\n", "=D0=B6\r\n"},
        {"\n\na", "\r\n\r\na\r\n"}, {"\r\n", "=0D\r\n"},          {".\n", ".\r\n"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct strbuf out = STRBUF_INIT;
        encoding_quoted_printable(cases[i].text, strlen(cases[i].text), &out);
        is_str(out.data, cases[i].quoted, "quoted-printable %zu", i);
        strbuf_release(&out);
    }
    unsigned wrong = 0;
    for (size_t len = 1; len < 200; len++) {
        struct strbuf text = STRBUF_INIT, out = STRBUF_INIT, back = STRBUF_INIT;
        for (size_t i = 0; i < len; i++)
            strbuf_append_str(&text, i % 7 == 3 ? "ж" : i % 5 == 4 ? " " : i % 11 == 7 ? "=" : "x");
        strbuf_append_char(&text, '\n');
        encoding_quoted_printable(text.data, text.len, &out);
        wrong += !decode_quoted(out.data, &back) || strcmp(back.data, text.data) != 0;
        strbuf_release(&text);
        strbuf_release(&out);
        strbuf_release(&back);
    }
    is_int(wrong, 0, "lines of every length come back whole, in 76 bytes at most");
}

int main(void)
{
    test_plain_headers();
    test_long_headers();
    test_over_long();
    test_7bit();
    test_quoted();
    return tap_done();
}
