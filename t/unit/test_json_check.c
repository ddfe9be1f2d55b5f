/* core/json_check.h: by the grammar of RFC 8259, and against what json-c would take */
#include <json-c/json.h>
#include <stdlib.h>

#include "core/json_check.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "tap.h"

#define TEXT(s) (s), sizeof(s) - 1

static const struct {
    const char *text;
    size_t len;
    enum json_verdict verdict; /* with JSON_CHECK_STORABLE */
} cases[] = {
    /* values */
    {TEXT("null"), JSON_OK},
    {TEXT("true"), JSON_OK},
    {TEXT("false"), JSON_OK},
    {TEXT(" \t\r\n{ } \n"), JSON_OK},
    {TEXT("[]"), JSON_OK},
    {TEXT("[ ]"), JSON_OK},
    {TEXT("[1, \"a\" ,null,[],{}]"), JSON_OK},
    {TEXT("{\"a\" : 1 , \"b\":{\"c\":[true]}}"), JSON_OK},
    {TEXT("{\"\":\"\"}"), JSON_OK},
    {TEXT("{\"a\":1,\"a\":2}"), JSON_OK},
    {TEXT("[[[]],{\"a\":[{}]}]"), JSON_OK},
    /* no value, or a broken one */
    {TEXT(""), JSON_INVALID},
    {TEXT(" \n"), JSON_INVALID},
    {TEXT("tru"), JSON_INVALID},
    {TEXT("True"), JSON_INVALID},
    {TEXT("NULL"), JSON_INVALID},
    {TEXT("nan"), JSON_INVALID},
    {TEXT("NaN"), JSON_INVALID},
    {TEXT("Infinity"), JSON_INVALID},
    {TEXT("-Infinity"), JSON_INVALID},
    {TEXT("truefalse"), JSON_INVALID},
    {TEXT("nullx"), JSON_INVALID},
    {TEXT("'a'"), JSON_INVALID},
    {TEXT("a"), JSON_INVALID},
    {TEXT("\0"), JSON_INVALID},
    {TEXT("1\0"), JSON_INVALID},
    {TEXT("/* */ 1"), JSON_INVALID},
    {TEXT("\f1"), JSON_INVALID},
    {TEXT("\xc2\xa0"
          "1"),
     JSON_INVALID},
    {TEXT("\xef\xbb\xbf{}"), JSON_INVALID},
    /* numbers */
    {TEXT("0"), JSON_OK},
    {TEXT("-0"), JSON_OK},
    {TEXT("10"), JSON_OK},
    {TEXT("-1.50"), JSON_OK},
    {TEXT("1e5"), JSON_OK},
    {TEXT("1E+05"), JSON_OK},
    {TEXT("0.1e-7"), JSON_OK},
    {TEXT("123456789012345678901234567890123456789012345678901234567890"), JSON_OK},
    {TEXT("1e999999999"), JSON_OK},
    {TEXT("-"), JSON_INVALID},
    {TEXT("+1"), JSON_INVALID},
    {TEXT("01"), JSON_INVALID},
    {TEXT("-01"), JSON_INVALID},
    {TEXT("00"), JSON_INVALID},
    {TEXT("1."), JSON_INVALID},
    {TEXT(".5"), JSON_INVALID},
    {TEXT("1e"), JSON_INVALID},
    {TEXT("1e+"), JSON_INVALID},
    {TEXT("1e+-2"), JSON_INVALID},
    {TEXT("0x10"), JSON_INVALID},
    {TEXT("1_000"), JSON_INVALID},
    {TEXT("1.2.3"), JSON_INVALID},
    {TEXT("--1"), JSON_INVALID},
    {TEXT("[1 2]"), JSON_INVALID},
    /* brackets and commas */
    {TEXT("["), JSON_INVALID},
    {TEXT("]"), JSON_INVALID},
    {TEXT("{"), JSON_INVALID},
    {TEXT("}"), JSON_INVALID},
    {TEXT("[}"), JSON_INVALID},
    {TEXT("{]"), JSON_INVALID},
    {TEXT("[{]}"), JSON_INVALID},
    {TEXT("[1,]"), JSON_INVALID},
    {TEXT("[,1]"), JSON_INVALID},
    {TEXT("[,]"), JSON_INVALID},
    {TEXT("[1"), JSON_INVALID},
    {TEXT("[1,"), JSON_INVALID},
    {TEXT("{\"a\"}"), JSON_INVALID},
    {TEXT("{\"a\":}"), JSON_INVALID},
    {TEXT("{\"a\":1,}"), JSON_INVALID},
    {TEXT("{,\"a\":1}"), JSON_INVALID},
    {TEXT("{a:1}"), JSON_INVALID},
    {TEXT("{1:1}"), JSON_INVALID},
    {TEXT("{\"a\":1 \"b\":2}"), JSON_INVALID},
    {TEXT("{\"a\",1}"), JSON_INVALID},
    {TEXT("{\"a\"::1}"), JSON_INVALID},
    {TEXT("[\"a\":1]"), JSON_INVALID},
    {TEXT("[{\"a\":[1]},2}"), JSON_INVALID},
    /* strings */
    {TEXT("\"\""), JSON_OK},
    {TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), JSON_OK},
    {TEXT("\"\\u00e4\\u4E16\""), JSON_OK},
    {TEXT("\"\\ud83c\\udf0d\""), JSON_OK},
    {TEXT("\"\xf0\x9f\x8c\x8d \xed\x9f\xbf \x7f\""), JSON_OK},
    {TEXT("\""), JSON_INVALID},
    {TEXT("\"a"), JSON_INVALID},
    {TEXT("\"\\\""), JSON_INVALID},
    {TEXT("\"\\"), JSON_INVALID},
    {TEXT("\"\\x41\""), JSON_INVALID},
    {TEXT("\"\\'\""), JSON_INVALID},
    {TEXT("\"\\\0\""), JSON_INVALID},
    {TEXT("\"\\u\""), JSON_INVALID},
    {TEXT("\"\\u12\""), JSON_INVALID},
    {TEXT("\"\\u123"), JSON_INVALID},
    {TEXT("\"\\u12g4\""), JSON_INVALID},
    {TEXT("\"\\U0041\""), JSON_INVALID},
    {TEXT("\"\\ud83c\\uzzzz\""), JSON_INVALID},
    {TEXT("\"\\ud83c\\u00"), JSON_INVALID},
    {TEXT("\"\t\""), JSON_INVALID},
    {TEXT("\"\n\""), JSON_INVALID},
    {TEXT("\"\x1f\""), JSON_INVALID},
    {TEXT("\"a\0b\""), JSON_INVALID},
    {TEXT("\"\x80\""), JSON_INVALID},
    {TEXT("\"\xc0\xaf\""), JSON_INVALID},
    {TEXT("\"\xed\xa0\x80\""), JSON_INVALID},
    {TEXT("\"\xf4\x90\x80\x80\""), JSON_INVALID},
    {TEXT("\"\xe4\xb8\""), JSON_INVALID},
    {TEXT("{\"\xff\":1}"), JSON_INVALID},
    /* JSON that PostgreSQL's text cannot hold */
    {TEXT("\"\\u0000\""), JSON_UNSTORABLE},
    {TEXT("{\"a\\u0000\":1}"), JSON_UNSTORABLE},
    {TEXT("\"\\ud83c\""), JSON_UNSTORABLE},
    {TEXT("\"\\udf0d\""), JSON_UNSTORABLE},
    {TEXT("\"\\udf0d\\ud83c\""), JSON_UNSTORABLE},
    {TEXT("\"\\ud83c\\u0041\""), JSON_UNSTORABLE},
    {TEXT("\"\\ud83c\\n\""), JSON_UNSTORABLE},
    {TEXT("\"\\ud83c\\ud83c\\udf0d\""), JSON_UNSTORABLE},
    {TEXT("\"\\\\u0000\""), JSON_OK},
    {TEXT("[\"\\ud800\",1"), JSON_INVALID},
    {TEXT("\"\\ud800\" 1"), JSON_TRAILING},
    /* more than one */
    {TEXT("{} {}"), JSON_TRAILING},
    {TEXT("{}{}"), JSON_TRAILING},
    {TEXT("[]]"), JSON_TRAILING},
    {TEXT("1 2"), JSON_TRAILING},
    {TEXT("null,"), JSON_TRAILING},
    {TEXT("\"a\"b"), JSON_TRAILING},
    {TEXT("{}\0"), JSON_TRAILING},
    {TEXT("{} //"), JSON_TRAILING},
    {TEXT("{} \xff"), JSON_TRAILING},
};

static void test_cases(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        /* A copy of exactly this size, so that a sanitizer sees a byte read behind the end. */
        char *text = mem_alloc(cases[i].len);
        memcpy(text, cases[i].text, cases[i].len);
        is_int(json_check(text, cases[i].len, JSON_CHECK_STORABLE), cases[i].verdict, "%s", cases[i].text);
        enum json_verdict loose = cases[i].verdict == JSON_UNSTORABLE ? JSON_OK : cases[i].verdict;
        is_int(json_check(text, cases[i].len, 0), loose, "… as a text that is kept");
        free(text);
    }
}

/* A value inside `depth` brackets. */
static void nested(struct strbuf *out, size_t depth, const char *open, const char *close)
{
    strbuf_reset(out);
    for (size_t i = 0; i < depth; i++)
        strbuf_append_str(out, open);
    strbuf_append_str(out, "1");
    for (size_t i = 0; i < depth; i++)
        strbuf_append_str(out, close);
}

static void test_depth(void)
{
    static const struct {
        size_t depth;
        unsigned flags;
        enum json_verdict verdict;
    } depths[] = {
        {JSON_CHECK_DEPTH, 0, JSON_OK},
        {JSON_CHECK_DEPTH + 1, 0, JSON_TOO_DEEP},
        {JSON_CHECK_DEEP_DEPTH, 0, JSON_TOO_DEEP},
        {JSON_CHECK_DEEP_DEPTH, JSON_CHECK_DEEP, JSON_OK},
        {JSON_CHECK_DEEP_DEPTH + 1, JSON_CHECK_DEEP, JSON_TOO_DEEP},
        {1000000, JSON_CHECK_DEEP, JSON_TOO_DEEP},
    };
    struct strbuf text = STRBUF_INIT;
    for (size_t i = 0; i < ARRAY_SIZE(depths); i++) {
        nested(&text, depths[i].depth, "[", "]");
        is_int(json_check(text.data, text.len, depths[i].flags), depths[i].verdict, "%zu arrays", depths[i].depth);
        nested(&text, depths[i].depth, "{\"a\":", "}");
        is_int(json_check(text.data, text.len, depths[i].flags), depths[i].verdict, "%zu objects", depths[i].depth);
    }
    nested(&text, 10, "[{\"a\":", "}]");
    is_int(json_check(text.data, text.len, 0), JSON_OK, "both in turns");
    is_int(json_check(text.data, text.len - 1, 0), JSON_INVALID, "one bracket short");
    text.data[text.len - 3] = '}';
    is_int(json_check(text.data, text.len, 0), JSON_INVALID, "a bracket of the other kind");
    strbuf_release(&text);
}

/* What passes here, json-c must be able to build: nothing that we accept becomes an error later. */
static void test_json_c(void)
{
    unsigned refused = 0;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        if (cases[i].verdict != JSON_OK)
            continue;
        struct json_tokener *tokener = json_tokener_new_ex(JSON_CHECK_DEPTH + 1);
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        struct json_object *tree = json_tokener_parse_ex(tokener, cases[i].text, (int)cases[i].len + 1);
        refused += json_tokener_get_error(tokener) != json_tokener_success;
        json_object_put(tree);
        json_tokener_free(tokener);
    }
    is_int(refused, 0, "json-c takes all that is accepted");
}

int main(void)
{
    test_cases();
    test_depth();
    test_json_c();
    return tap_done();
}
