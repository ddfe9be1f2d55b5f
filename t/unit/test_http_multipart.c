/* http/multipart.h */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/strbuf.h"
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
    {"three parts",
     "--b\r\n" DISPOSITION "\r\n\r\n--b\r\n" DISPOSITION "\r\n\r\n--b\r\n" DISPOSITION "\r\n\r\n--b--\r\n", 3, "",
     "a.bin"},
    {"beginnings of delimiters",
     "--b\r\n" DISPOSITION "\r\n\r\r\n\r\n-\r\n--\r\n--b-\r\n--b- \r\n--b--x\r\n--b \r\r\n--b--\r\n", 1,
     "\r\r\n\r\n-\r\n--\r\n--b-\r\n--b- \r\n--b--x\r\n--b \r", "a.bin"},
    {"blanks behind the last delimiter, which ends all", "--b\r\n" DISPOSITION "\r\nx\r\n--b-- \t", 1, "x", "a.bin"},
    {"half a line end behind the last delimiter", "--b\r\n" DISPOSITION "\r\nx\r\n--b--\r", -1, NULL, NULL},
    {"a first line like the delimiter", "--bb\r\n--b\r\n" DISPOSITION "\r\nx\r\n--b--\r\n", 1, "x", "a.bin"},
    {"CR at the end of a header", "--b\r\nX: y\r\r\n" DISPOSITION "\r\nx\r\n--b--\r\n", 1, "x", "a.bin"},
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

/* What a parser told of a body. */
struct told {
    int count; /* parts; -1: refused */
    struct strbuf name, file_name, content;
    bool has_file_name;
    const char *problem;
};

static void told_release(struct told *told)
{
    strbuf_release(&told->name);
    strbuf_release(&told->file_name);
    strbuf_release(&told->content);
}

static void tell(struct multipart *m, struct told *told, const char *bytes, size_t len)
{
    const char *end = bytes + len;
    enum multipart_event event;
    while ((event = multipart_next(m, &bytes, end)) != MULTIPART_MORE && event != MULTIPART_BROKEN) {
        if (event == MULTIPART_PART && ++told->count == 1) {
            strbuf_append(&told->name, m->name, m->name_len);
            told->has_file_name = m->file_name != NULL;
            strbuf_append(&told->file_name, m->file_name != NULL ? m->file_name : "", m->file_name_len);
        } else if (event == MULTIPART_CONTENT && told->count == 1) {
            strbuf_append(&told->content, m->content, m->content_len);
        }
    }
}

/* The body in pieces of these lengths, the last of them again and again. Each piece stands in memory of its own. */
static void parse(const char *body, const size_t pieces[2], struct told *told_r)
{
    struct multipart m;
    size_t len = strlen(body), at = 0;
    memset(told_r, 0, sizeof(*told_r));
    strbuf_init(&told_r->name);
    strbuf_init(&told_r->file_name);
    strbuf_init(&told_r->content);
    multipart_init(&m, "b");
    for (unsigned i = 0; at < len; i = 1) {
        size_t n = pieces[i] < len - at ? pieces[i] : len - at;
        char *piece = mem_alloc(n + 1);
        memcpy(piece, body + at, n);
        tell(&m, told_r, piece, n);
        free(piece);
        at += n;
    }
    if (!multipart_end(&m))
        told_r->count = -1;
    told_r->problem = m.problem;
}

static bool same(const struct told *a, const struct told *b)
{
    if (a->count != b->count || (a->problem == NULL) != (b->problem == NULL) ||
        (a->problem != NULL && strcmp(a->problem, b->problem) != 0))
        return false;
    return a->count < 0 || (strcmp(a->name.data, b->name.data) == 0 && strcmp(a->content.data, b->content.data) == 0 &&
                            strcmp(a->file_name.data, b->file_name.data) == 0 && a->has_file_name == b->has_file_name);
}

/* Split anywhere, the body is the same. */
static bool splits(const char *body, const struct told *whole)
{
    size_t len = strlen(body);
    for (size_t i = 0; i <= 2 * len; i++) {
        struct told told;
        parse(body, i < len ? (size_t[]){i, len} : (size_t[]){i - len + 1, i - len + 1}, &told);
        bool good = same(whole, &told);
        told_release(&told);
        if (!good) {
            printf("# split %zu of %zu\n", i, len);
            return false;
        }
    }
    return true;
}

static void test_case(size_t i)
{
    struct told whole;
    parse(cases[i].body, (size_t[]){SIZE_MAX, SIZE_MAX}, &whole);
    is_int(whole.count, cases[i].count, "%s: parts", cases[i].name);
    ok((whole.count < 0) == (whole.problem != NULL), "%s: a reason only when it is refused", cases[i].name);
    if (whole.count > 0) {
        is_str(whole.content.data, cases[i].content, "%s: content", cases[i].name);
        is_str(whole.has_file_name ? whole.file_name.data : NULL, cases[i].file_name, "%s: file name", cases[i].name);
        is_str(whole.name.data, "file", "%s: name", cases[i].name);
    }
    ok(splits(cases[i].body, &whole), "%s: the same in pieces", cases[i].name);
    told_release(&whole);
}

static void test_bounds(void)
{
    struct strbuf body = STRBUF_INIT;
    struct told told;
    strbuf_append_str(&body, "--b\r\n" DISPOSITION "\r\nx\r\n--b");
    for (int i = 0; i < 5000; i++)
        strbuf_append_char(&body, ' ');
    strbuf_append_str(&body, "\r\n--b--\r\n");
    parse(body.data, (size_t[]){100, 7}, &told);
    is_int(told.count, 1, "a delimiter with thousands of blanks is content");
    is_int((int)told.content.len, 1 + 5 + 5000, "all of it");
    told_release(&told);
    strbuf_reset(&body);
    strbuf_append_str(&body, "--b\r\n");
    for (int i = 0; i < 2000; i++)
        strbuf_append_str(&body, "X-A: b\r\n");
    parse(body.data, (size_t[]){1000, 1000}, &told);
    is_str(told.problem, "headers of a part do not end", "endless headers");
    told_release(&told);
    strbuf_release(&body);
}

int main(void)
{
    test_boundaries();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        test_case(i);
    test_bounds();
    return tap_done();
}
