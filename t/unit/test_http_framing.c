/* http/framing.h */
#include "http/framing.h"
#include "tap.h"

#include <stdlib.h>

#define HOST "Host: x\r\n"
#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\n" HOST

static const struct {
    const char *name, *head;
    enum framing_verdict verdict;
} cases[] = {
    {"plain", GET HOST "\r\n", FRAMING_OK},
    {"one empty line in front", "\r\n" GET HOST "\r\n", FRAMING_OK},
    {"two empty lines in front", "\r\n\r\n" GET HOST "\r\n", FRAMING_BAD},
    {"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", FRAMING_OK},
    {"HTTP/1.1 without Host", GET "\r\n", FRAMING_BAD},
    {"two Hosts", GET HOST "hOST: y\r\n\r\n", FRAMING_BAD},
    {"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\n" HOST HOST "\r\n", FRAMING_BAD},
    {"HTTP/2.0", "GET / HTTP/2.0\r\n" HOST "\r\n", FRAMING_BAD},
    {"no version", "GET /\r\n" HOST "\r\n", FRAMING_BAD},
    {"two blanks in the request line", "GET  / HTTP/1.1\r\n" HOST "\r\n", FRAMING_BAD},
    {"blank at the end of the request line", "GET / HTTP/1.1 \r\n" HOST "\r\n", FRAMING_BAD},
    {"bare LF behind the request line", "GET / HTTP/1.1\n" HOST "\r\n", FRAMING_BAD},
    {"bare LF behind a header", GET "Host: x\n\r\n", FRAMING_BAD},
    {"bare LF at the end", GET HOST "\n", FRAMING_BAD},
    {"no end", GET HOST, FRAMING_BAD},
    {"folded with a blank", GET HOST "A: b\r\n c\r\n\r\n", FRAMING_BAD},
    {"folded with a tab", GET HOST "A: b\r\n\tc\r\n\r\n", FRAMING_BAD},
    {"blank before the colon", GET "Host : x\r\n\r\n", FRAMING_BAD},
    {"no colon", GET HOST "nonsense\r\n\r\n", FRAMING_BAD},
    {"no name", GET HOST ": x\r\n\r\n", FRAMING_BAD},
    {"length", POST "Content-Length: 12\r\n\r\n", FRAMING_OK},
    {"length, blanks around", POST "content-length:\t 12 \r\n\r\n", FRAMING_OK},
    {"two lengths that agree", POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", FRAMING_BAD},
    {"length as a list", POST "Content-Length: 1, 1\r\n\r\n", FRAMING_BAD},
    {"length with a sign", POST "Content-Length: +1\r\n\r\n", FRAMING_BAD},
    {"negative length", POST "Content-Length: -1\r\n\r\n", FRAMING_BAD},
    {"hexadecimal length", POST "Content-Length: 0x1\r\n\r\n", FRAMING_BAD},
    {"empty length", POST "Content-Length:\r\n\r\n", FRAMING_BAD},
    {"chunked", POST "Transfer-Encoding: chunked\r\n\r\n", FRAMING_OK},
    {"chunked in capitals", POST "TRANSFER-ENCODING: CHUNKED\r\n\r\n", FRAMING_OK},
    {"chunked twice", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", FRAMING_BAD},
    {"chunked in a list", POST "Transfer-Encoding: gzip, chunked\r\n\r\n", FRAMING_BAD},
    {"identity", POST "Transfer-Encoding: identity\r\n\r\n", FRAMING_BAD},
    {"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", FRAMING_BAD},
    {"length, then chunked", POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", FRAMING_BAD},
    {"chunked, then length", POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", FRAMING_BAD},
    {"a body that looks like a second length", POST "Content-Length: 19\r\n\r\nContent-Length: 1\r\n", FRAMING_OK},
};

static void test_what_is_read(void)
{
    static const char head[] = "POST /a?b HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 345\r\ncookie: a=b\r\n\r\n";
    struct framing_head read;
    ok(framing_check(head, sizeof(head) - 1, &read) == FRAMING_OK, "a head with a length");
    ok(read.method_len == 4 && memcmp(read.method, "POST", 4) == 0, "method");
    ok(read.path_len == 4 && memcmp(read.path, "/a?b", 4) == 0, "path with query");
    ok(read.has_length && read.length == 345 && !read.chunked, "length");

    static const char huge[] = POST "Content-Length: 99999999999999999999999999\r\n\r\n";
    ok(framing_check(huge, sizeof(huge) - 1, &read) == FRAMING_OK && read.length == SIZE_MAX,
       "a length beyond all bounds stays there");
    static const char chunked[] = POST "Transfer-Encoding: chunked\r\n\r\n";
    ok(framing_check(chunked, sizeof(chunked) - 1, &read) == FRAMING_OK && read.chunked && !read.has_length, "chunked");
}

/* A head with a path and a header of these lengths. */
static enum framing_verdict check_sized(size_t path, size_t header)
{
    char *head = malloc(path + header + 128);
    struct framing_head read;
    int len = sprintf(head, "GET /%0*d HTTP/1.1\r\n" HOST "A: %0*d\r\n\r\n", (int)path - 1, 0, (int)header, 0);
    enum framing_verdict verdict = framing_check(head, (size_t)len, &read);
    free(head);
    return verdict;
}

static void test_sizes(void)
{
    is_int(check_sized(FRAMING_PATH_MAX, 10), FRAMING_OK, "the longest path");
    is_int(check_sized(FRAMING_PATH_MAX + 1, 10), FRAMING_LONG_PATH, "one byte longer");
    is_int(check_sized(10, FRAMING_HEAD_MAX - 100), FRAMING_OK, "a long head");
    is_int(check_sized(10, FRAMING_HEAD_MAX), FRAMING_LONG_HEAD, "a longer one");
    is_int(check_sized(FRAMING_PATH_MAX + 1, FRAMING_HEAD_MAX), FRAMING_LONG_PATH, "both: the path comes first");
}

int main(void)
{
    struct framing_head read;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        is_int(framing_check(cases[i].head, strlen(cases[i].head), &read), cases[i].verdict, "%s", cases[i].name);
        ok((read.problem != NULL) == (cases[i].verdict == FRAMING_BAD), "%s: a reason only when it is refused",
           cases[i].name);
    }
    test_what_is_read();
    test_sizes();
    return tap_done();
}
