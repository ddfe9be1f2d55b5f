/* api/push_parse.h and api/json_slice.h */
#include <stdlib.h>

#include "api/json_slice.h"
#include "api/push_parse.h"
#include "core/mem.h"
#include "tap.h"

static const struct push_limits limits = {.operations = 3, .payload = 100};

#define OP(fields) "{\"op_id\":\"o\",\"entity_type\":\"file\",\"entity_id\":\"e\",\"op_type\":\"update\"" fields "}"
#define OPS(list) "{\"ops\":[" list "]}"
#define PAYLOAD(text) OPS(OP(",\"payload_json\":\"" text "\""))
#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

struct refused {
    const char *body;
    enum error_code code;
};

static const struct refused refused[] = {
    {"", ERROR_INVALID_JSON},
    {"   ", ERROR_INVALID_JSON},
    {"{", ERROR_INVALID_JSON},
    {"{\"ops\":[],}", ERROR_INVALID_JSON},
    {"\xef\xbb\xbf{\"ops\":[]}", ERROR_INVALID_JSON},
    {"{\"ops\":[]} {}", ERROR_TRAILING_JSON},
    {"{\"ops\":[]} x", ERROR_TRAILING_JSON},
    {"{\"ops\":[],\"a\":\"\xff\"}", ERROR_INVALID_JSON},
    {"{\"ops\":[],\"a\":\"\\u0000\"}", ERROR_INVALID_JSON},
    {"{\"ops\":[],\"a\":\"\\ud800\"}", ERROR_INVALID_JSON},
    {"{\"ops\":[],\"\\u0000\":1}", ERROR_INVALID_JSON},
    {"[]", ERROR_INVALID_REQUEST},
    {"null", ERROR_INVALID_REQUEST},
    {"\"x\"", ERROR_INVALID_REQUEST},
    {"{}", ERROR_INVALID_REQUEST},
    {"{\"ops\":null}", ERROR_INVALID_REQUEST},
    {"{\"ops\":{}}", ERROR_INVALID_REQUEST},
    {"{\"ops\":[],\"ops\":1}", ERROR_INVALID_REQUEST},
    {"{\"ops\":[],\"idempotency_key\":1}", ERROR_INVALID_REQUEST},
    {"{\"ops\":[],\"idempotency_key\":\"" X64 X64 "x\"}", ERROR_FIELD_TOO_LONG},
    {OPS("1"), ERROR_INVALID_REQUEST},
    {OPS("null"), ERROR_INVALID_REQUEST},
    {OPS("[]"), ERROR_INVALID_REQUEST},
    {OPS("{}"), ERROR_INVALID_OPERATION},
    {OPS("1,2,3,4"), ERROR_TOO_MANY_OPERATIONS},
    {OPS(OP("") "," OP("") "," OP("") "," OP("")), ERROR_TOO_MANY_OPERATIONS},
    {OPS(OP(",\"op_id\":\"\"")), ERROR_INVALID_OPERATION},
    {OPS(OP(",\"op_id\":\" \\t\\r\\n\"")), ERROR_INVALID_OPERATION},
    {OPS(OP(",\"op_id\":null")), ERROR_INVALID_OPERATION},
    {OPS(OP(",\"op_id\":1")), ERROR_INVALID_REQUEST},
    {OPS(OP(",\"op_id\":\"" X64 X64 "x\"")), ERROR_FIELD_TOO_LONG},
    {OPS(OP(",\"entity_type\":\"" X64 "x\"")), ERROR_FIELD_TOO_LONG},
    {OPS(OP(",\"op_type\":\"" X64 "x\"")), ERROR_FIELD_TOO_LONG},
    {OPS(OP(",\"client_sequence\":-1")), ERROR_INVALID_OPERATION},
    {OPS(OP(",\"client_sequence\":1.5")), ERROR_INVALID_REQUEST},
    {OPS(OP(",\"client_sequence\":\"1\"")), ERROR_INVALID_REQUEST},
    {OPS(OP(",\"client_sequence\":9223372036854775808")), ERROR_INVALID_REQUEST},
    {OPS(OP(",\"client_sequence\":1e400")), ERROR_INVALID_REQUEST},
    {OPS(OP(",\"last_seen_server_seq\":-9223372036854775808")), ERROR_INVALID_OPERATION},
    {OPS(OP(",\"created_at\":5")), ERROR_INVALID_REQUEST},
    {OPS(OP(",\"payload_json\":{}")), ERROR_INVALID_REQUEST},
    {PAYLOAD("{"), ERROR_INVALID_PAYLOAD},
    {PAYLOAD(" "), ERROR_INVALID_PAYLOAD},
    {PAYLOAD("1 2"), ERROR_INVALID_PAYLOAD},
    {PAYLOAD("NaN"), ERROR_INVALID_PAYLOAD},
    {PAYLOAD("\\\"" X64 X64 "\\\""), ERROR_PAYLOAD_TOO_LARGE},
    {PAYLOAD("{\\\"dataBase64\\\":\\\"\\\"}"), ERROR_INLINE_BINARY_FORBIDDEN},
    {PAYLOAD("{\\\"data\\\\u0042ase64\\\":1}"), ERROR_INLINE_BINARY_FORBIDDEN},
    {PAYLOAD("{\\\"dataBase64\\\":1,\\\"dataBase64\\\":null}"), ERROR_INLINE_BINARY_FORBIDDEN},
    {PAYLOAD("{\\\"blob\\\":1}"), ERROR_INVALID_BLOB_REFERENCE},
    {PAYLOAD("{\\\"blob\\\":{}}"), ERROR_INVALID_BLOB_REFERENCE},
    {PAYLOAD("{\\\"blob\\\":{\\\"size\\\":1}}"), ERROR_INVALID_BLOB_REFERENCE},
    {PAYLOAD("{\\\"blob\\\":{\\\"sha256\\\":\\\"x\\\",\\\"size\\\":1}}"), ERROR_INVALID_BLOB_REFERENCE},
};

static void test_refused(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct strbuf error = STRBUF_INIT;
        struct push push;
        enum error_code code = ERROR_COUNT;
        /* In memory of its own length, so that a sanitizer sees each byte read beyond. */
        size_t len = strlen(refused[i].body);
        char *body = mem_alloc(len + 1);
        memcpy(body, refused[i].body, len);
        body = mem_realloc(body, len == 0 ? 1 : len);
        bool accepted = push_parse(body, len, &limits, &push, &code, &error);
        ok(!accepted && code == refused[i].code && error.len > 0, "%.60s: %s", refused[i].body, error.data);
        if (code != refused[i].code)
            printf("# expected %s, got %s\n", error_info(refused[i].code)->code,
                   code == ERROR_COUNT ? "none" : error_info(code)->code);
        ok(push.operations == NULL && push.texts == NULL, "and holds nothing");
        if (accepted)
            push_release(&push);
        strbuf_release(&error);
        free(body);
    }
}

static bool text_is(struct push_text text, const char *expected)
{
    return text.len == strlen(expected) && memcmp(text.s, expected, text.len) == 0;
}

static bool parse(const char *body, struct push *push_r)
{
    enum error_code code = ERROR_COUNT;
    struct strbuf error = STRBUF_INIT;
    struct push_limits wide = {.operations = 3, .payload = 1000};
    bool done = push_parse(body, strlen(body), &wide, push_r, &code, &error);
    ok(done, "accepted: %.70s", body);
    if (!done)
        printf("# %s\n", error.data);
    strbuf_release(&error);
    return done;
}

static void test_fields(void)
{
    static const char body[] =
        " {\"device_id\":{\"ignored\":[1,\"]}\"]},\"idempotency_key\":\"k\\u00e9y\",\n\"ops\" : [ "
        "{\"payload_json\":\"{\\\"a\\\":[\\\"\\\\u0000\\\"]}\","
        "\"op_id\":\"\\u0416\\ud83d\\udcbe\\/\\\\\\\"\\b\\f\\n\\r\\t\",\"entity_type\":\"note\",\"entity_id\":\"Notes/"
        "\xd0\xb6.md\",\"op_type\":\"update\","
        "\"client_sequence\":9223372036854775807,\"last_seen_server_seq\":4.1e1,\"created_at\":\"2026-11-22T10:15:"
        "00Z\","
        "\"unknown\":{\"op_id\":\"x\"}}, "
        "{\"op\\u005fid\":\"b\",\"entity_type\":\"t\",\"entity_id\":\"i\",\"op_type\":\"delete\"} ] } ";
    struct push push;
    if (!parse(body, &push))
        return;
    is_int(push.count, 2, "two operations");
    ok(text_is(push.idempotency_key, "k\xc3\xa9y"), "idempotency_key");
    const struct push_operation *op = &push.operations[0];
    ok(text_is(op->op_id, "\xd0\x96\xf0\x9f\x92\xbe/\\\"\b\f\n\r\t"), "op_id, decoded");
    ok(text_is(op->entity_type, "note") && text_is(op->entity_id, "Notes/\xd0\xb6.md") &&
           text_is(op->op_type, "update"),
       "names");
    ok(text_is(op->payload, "{\"a\":[\"\\u0000\"]}"), "payload, decoded once");
    ok(text_is(op->created_at, "2026-11-22T10:15:00Z"), "created_at");
    is_int(op->client_sequence, INT64_MAX, "client_sequence");
    is_int(op->last_seen, 41, "last_seen_server_seq");
    op++;
    ok(text_is(op->op_id, "b") && text_is(op->payload, "") && text_is(op->created_at, ""), "defaults; an escaped name");
    is_int(op->client_sequence + op->last_seen, 0, "sequences default to 0");
    push_release(&push);
    ok(push.operations == NULL, "released");
}

static void test_accepted(void)
{
    struct push push;
    if (parse("{\"ops\":[]}", &push)) {
        is_int(push.count, 0, "no operations");
        push_release(&push);
    }
    if (parse("{\"ops\":[1],\"idempotency_key\":null,\"ops\":[" OP(",\"op_id\":\"last\"") "]}", &push)) {
        ok(push.count == 1 && text_is(push.operations[0].op_id, "last"), "the last of equal members counts");
        is_int(push.idempotency_key.len, 0, "null is none");
        push_release(&push);
    }
    static const char *const harmless[] = {
        PAYLOAD(""),
        PAYLOAD("[]"),
        PAYLOAD("null"),
        PAYLOAD("\\\"dataBase64\\\""),
        PAYLOAD("{\\\"x\\\":{\\\"dataBase64\\\":1,\\\"blob\\\":1}}"),
        PAYLOAD("{\\\"database64\\\":1,\\\"Blob\\\":1}"),
        PAYLOAD("{\\\"dataBase64\\\":null,\\\"blob\\\":null}"),
        PAYLOAD("\\\"\\\\ud800\\\""),
    };
    for (size_t i = 0; i < ARRAY_SIZE(harmless); i++) {
        if (parse(harmless[i], &push)) {
            is_int(push.blob_count, 0, "and names no blob");
            push_release(&push);
        }
    }
}

static void test_blobs(void)
{
    static const char body[] =
        PAYLOAD("{\\\"blob\\\":{\\\"size\\\":5,\\\"sha256\\\":\\\"" HASH "\\\"},\\\"x\\\":1,\\\"bl\\\\u006fb\\\":"
                "{\\\"sha\\\\u003256\\\":\\\"" HASH "\\\",\\\"size\\\":1e1}}");
    struct push push;
    if (parse(body, &push)) {
        is_int(push.blob_count, 2, "each occurrence is checked");
        ok(push.blobs[0].size == 5 && push.blobs[1].size == 10, "sizes");
        ok(push.blobs[0].sha256[1] == 0x23 && push.blobs[1].sha256[31] == 0xef, "hashes");
        push_release(&push);
    }
    static const char *const wrong[] = {
        PAYLOAD("{\\\"blob\\\":{\\\"sha256\\\":\\\"" HASH "\\\",\\\"sha256\\\":\\\"" HASH "\\\",\\\"size\\\":1}}"),
        PAYLOAD("{\\\"blob\\\":{\\\"sha256\\\":\\\"" HASH "\\\",\\\"size\\\":1,\\\"size\\\":2}}"),
        PAYLOAD("{\\\"blob\\\":{\\\"sha256\\\":\\\"" HASH "\\\",\\\"size\\\":-1}}"),
        PAYLOAD("{\\\"blob\\\":{\\\"sha256\\\":\\\"" HASH "\\\",\\\"size\\\":1.5}}"),
        PAYLOAD("{\\\"blob\\\":{\\\"sha256\\\":\\\"" HASH "\\\",\\\"size\\\":\\\"1\\\"}}"),
        PAYLOAD("{\\\"blob\\\":{\\\"sha256\\\":\\\"" HASH "0\\\",\\\"size\\\":1}}"),
        PAYLOAD("{\\\"blob\\\":{\\\"sha256\\\":null,\\\"size\\\":1}}"),
        PAYLOAD("{\\\"blob\\\":{\\\"sha256\\\":\\\"ABCDEF" HASH "\\\",\\\"size\\\":1}}"),
    };
    struct push_limits wide = {.operations = 3, .payload = 1000};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        enum error_code code = ERROR_COUNT;
        bool accepted = push_parse(wrong[i], strlen(wrong[i]), &wide, &push, &code, NULL);
        ok(!accepted && code == ERROR_INVALID_BLOB_REFERENCE, "%.150s", wrong[i] + 70);
        if (accepted)
            push_release(&push);
    }
}

static void test_deep(void)
{
    enum { DEPTH = 400 };
    struct strbuf body = STRBUF_INIT;
    struct push push;
    enum error_code code;
    strbuf_append_str(&body, "{\"x\":");
    for (int i = 0; i < DEPTH; i++)
        strbuf_append_str(&body, i % 2 ? "[" : "{\"a\":");
    strbuf_append_str(&body, "0");
    for (int i = DEPTH; i-- > 0;)
        strbuf_append_str(&body, i % 2 ? "]" : "}");
    strbuf_append_str(&body, ",\"ops\":[]}");
    ok(push_parse(body.data, body.len, &limits, &push, &code, NULL), "nested %d deep", DEPTH);
    push_release(&push);
    strbuf_reset(&body);
    for (int i = 0; i < 10000; i++)
        strbuf_append_str(&body, "[");
    ok(!push_parse(body.data, body.len, &limits, &push, &code, NULL) && code == ERROR_INVALID_JSON, "10,000 deep");
    strbuf_release(&body);
}

/* json_slice on text that nobody has checked: wrong answers, but no byte beyond the end (for sanitizers) and an end. */
static void walk_all(struct json_slice value, int depth)
{
    struct json_slice name, inner;
    int64_t number;
    if (depth > 50 || json_slice_kind(value) == JSON_ABSENT)
        return;
    char *decoded = mem_alloc((size_t)(value.end - value.start) + 4);
    (void)json_slice_decode(value, decoded);
    if (!json_slice_int(value, &number))
        number = 0;
    (void)json_slice_is(value, "sha256", 6);
    for (struct json_walk walk = json_walk_begin(value); json_walk_next(&walk, &name, &inner);)
        walk_all(inner, depth + 1);
    for (struct json_walk walk = json_walk_begin(value); json_walk_next(&walk, NULL, &inner);)
        walk_all(inner, depth + 1);
    free(decoded);
}

static void test_unchecked(void)
{
    static const char *const texts[] = {
        "",      "\"",     "\"\\",           "\"\\u",      "\"\\u12\"", "{",          "}", "[",  "]",     "[[",
        "{\"a",  "{\"a\"", "{\"a\":",        "[1,",        "[,,]",      ":::",        "-", "\\", "[\"\\", "{:,:,}",
        "[]]]]", "nul",    "\"\\ud800\\u\"", "{\"a\":\"b", "[}{]",      "\x80\xff\"",
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        size_t len = strlen(texts[i]);
        char *text = mem_alloc(len);
        memcpy(text, texts[i], len);
        walk_all(json_slice_of(text, len), 0);
        free(text);
    }
    ok(true, "no text makes it read beyond its end");
}

int main(void)
{
    test_refused();
    test_fields();
    test_accepted();
    test_blobs();
    test_deep();
    test_unchecked();
    return tap_done();
}
