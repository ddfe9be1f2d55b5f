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
    const char *value;  /* NULL: in JSON, and no string */
    const char *digits; /* a whole number in JSON; else NULL */
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

static struct http_form_field *add_field(struct http_request *request, const char *name, const char *value)
{
    struct http_form_field *field = http_request_alloc(request, sizeof(*field));
    field->name = name;
    field->value = value;
    field->next = request->form;
    request->form = field;
    return field;
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

/* A part has ended; name NULL: there was none yet. False: no text. */
static bool end_part(struct http_request *request, const char *name, const struct strbuf *value)
{
    if (name == NULL)
        return true;
    if (!utf8_storable(value->data, value->len))
        return false;
    add_field(request, name, http_request_strdup(request, value->data, value->len));
    return true;
}

/* False: a file, no text, or too many parts. */
static bool begin_part(struct http_request *request, const struct multipart *m, unsigned count, const char **name_r)
{
    if (count > FORM_PARTS_MAX || m->file_name != NULL || !utf8_storable(m->name, m->name_len))
        return false;
    *name_r = http_request_strdup(request, m->name, m->name_len);
    return true;
}

static bool collect_parts(struct http_request *request, struct multipart *m, const char *at, const char *end)
{
    struct strbuf value = STRBUF_INIT;
    const char *name = NULL;
    unsigned count = 0;
    enum multipart_event event;
    bool good = true;
    while (good && (event = multipart_next(m, &at, end)) != MULTIPART_MORE) {
        if (event == MULTIPART_CONTENT) {
            strbuf_append(&value, m->content, m->content_len);
        } else if (event == MULTIPART_PART) {
            good = end_part(request, name, &value) && begin_part(request, m, ++count, &name);
            strbuf_reset(&value);
        } else {
            break;
        }
    }
    good = good && end_part(request, name, &value);
    strbuf_release(&value);
    return good;
}

static bool parse_multipart(struct http_request *request, const char *body, size_t len, const char *content_type)
{
    struct multipart m;
    char boundary[MULTIPART_BOUNDARY_MAX + 1];
    bool known = multipart_boundary(content_type, boundary);
    if (known) {
        multipart_init(&m, boundary);
        if (!collect_parts(request, &m, body, body + len))
            return broken_form(request);
    }
    if (known && multipart_end(&m))
        return true;
    reply_error(request, ERROR_INVALID_MULTIPART);
    return false;
}

static bool parse_json_form(struct http_request *request)
{
    struct json_object *object = http_request_json(request);
    if (object == NULL)
        return false;
    json_object_object_foreach(object, name, value)
    {
        if (json_object_is_type(value, json_type_string))
            add_field(request, name, json_object_get_string(value));
        else if (json_object_is_type(value, json_type_int))
            add_field(request, name, NULL)->digits = json_object_to_json_string(value);
        else if (value != NULL)
            add_field(request, name, NULL);
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
    if (content_type != NULL && type_is(content_type, "application/x-www-form-urlencoded") &&
        !looks_like_json(body, len))
        return parse_urlencoded(request, body, len);
    return parse_json_form(request);
}

static const struct http_form_field *find_field(const struct http_request *request, const char *name)
{
    const struct http_form_field *field = request->form;
    while (field != NULL && strcmp(field->name, name) != 0)
        field = field->next;
    return field;
}

bool http_request_form_field(struct http_request *request, const char *name, const char **value_r)
{
    const struct http_form_field *field = find_field(request, name);
    if (field == NULL)
        return true;
    if (field->value == NULL) {
        reply_error_text(request, ERROR_INVALID_REQUEST, "field '%s' must be a string", name);
        return false;
    }
    *value_r = field->value;
    return true;
}

bool http_request_form_number(struct http_request *request, const char *name, const char **value_r)
{
    const struct http_form_field *field = find_field(request, name);
    if (field == NULL || field->digits == NULL)
        return http_request_form_field(request, name, value_r);
    *value_r = field->digits;
    return true;
}
