/*
 * The body of a request as JSON or as a form. For handlers and the router's CSRF check, in a worker.
 */
#include <json-c/json.h>
#include <string.h>
#include <strings.h>

#include "core/json_check.h"
#include "core/utf8.h"
#include "http/multipart.h"
#include "http/reply.h"
#include "http/request_private.h"
#include "http/urlencoded.h"

#define FORM_PARTS_MAX 64

struct http_form_field {
    struct http_form_field *next;
    const char *name;
    const char *value; /* NULL: in JSON, and no string */
};

/* False: answered. */
static bool check_json(struct http_request *request, const char *body, size_t len)
{
    switch (json_check(body, len, JSON_CHECK_STORABLE)) {
    case JSON_OK:
        return true;
    case JSON_TRAILING:
        reply_error(request, ERROR_TRAILING_JSON);
        return false;
    case JSON_UNSTORABLE:
        reply_error_text(request, ERROR_INVALID_REQUEST, "strings must not hold U+0000 or lone surrogates");
        return false;
    case JSON_TOO_DEEP:
        reply_error_text(request, ERROR_INVALID_JSON, "request body is nested too deeply");
        return false;
    case JSON_INVALID:
        break;
    }
    reply_error(request, ERROR_INVALID_JSON);
    return false;
}

struct json_object *http_request_json(struct http_request *request)
{
    if (request->json != NULL)
        return request->json;
    size_t len;
    const char *body = http_request_body(request, &len);
    if (!check_json(request, body, len))
        return NULL;
    struct json_tokener *tokener = json_tokener_new_ex(JSON_CHECK_DEPTH + 2);
    struct json_object *value = tokener != NULL ? json_tokener_parse_ex(tokener, body, (int)len) : NULL;
    if (tokener != NULL)
        json_tokener_free(tokener);
    if (!json_object_is_type(value, json_type_object)) {
        json_object_put(value);
        reply_error_text(request, ERROR_INVALID_JSON, "request body must be a JSON object");
        return NULL;
    }
    request->json = value;
    return value;
}

static void add_field(struct http_request *request, const char *name, const char *value)
{
    struct http_form_field *field = http_request_alloc(request, sizeof(*field));
    field->name = name;
    field->value = value;
    field->next = request->form;
    request->form = field;
}

static bool broken_form(struct http_request *request)
{
    reply_error_text(request, ERROR_INVALID_REQUEST, "malformed form");
    return false;
}

static bool parse_urlencoded(struct http_request *request, const char *body, size_t len)
{
    const char *key, *value;
    size_t key_len, value_len;
    while (urlencoded_next(&body, &len, &key, &key_len, &value, &value_len)) {
        char *name = http_request_alloc(request, key_len + 1), *text = http_request_alloc(request, value_len + 1);
        if (!urlencoded_decode(key, key_len, name, &key_len) || !urlencoded_decode(value, value_len, text, &value_len))
            return broken_form(request);
        add_field(request, name, text);
    }
    return true;
}

static bool parse_multipart(struct http_request *request, const char *body, size_t len, const char *content_type)
{
    struct multipart_part parts[FORM_PARTS_MAX];
    char boundary[71];
    size_t count;
    if (!multipart_boundary(content_type, boundary) ||
        !multipart_parse(body, len, boundary, parts, FORM_PARTS_MAX, &count, NULL)) {
        reply_error(request, ERROR_INVALID_MULTIPART);
        return false;
    }
    for (size_t i = 0; i < count; ++i) {
        const struct multipart_part *part = &parts[i];
        if (part->file_name != NULL || !utf8_storable(part->name, part->name_len) ||
            !utf8_storable(part->content, part->content_len))
            return broken_form(request);
        add_field(request, http_request_strdup(request, part->name, part->name_len),
                  http_request_strdup(request, part->content, part->content_len));
    }
    return true;
}

static bool parse_json_form(struct http_request *request)
{
    struct json_object *object = http_request_json(request);
    if (object == NULL)
        return false;
    json_object_object_foreach(object, name, value)
    {
        if (value != NULL)
            add_field(request, name,
                      json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL);
    }
    return true;
}

static bool type_is(const char *content_type, const char *type)
{
    size_t len = strlen(type);
    return strncasecmp(content_type, type, len) == 0 && strchr("; \t", content_type[len]) != NULL;
}

/* JSON needs no Content-Type of its own, and `curl -d` calls everything a form: no form of ours begins with a brace. */
static bool looks_like_json(const char *body, size_t len)
{
    size_t blank = 0;
    while (blank < len && strchr(" \t\r\n", body[blank]) != NULL && body[blank] != '\0')
        ++blank;
    return blank < len && body[blank] == '{';
}

bool http_request_form(struct http_request *request)
{
    if (request->form_parsed)
        return true;
    size_t len;
    const char *body = http_request_body(request, &len);
    const char *content_type = http_request_header(request, "content-type");
    request->form_parsed = true;
    if (content_type != NULL && type_is(content_type, "multipart/form-data"))
        return parse_multipart(request, body, len, content_type);
    if (content_type != NULL && type_is(content_type, "application/x-www-form-urlencoded") && !looks_like_json(body, len))
        return parse_urlencoded(request, body, len);
    return parse_json_form(request);
}

bool http_request_form_field(struct http_request *request, const char *name, const char **value_r)
{
    const struct http_form_field *field = request->form;
    while (field != NULL && strcmp(field->name, name) != 0)
        field = field->next;
    if (field == NULL)
        return true;
    if (field->value == NULL) {
        reply_error_text(request, ERROR_INVALID_REQUEST, "field '%s' must be a string", name);
        return false;
    }
    *value_r = field->value;
    return true;
}
