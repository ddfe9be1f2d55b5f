/* http/multipart.h */
#include "http/multipart.h"
#include "tap.h"

#define DISPOSITION "Content-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n"

static const struct {
    const char *type;
    const char *boundary; /* NULL: refused */
} boundaries[] = {
    {"multipart/form-data; boundary=abc", "abc"},
    {"Multipart/Form-Data;boundary=\"a b:c\"", "a b:c"},
    {"multipart/form-data; charset=utf-8; boundary=abc", "abc"},
    {"multipart/form-data; BOUNDARY=AbC ", "AbC"},
    {"multipart/form-data; boundary=1234567890123456789012345678901234567890123456789012345678901234567890",
     "1234567890123456789012345678901234567890123456789012345678901234567890"},
    {"multipart/form-data; boundary=12345678901234567890123456789012345678901234567890123456789012345678901", NULL},
    {"multipart/form-data; boundary=", NULL},
    {"multipart/form-data; boundary=\"\"", NULL},
    {"multipart/form-data; boundary=\"a ", NULL},
    {"multipart/form-data; boundary=\"a \"", NULL},
    {"multipart/form-data; boundary=\"a\\b\"", NULL},
    {"multipart/form-data; boundary=a; boundary=b", NULL},
    {"multipart/form-data; boundary=a, b", NULL},
    {"multipart/form-data; boundary =a", NULL},
    {"multipart/form-data", NULL},
    {"multipart/form-data boundary=a", NULL},
    {"multipart/form-datax; boundary=a", NULL},
    {"multipart/mixed; boundary=a", NULL},
    {"application/json", NULL},
    {"", NULL},
};

static const struct {
    const char *name, *body;
    int count;                       /* parts; -1: refused */
    const char *content, *file_name; /* of the first part */
} cases[] = {
    {"one file", "--b\r\n" DISPOSITION "\r\ncontent\r\n--b--\r\n", 1, "content", "a.bin"},
    {"no line end behind the last delimiter", "--b\r\n" DISPOSITION "\r\ncontent\r\n--b--", 1, "content", "a.bin"},
    {"no content", "--b\r\n" DISPOSITION "\r\n\r\n--b--\r\n", 1, "", "a.bin"},
    {"no content, not even its line", "--b\r\n" DISPOSITION "\r\n--b--\r\n", 1, "", "a.bin"},
    {"line ends in the content", "--b\r\n" DISPOSITION "\r\n\r\n\r\na\r\n\r\n--b--\r\n", 1, "\r\n\r\na\r\n", "a.bin"},
    {"a line like the delimiter", "--b\r\n" DISPOSITION "\r\nx\r\n--bb\r\n--b x\r\n--\r\n--b--\r\n", 1,
     "x\r\n--bb\r\n--b x\r\n--", "a.bin"},
    {"blanks behind the delimiters", "--b \t\r\n" DISPOSITION "\r\nx\r\n--b-- \r\n", 1, "x", "a.bin"},
    {"preamble and epilogue", "hello\r\n--b\r\n" DISPOSITION "\r\nx\r\n--b--\r\nbye\r\n--b\r\n", 1, "x", "a.bin"},
    {"another header", "--b\r\nContent-Type: x/y\r\n" DISPOSITION "\r\nx\r\n--b--\r\n", 1, "x", "a.bin"},
    {"header names in capitals", "--b\r\nCONTENT-DISPOSITION:FORM-DATA;NAME=file;FILENAME=a\r\n\r\nx\r\n--b--\r\n", 1,
     "x", "a"},
    {"an escaped quotation mark",
     "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\\\"b\"\r\n\r\nx\r\n--b--\r\n", 1, "x",
     "a\\\"b"},
    {"an empty file name", "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\"\r\n\r\nx\r\n--b--\r\n",
     1, "x", ""},
    {"no file name", "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n--b--\r\n", 1, "x", NULL},
    {"two parts", "--b\r\n" DISPOSITION "\r\nx\r\n--b\r\n" DISPOSITION "\r\ny\r\n--b--\r\n", 2, "x", "a.bin"},
    {"three parts are too many",
     "--b\r\n" DISPOSITION "\r\n\r\n--b\r\n" DISPOSITION "\r\n\r\n--b\r\n" DISPOSITION "\r\n\r\n--b--\r\n", -1, NULL,
     NULL},
    {"no part", "--b--\r\n", 0, NULL, NULL},
    {"empty", "", -1, NULL, NULL},
    {"no delimiter", "content", -1, NULL, NULL},
    {"another boundary", "--c\r\n" DISPOSITION "\r\nx\r\n--c--\r\n", -1, NULL, NULL},
    {"no last delimiter", "--b\r\n" DISPOSITION "\r\ncontent", -1, NULL, NULL},
    {"last delimiter without its dashes", "--b\r\n" DISPOSITION "\r\ncontent\r\n--b", -1, NULL, NULL},
    {"last delimiter not at the start of a line", "--b\r\n" DISPOSITION "\r\ncontent--b--\r\n", -1, NULL, NULL},
    {"last delimiter behind a bare LF", "--b\r\n" DISPOSITION "\r\ncontent\n--b--\r\n", -1, NULL, NULL},
    {"bare LF in the headers", "--b\r\nContent-Disposition: form-data; name=\"file\"\n\r\nx\r\n--b--\r\n", -1, NULL,
     NULL},
    {"headers do not end", "--b\r\n" DISPOSITION, -1, NULL, NULL},
    {"no headers", "--b\r\n\r\nx\r\n--b--\r\n", -1, NULL, NULL},
    {"no disposition", "--b\r\nContent-Type: x/y\r\n\r\nx\r\n--b--\r\n", -1, NULL, NULL},
    {"no name", "--b\r\nContent-Disposition: form-data; filename=\"a\"\r\n\r\nx\r\n--b--\r\n", -1, NULL, NULL},
    {"two names", "--b\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\nx\r\n--b--\r\n", -1, NULL, NULL},
    {"two file names", "--b\r\nContent-Disposition: form-data; name=a; filename=b; filename=c\r\n\r\nx\r\n--b--\r\n",
     -1, NULL, NULL},
    {"two dispositions", "--b\r\n" DISPOSITION DISPOSITION "\r\nx\r\n--b--\r\n", -1, NULL, NULL},
    {"another disposition", "--b\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--b--\r\n", -1, NULL, NULL},
    {"an open quotation", "--b\r\nContent-Disposition: form-data; name=\"a\r\n\r\nx\r\n--b--\r\n", -1, NULL, NULL},
    {"a folded header", "--b\r\nContent-Disposition: form-data;\r\n name=a\r\n\r\nx\r\n--b--\r\n", -1, NULL, NULL},
    {"a header without a colon", "--b\r\nnonsense\r\n" DISPOSITION "\r\nx\r\n--b--\r\n", -1, NULL, NULL},
};

static void test_boundaries(void)
{
    char boundary[71];
    for (size_t i = 0; i < ARRAY_SIZE(boundaries); i++) {
        bool found = multipart_boundary(boundaries[i].type, boundary);
        is_str(found ? boundary : NULL, boundaries[i].boundary, "boundary of '%s'", boundaries[i].type);
    }
}

static bool span_is(const char *s, size_t len, const char *expected)
{
    return s == NULL || expected == NULL ? s == NULL && expected == NULL
                                         : len == strlen(expected) && memcmp(s, expected, len) == 0;
}

static void test_case(size_t i)
{
    struct multipart_part parts[2];
    struct strbuf error = STRBUF_INIT;
    size_t count;
    bool parsed = multipart_parse(cases[i].body, strlen(cases[i].body), "b", parts, 2, &count, &error);
    is_int(parsed ? (int)count : -1, cases[i].count, "%s: parts", cases[i].name);
    ok(parsed == (error.len == 0), "%s: a reason only when it is refused", cases[i].name);
    if (parsed && cases[i].count > 0) {
        ok(span_is(parts[0].content, parts[0].content_len, cases[i].content), "%s: content", cases[i].name);
        ok(span_is(parts[0].file_name, parts[0].file_name_len, cases[i].file_name), "%s: file name", cases[i].name);
        ok(span_is(parts[0].name, parts[0].name_len, "file"), "%s: name", cases[i].name);
    }
    strbuf_release(&error);
}

int main(void)
{
    test_boundaries();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        test_case(i);
    return tap_done();
}
