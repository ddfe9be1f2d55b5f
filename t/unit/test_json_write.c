/* core/json_write.h */
#include "core/json_check.h"
#include "core/json_write.h"
#include "tap.h"

#define TEXT(s) (s), sizeof(s) - 1

static const struct {
    const char *text;
    size_t len;
    const char *json;
} strings[] = {
    {TEXT(""), "\"\""},
    {TEXT("plain"), "\"plain\""},
    {TEXT("\"\\"), "\"\\\"\\\\\""},
    {TEXT("a/b"), "\"a/b\""},
    {TEXT("\b\t\n\f\r"), "\"\\b\\t\\n\\f\\r\""},
    {TEXT("a\0b"), "\"a\\u0000b\""},
    {TEXT("\x01\x0b\x1f\x7f"), "\"\\u0001\\u000b\\u001f\x7f\""},
    {TEXT("\xc3\xa4\xf0\x9f\x8c\x8d</script>"), "\"\xc3\xa4\xf0\x9f\x8c\x8d</script>\""},
    {TEXT("\nx\ny\n"), "\"\\nx\\ny\\n\""},
};

static void test_strings(void)
{
    struct strbuf out = STRBUF_INIT;
    for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
        strbuf_reset(&out);
        json_write_string(&out, strings[i].text, strings[i].len);
        is_str(out.data, strings[i].json, "%s", strings[i].json);
    }
    char all[128];
    for (int i = 0; i < 128; i++)
        all[i] = (char)i;
    strbuf_reset(&out);
    json_write_string(&out, all, sizeof(all));
    is_int(json_check(out.data, out.len, 0), JSON_OK, "all of ASCII is written as JSON");
    char text[6000]; /* longer than what is escaped at a time, and all of the worst kind */
    memset(text, 1, sizeof(text));
    strbuf_reset(&out);
    json_write_string(&out, text, sizeof(text));
    is_int(out.len, 6 * sizeof(text) + 2, "a long string of control bytes");
    is_int(json_check(out.data, out.len, 0), JSON_OK, "is JSON, too");
    strbuf_release(&out);
}

int main(void)
{
    struct strbuf out = STRBUF_INIT;
    test_strings();
    strbuf_append_char(&out, '{');
    json_write_member(&out, "error", "no \"such\" file");
    strbuf_append_char(&out, ',');
    json_write_name(&out, "least");
    json_write_int(&out, INT64_MIN);
    strbuf_append_char(&out, ',');
    json_write_name(&out, "most");
    json_write_int(&out, INT64_MAX);
    strbuf_append_char(&out, '}');
    is_str(out.data, "{\"error\":\"no \\\"such\\\" file\",\"least\":-9223372036854775808,\"most\":9223372036854775807}",
           "an object of members, names and integers");
    strbuf_release(&out);
    return tap_done();
}
