/* http/chunked.h */
#include "http/chunked.h"
#include "tap.h"

#include <stdlib.h>

#define BROKEN NULL

static const struct {
    const char *name, *raw;
    const char *body; /* BROKEN: refused */
    int rest;         /* bytes behind the body; CHUNKED_INCOMPLETE */
} cases[] = {
    {"empty body", "0\r\n\r\n", "", 0},
    {"one chunk", "3\r\nabc\r\n0\r\n\r\n", "abc", 0},
    {"several chunks", "1\r\na\r\n2\r\nbc\r\n0a\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", 0},
    {"digits in capitals", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789", 0},
    {"leading zeros", "003\r\nabc\r\n000\r\n\r\n", "abc", 0},
    {"line ends in the data", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", 0},
    {"the next request behind it", "1\r\na\r\n0\r\n\r\nGET /", "a", 5},
    {"extension", "3;name=value;other=\"x y\"\r\nabc\r\n0;last\r\n\r\n", "abc", 0},
    {"trailers", "3\r\nabc\r\n0\r\nA: b\r\nC: d\r\n\r\nrest", "abc", 4},
    {"incomplete: nothing", "", "", CHUNKED_INCOMPLETE},
    {"incomplete: size", "3", "", CHUNKED_INCOMPLETE},
    {"incomplete: data", "3\r\nab", "ab", CHUNKED_INCOMPLETE},
    {"incomplete: behind the data", "3\r\nabc", "abc", CHUNKED_INCOMPLETE},
    {"incomplete: last line", "3\r\nabc\r\n0\r\n", "abc", CHUNKED_INCOMPLETE},
    {"incomplete: trailer", "0\r\nA: b\r\n\r", "", CHUNKED_INCOMPLETE},
    {"no digit", "\r\n", BROKEN, 0},
    {"no hexadecimal digit", "g\r\n", BROKEN, 0},
    {"0x", "0x3\r\nabc\r\n0\r\n\r\n", BROKEN, 0},
    {"garbage behind the size", "3xyz\r\nabc\r\n0\r\n\r\n", BROKEN, 0},
    {"blank behind the size", "3 \r\nabc\r\n0\r\n\r\n", BROKEN, 0},
    {"blank before the size", " 3\r\nabc\r\n0\r\n\r\n", BROKEN, 0},
    {"negative", "-1\r\n", BROKEN, 0},
    {"sixteen digits", "ffffffffffffffff\r\n", BROKEN, 0},
    {"sixteen digits, mostly zeros", "0000000000000003\r\nabc\r\n0\r\n\r\n", BROKEN, 0},
    {"bare LF behind the size", "3\nabc\r\n0\r\n\r\n", BROKEN, 0},
    {"bare CR behind the size", "3\rabc\r\n0\r\n\r\n", BROKEN, 0},
    {"data longer than said", "3\r\nabcd\r\n0\r\n\r\n", BROKEN, 0},
    {"data shorter than said", "3\r\nab\r\n0\r\n\r\n", BROKEN, 0},
    {"bare LF behind the data", "3\r\nabc\n0\r\n\r\n", BROKEN, 0},
    {"bare LF at the end", "0\r\n\n", BROKEN, 0},
    {"control byte in an extension", "3;\x01\r\nabc\r\n0\r\n\r\n", BROKEN, 0},
    {"bare LF in a trailer", "0\r\nA: b\n\r\n", BROKEN, 0},
};

/* Decodes raw in pieces of `piece` bytes, as they would arrive, into out; the last answer. */
static ssize_t decode(const char *raw, size_t len, size_t piece, char *out, size_t *out_len_r)
{
    struct chunked_decoder decoder = {.consume_trailer = 1};
    ssize_t answer = CHUNKED_INCOMPLETE;
    size_t end = 0;
    for (size_t at = 0; at < len && answer == CHUNKED_INCOMPLETE; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        memcpy(out + end, raw + at, n);
        answer = chunked_decode(&decoder, out + end, &n);
        end += n;
        if (answer >= 0) /* what is behind the body stays there, unread */
            answer += (ssize_t)(len - at - (at + piece > len ? len - at : piece));
    }
    *out_len_r = end;
    return answer;
}

static void test_case(size_t i, size_t piece)
{
    char out[256];
    size_t len;
    ssize_t answer = decode(cases[i].raw, strlen(cases[i].raw), piece, out, &len);
    if (cases[i].body == BROKEN) {
        is_int(answer, CHUNKED_BROKEN, "%s: refused, pieces of %zu", cases[i].name, piece);
        return;
    }
    is_int(answer, cases[i].rest, "%s: pieces of %zu", cases[i].name, piece);
    out[len] = '\0';
    is_str(out, cases[i].body, "%s: the body, pieces of %zu", cases[i].name, piece);
}

static void test_rest_is_kept(void)
{
    char raw[] = "1\r\na\r\n2\r\nbc\r\n0\r\n\r\nGET /";
    struct chunked_decoder decoder = {.consume_trailer = 1};
    size_t len = sizeof(raw) - 1;
    is_int(chunked_decode(&decoder, raw, &len), 5, "five bytes follow");
    ok(len == 3 && memcmp(raw, "abcGET /", 8) == 0, "and stand behind the body");
}

static ssize_t decode_sized(const char *before, int filler, const char *after)
{
    char *raw = malloc((size_t)filler + 64), *out = malloc((size_t)filler + 64);
    size_t len = (size_t)sprintf(raw, "%s%0*d%s", before, filler, 0, after);
    ssize_t answer = decode(raw, len, len, out, &len);
    free(raw);
    free(out);
    return answer;
}

static void test_bounds(void)
{
    is_int(decode_sized("0;", CHUNKED_EXTENSION_MAX - 1, "\r\n\r\n"), 0, "the longest extension");
    is_int(decode_sized("0;", CHUNKED_EXTENSION_MAX, "\r\n\r\n"), CHUNKED_BROKEN, "a longer one");
    is_int(decode_sized("0\r\nA:", CHUNKED_TRAILER_MAX - 10, "\r\n\r\n"), 0, "a long trailer");
    is_int(decode_sized("0\r\nA:", CHUNKED_TRAILER_MAX, "\r\n\r\n"), CHUNKED_BROKEN, "a longer one");
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (size_t piece = 1; piece <= 64; piece *= 4)
            test_case(i, piece);
    test_rest_is_kept();
    test_bounds();
    return tap_done();
}
