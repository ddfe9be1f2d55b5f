/* Fuzzes json_check and json_write against json-c: what passes the check must become a tree, what is written must pass.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/json_check.h"
#include "core/json_write.h"
#include "core/mem.h"
#include "core/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* The text, which has room for the zero byte that json-c wants behind a number, as a tree; NULL for null. */
static struct json_object *parse(const char *text, size_t len)
{
    struct json_tokener *tokener = json_tokener_new_ex(JSON_CHECK_DEPTH + 1);
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *tree = json_tokener_parse_ex(tokener, text, (int)len + 1);
    require(json_tokener_get_error(tokener) == json_tokener_success);
    json_tokener_free(tokener);
    return tree;
}

static void check_text(const char *text, size_t len)
{
    enum json_verdict loose = json_check(text, len, 0), deep = json_check(text, len, JSON_CHECK_DEEP);
    enum json_verdict strict = json_check(text, len, JSON_CHECK_STORABLE);
    require(strict == loose || (strict == JSON_UNSTORABLE && loose == JSON_OK));
    require(deep == loose || loose == JSON_TOO_DEEP);
    if (loose != JSON_OK)
        return;
    require(utf8_storable(text, len));
    json_object_put(parse(text, len));
}

static void check_written(const char *text, size_t len)
{
    struct strbuf out = STRBUF_INIT;
    json_write_string(&out, text, len);
    require((json_check(out.data, out.len, 0) == JSON_OK) == utf8_valid(text, len));
    if (utf8_valid(text, len)) {
        struct json_object *string = parse(out.data, out.len);
        require((size_t)json_object_get_string_len(string) == len);
        require(memcmp(json_object_get_string(string), text, len) == 0);
        json_object_put(string);
    }
    strbuf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* json_check() gets bytes that end where its length says; json-c needs one more. */
    char *text = mem_strndup((const char *)data, size);
    require(json_check((const char *)data, size, 0) == json_check(text, size, 0));
    check_text(text, size);
    check_written(text, size);
    free(text);
    return 0;
}
