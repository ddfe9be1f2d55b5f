/*
 * Fields of a JSON object, for the handlers of a worker.
 */
#include "http/json_fields.h"

#include <json-c/json.h>
#include <math.h>
#include <string.h>

#include "core/error_codes.h"
#include "http/reply.h"

/* The member, or NULL when it is absent or null. */
static struct json_object *member(struct json_object *object, const char *name)
{
    struct json_object *value;
    return json_object_object_get_ex(object, name, &value) ? value : NULL;
}

static bool wrong_type(struct http_request *request, const char *name, const char *type)
{
    reply_error_text(request, ERROR_INVALID_REQUEST, "field '%s' must be %s", name, type);
    return false;
}

bool json_field_text(struct http_request *request, struct json_object *object, const char *name, size_t max,
                     struct json_text *value_r)
{
    struct json_object *value = member(object, name);
    if (value == NULL)
        return true;
    if (!json_object_is_type(value, json_type_string))
        return wrong_type(request, name, "a string");
    size_t len = (size_t)json_object_get_string_len(value);
    if (len > max) {
        reply_error_text(request, ERROR_FIELD_TOO_LONG, "field '%s' is longer than %zu bytes", name, max);
        return false;
    }
    value_r->s = json_object_get_string(value);
    value_r->len = len;
    return true;
}

/* json-c cuts whole numbers that are too great to the limits of their type, so the limits themselves are no numbers
 * here. */
static bool whole_number(struct json_object *value, int64_t *value_r)
{
    if (json_object_is_type(value, json_type_int)) {
        *value_r = json_object_get_int64(value);
        return *value_r != INT64_MIN && (*value_r < 0 || json_object_get_uint64(value) <= (uint64_t)INT64_MAX);
    }
    double number = json_object_get_double(value);
    if (!(fabs(number) < 9007199254740992.0) || number != floor(number)) /* 2^53: beyond, a double is no exact number */
        return false;
    *value_r = (int64_t)number;
    return true;
}

bool json_field_int(struct http_request *request, struct json_object *object, const char *name, int64_t *value_r)
{
    struct json_object *value = member(object, name);
    if (value == NULL)
        return true;
    if (!json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_double))
        return wrong_type(request, name, "a whole number");
    return whole_number(value, value_r) || wrong_type(request, name, "a whole number of 64 bits");
}

bool json_field_array(struct http_request *request, struct json_object *object, const char *name,
                      struct json_object **value_r)
{
    struct json_object *value = member(object, name);
    if (value != NULL && !json_object_is_type(value, json_type_array))
        return wrong_type(request, name, "an array");
    *value_r = value;
    return true;
}

struct json_text json_text_trim(struct json_text text)
{
    static const char blanks[] = " \t\r\n\f\v";
    while (text.len > 0 && memchr(blanks, text.s[0], sizeof(blanks) - 1) != NULL) {
        ++text.s;
        --text.len;
    }
    while (text.len > 0 && memchr(blanks, text.s[text.len - 1], sizeof(blanks) - 1) != NULL)
        --text.len;
    return text;
}
