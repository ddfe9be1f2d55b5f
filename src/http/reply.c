/*
 * Answers of handlers, the router and the sweep, in a worker.
 */
#include "http/reply.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/config.h"
#include "core/json_write.h"
#include "core/log.h"
#include "core/mem.h"
#include "http/cookies.h"
#include "http/reply_private.h"
#include "http/request_private.h"

#define SMALL_ANSWER (64 * 1024)

#define NAME(text)                                               \
    {                                                            \
        .base = (char *)(uintptr_t)text, .len = sizeof(text) - 1 \
    }

static h2o_iovec_t name_request_id = NAME("x-request-id");
static h2o_iovec_t name_content_type = NAME("content-type");
static h2o_iovec_t name_no_sniff = NAME("x-content-type-options");
static h2o_iovec_t name_frame = NAME("x-frame-options");
static h2o_iovec_t name_referrer = NAME("referrer-policy");
static h2o_iovec_t name_cache = NAME("cache-control");
static h2o_iovec_t name_policy = NAME("content-security-policy");

static const char html_policy[] =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {200, "OK"},
    {206, "Partial Content"},
    {303, "See Other"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {503, "Service Unavailable"},
};

const char *reply_reason(int status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); ++i)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Status";
}

/* Without a copy: name and value live as long as libh2o's request. The caller has reserved the room. */
static void push_header(h2o_req_t *req, h2o_iovec_t *name, const char *value, size_t len)
{
    h2o_header_t *header = &req->res.headers.entries[req->res.headers.size++];
    header->name = name;
    header->orig_name = NULL;
    header->value = h2o_iovec_init(value, len);
}

void reply_common_headers(h2o_req_t *req, const char *id, const char *type, size_t type_len, enum reply_cache cache)
{
    bool html = type_len >= 9 && memcmp(type, "text/html", 9) == 0;
    h2o_vector_reserve(&req->pool, &req->res.headers, req->res.headers.size + 8);
    if (type_len > 0)
        push_header(req, &name_content_type, type, type_len);
    push_header(req, &name_request_id, id, HTTP_ID_SIZE - 1);
    push_header(req, &name_no_sniff, H2O_STRLIT("nosniff"));
    push_header(req, &name_frame, H2O_STRLIT("DENY"));
    push_header(req, &name_referrer, H2O_STRLIT("no-referrer"));
    if (cache == REPLY_NO_STORE)
        push_header(req, &name_cache, H2O_STRLIT("no-store"));
    else if (cache == REPLY_PRIVATE)
        push_header(req, &name_cache, H2O_STRLIT("private, no-cache"));
    if (html)
        push_header(req, &name_policy, html_policy, sizeof(html_policy) - 1);
}

h2o_req_t *reply_begin(struct http_request *request, int status, const char *type, size_t length,
                       enum reply_cache cache)
{
    http_body_answering(request);
    h2o_req_t *req = http_request_take(request, status);
    req->res.status = status;
    req->res.reason = reply_reason(status);
    req->res.content_length = length;
    if (request->server->drain_started != 0) /* libh2o looks only when a head comes in */
        req->http1_is_persistent = 0;
    reply_common_headers(req, request->id, type, strlen(type), cache);
    return req;
}

/* The body lives as long as the request object. libh2o may end its request before this returns. */
static void send_body(struct http_request *request, int status, const char *type, const char *body, size_t len)
{
    static h2o_generator_t generator = {NULL, NULL};
    bool head_only = request->head_only;
    h2o_req_t *req = reply_begin(request, status, type, len, REPLY_NO_STORE);
    h2o_iovec_t buffer = h2o_iovec_init(body, len);
    h2o_start_response(req, &generator);
    if (head_only || len == 0)
        h2o_send(req, NULL, 0, H2O_SEND_STATE_FINAL);
    else
        h2o_send(req, &buffer, 1, H2O_SEND_STATE_FINAL);
}

void reply_header(struct http_request *request, const char *name, const char *value)
{
    assert(strpbrk(name, "\r\n:") == NULL &&
           strpbrk(value, "\r\n") == NULL); /* would be a header or answer of its own */
    h2o_req_t *req = request->h2o;
    h2o_iovec_t copy = h2o_strdup(&req->pool, value, SIZE_MAX);
    h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 0, NULL, copy.base, copy.len);
}

void reply_session_cookie(struct http_request *request, const char *name, const char *path, const char *value,
                          int64_t max_age)
{
    struct strbuf cookie = STRBUF_INIT;
    cookies_set(&cookie, name, value, path, max_age, request->secure);
    reply_header(request, "set-cookie", cookie.data);
    mem_wipe(cookie.data, cookie.len);
    strbuf_release(&cookie);
}

/*
 * A page of a pull stays in memory until its client has taken it, and a client may take it slowly. Beyond the limit
 * only small answers are made; a client that gets the 503 asks again, and what it had stored stays stored.
 */
static bool no_room_for(const struct http_request *request, const struct strbuf *body)
{
    return body->capacity > SMALL_ANSWER &&
           request->server->unsent + body->capacity > (size_t)request->context->config->http_answer_memory;
}

static void send_text(struct http_request *request, int status, const char *type, struct strbuf *body)
{
    if (no_room_for(request, body)) {
        log_warning("request %s: %zu bytes of answers wait for slow clients (http.answer_memory); it got a 503",
                    request->id, request->server->unsent);
        strbuf_release(body);
        reply_retry_after(request, ERROR_UNAVAILABLE, 5);
        return;
    }
    request->server->unsent += body->capacity;
    request->reply = *body;
    strbuf_init(body);
    send_body(request, status, type, request->reply.data, request->reply.len);
}

void reply_json(struct http_request *request, int status, struct strbuf *body)
{
    send_text(request, status, "application/json", body);
}

void reply_html(struct http_request *request, int status, struct strbuf *body)
{
    send_text(request, status, "text/html; charset=utf-8", body);
}

void reply_status(struct http_request *request, const char *status)
{
    struct strbuf body = STRBUF_INIT;
    strbuf_append_char(&body, '{');
    json_write_member(&body, "status", status);
    strbuf_append_char(&body, '}');
    reply_json(request, 200, &body);
}

void reply_static(struct http_request *request, int status, const char *content_type, const char *body, size_t len)
{
    send_body(request, status, content_type, body, len);
}

void reply_redirect(struct http_request *request, const char *location)
{
    reply_header(request, "location", location);
    send_body(request, 303, "", "", 0);
}

void reply_error_body(struct strbuf *body, enum error_code code, const char *text)
{
    strbuf_append_char(body, '{');
    json_write_member(body, "error", text != NULL ? text : error_info(code)->message);
    strbuf_append_char(body, ',');
    json_write_member(body, "code", error_info(code)->code);
    strbuf_append_char(body, '}');
}

static void send_error(struct http_request *request, enum error_code code, const char *text)
{
    struct strbuf body = STRBUF_INIT;
    reply_error_body(&body, code, text);
    if (code == ERROR_UNAUTHORIZED && request->route != NULL && request->route->who == CALLER_DEVICE)
        reply_header(request, "www-authenticate", "Bearer");
    reply_json(request, error_info(code)->status, &body);
}

void reply_error(struct http_request *request, enum error_code code)
{
    send_error(request, code, NULL);
}

void reply_error_text(struct http_request *request, enum error_code code, const char *format, ...)
{
    struct strbuf text = STRBUF_INIT;
    va_list args;
    va_start(args, format);
    strbuf_vprintf(&text, format, args);
    va_end(args);
    send_error(request, code, text.data);
    strbuf_release(&text);
}

void reply_retry_after(struct http_request *request, enum error_code code, int64_t seconds)
{
    char value[24];
    snprintf(value, sizeof(value), "%lld", (long long)(seconds > 1 ? seconds : 1));
    reply_header(request, "retry-after", value);
    send_error(request, code, NULL);
}

void reply_internal(struct http_request *request, const char *format, ...)
{
    struct strbuf text = STRBUF_INIT;
    va_list args;
    va_start(args, format);
    strbuf_vprintf(&text, format, args);
    va_end(args);
    log_error("request %s: %s", request->id, text.data);
    strbuf_release(&text);
    send_error(request, ERROR_INTERNAL_ERROR, NULL);
}
