/*
 * From a request to its handler, in a worker. What a row of the route table promises is checked here and nowhere else:
 * who may call, the CSRF token of changes made with a cookie, the size of the body. Whether the credential is any good
 * is in the statement's answer (request_query.c).
 */
#include "http/router.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "auth/csrf.h"
#include "auth/tokens.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "http/cookies.h"
#include "http/reply.h"
#include "http/request_private.h"

struct row {
    const struct route *route;
    const char *before, *after; /* around {}; after NULL: none */
    size_t before_len, after_len;
    bool quiet; /* not in the access log */
};

struct http_router {
    struct row *rows;
    size_t count;
};

struct path {
    const char *s;
    size_t len;
};

static void compile(struct row *row, const struct route *route)
{
    static const char *const quiet[] = {"/livez", "/readyz", "/api/v1/health"};
    const char *argument = strstr(route->path, "{}");
    row->route = route;
    row->before = route->path;
    row->before_len = argument != NULL ? (size_t)(argument - route->path) : strlen(route->path);
    row->after = argument != NULL ? argument + 2 : NULL;
    row->after_len = argument != NULL ? strlen(argument + 2) : 0;
    for (size_t i = 0; i < ARRAY_SIZE(quiet); ++i)
        row->quiet = row->quiet || strcmp(route->path, quiet[i]) == 0;
}

struct http_router *http_router_new(const struct route_table *table)
{
    if (!route_table_check(table))
        return NULL;
    struct http_router *router = mem_zalloc(sizeof(*router));
    router->rows = mem_zalloc(table->count * sizeof(*router->rows));
    router->count = table->count;
    for (size_t i = 0; i < table->count; ++i)
        compile(&router->rows[i], &table->rows[i]);
    return router;
}

void http_router_free(struct http_router **router)
{
    if (*router == NULL)
        return;
    free((*router)->rows);
    free(*router);
    *router = NULL;
}

static bool matches(const struct row *row, struct path path)
{
    if (row->after == NULL)
        return path.len == row->before_len && memcmp(path.s, row->before, path.len) == 0;
    if (path.len <= row->before_len + row->after_len || memcmp(path.s, row->before, row->before_len) != 0)
        return false;
    size_t middle = path.len - row->before_len - row->after_len;
    return memchr(path.s + row->before_len, '/', middle) == NULL &&
           memcmp(path.s + row->before_len + middle, row->after, row->after_len) == 0;
}

static bool method_is(h2o_iovec_t method, const char *name)
{
    return h2o_memis(method.base, method.len, name, strlen(name));
}

/* A path that one row names letter for letter falls into no other's {}: "create" is nobody's id. */
static bool is_named(const struct http_router *router, struct path path)
{
    for (size_t i = 0; i < router->count; ++i)
        if (router->rows[i].after == NULL && matches(&router->rows[i], path))
            return true;
    return false;
}

static const struct row *find(const struct http_router *router, h2o_iovec_t method, struct path path,
                              bool *path_known_r)
{
    const char *head = method_is(method, "HEAD") ? "GET" : NULL; /* a GET whose body is left out */
    bool named = is_named(router, path);
    *path_known_r = false;
    for (size_t i = 0; i < router->count; ++i) {
        const struct row *row = &router->rows[i];
        if ((named && row->after != NULL) || !matches(row, path))
            continue;
        *path_known_r = true;
        if (head != NULL ? strcmp(row->route->method, head) == 0 : method_is(method, row->route->method))
            return row;
    }
    return NULL;
}

/*
 * The path of a raw target as libh2o would make it: decoded, dots resolved, without query. The absolute form, which
 * every server has to take (RFC 9112, 3.2.2), libh2o does not know.
 */
static struct path target_path(h2o_mem_pool_t *pool, const char *target, size_t len)
{
    h2o_url_t url;
    size_t query_at, *indexes;
    h2o_iovec_t path = h2o_iovec_init(target, len);
    if (len == 0 || target[0] != '/') {
        if (h2o_url_parse(target, len, &url) != 0 || url.path.len == 0)
            return (struct path){"", 0};
        path = url.path;
    }
    path = h2o_url_normalize_path(pool, path.base, path.len, &query_at, &indexes);
    return (struct path){path.base, path.len};
}

static struct path request_path(h2o_req_t *req)
{
    if (req->path.len > 0 && req->path.base[0] == '/')
        return (struct path){req->path_normalized.base, req->path_normalized.len};
    return target_path(&req->pool, req->path.base, req->path.len);
}

static void answer_not_allowed(const struct http_router *router, struct http_request *request, struct path path)
{
    struct strbuf allow = STRBUF_INIT;
    bool named = is_named(router, path);
    for (size_t i = 0; i < router->count; ++i) {
        const struct row *row = &router->rows[i];
        if ((named && row->after != NULL) || !matches(row, path))
            continue;
        if (allow.len > 0)
            strbuf_append_str(&allow, ", ");
        strbuf_append_str(&allow, row->route->method);
        if (strcmp(row->route->method, "GET") == 0)
            strbuf_append_str(&allow, ", HEAD");
    }
    reply_header(request, "allow", allow.data);
    strbuf_release(&allow);
    reply_error(request, ERROR_METHOD_NOT_ALLOWED);
}

/* Authorization: Bearer TOKEN; the scheme in any case (RFC 9110, 11.1). */
static const char *bearer(struct http_request *request)
{
    const char *header = http_request_header(request, "authorization");
    if (header == NULL || strncasecmp(header, "bearer ", 7) != 0)
        return NULL;
    header += 7;
    return header + strspn(header, " ");
}

static bool take_token(struct http_request *request, const char *token)
{
    request->has_credential = token != NULL && token_hash(token, strlen(token), request->credential);
    if (request->has_credential && request->route->who != CALLER_DEVICE)
        request->session = token;
    return request->has_credential;
}

/* False: there is none, or nothing that could be one. */
static bool find_credential(struct http_request *request, bool *cookie_r)
{
    *cookie_r = false;
    switch (request->route->who) {
    case CALLER_ANYONE:
        return true;
    case CALLER_DEVICE:
        return take_token(request, bearer(request));
    case CALLER_USER:
        if (take_token(request, bearer(request)))
            return true;
        *cookie_r = true;
        return take_token(request, http_request_cookie(request, COOKIES_USER_SESSION));
    case CALLER_ADMIN:
        *cookie_r = true;
        return take_token(request, http_request_cookie(request, COOKIES_ADMIN_SESSION));
    case CALLER_UNSET:
        break;
    }
    assert(!"a route without a caller"); /* route_table_check() */
    return false;
}

static bool is_form(struct http_request *request)
{
    const char *type = http_request_header(request, "content-type");
    return type != NULL && (strncasecmp(type, "multipart/form-data", 19) == 0 ||
                            strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0);
}

/* False: answered. */
static bool check_csrf(struct http_request *request)
{
    const char *token = http_request_header(request, "x-csrf-token");
    if (token == NULL && is_form(request)) {
        if (!http_request_form(request) || !http_request_form_field(request, "csrf_token", &token))
            return false;
    }
    if (token != NULL && csrf_valid(request->session, strlen(request->session), token, strlen(token)))
        return true;
    reply_error(request, ERROR_CSRF_INVALID);
    return false;
}

static void call(struct http_request *request)
{
    const struct route *route = request->route;
    bool cookie;
    if (!find_credential(request, &cookie)) {
        reply_error(request, ERROR_UNAUTHORIZED);
        return;
    }
    if (request->h2o->entity.len > route_body_limit(request->context->config, route->body)) {
        reply_error(request, ERROR_REQUEST_TOO_LARGE);
        return;
    }
    if (cookie && strcmp(route->method, "GET") != 0 && !check_csrf(request))
        return;
    route->handler(request);
}

void http_router_dispatch(const struct http_router *router, struct http_request *request)
{
    struct path path = request_path(request->h2o);
    bool path_known;
    const struct row *row = find(router, request->h2o->method, path, &path_known);
    if (row == NULL) {
        if (path_known)
            answer_not_allowed(router, request, path);
        else
            reply_error(request, ERROR_NOT_FOUND);
        return;
    }
    request->route = row->route;
    request->log_quietly = row->quiet;
    if (row->after != NULL) {
        const char *argument = path.s + row->before_len;
        size_t len = path.len - row->before_len - row->after_len;
        if (!utf8_storable(argument, len)) {
            reply_error(request, ERROR_NOT_FOUND);
            return;
        }
        request->argument = http_request_strdup(request, argument, len);
    }
    call(request);
}

size_t http_router_body_limit(const struct http_router *router, const struct config *config, h2o_iovec_t method,
                              h2o_iovec_t target, bool *upload_r)
{
    h2o_mem_pool_t pool;
    bool path_known;
    h2o_mem_init_pool(&pool);
    const struct row *row = find(router, method, target_path(&pool, target.base, target.len), &path_known);
    h2o_mem_clear_pool(&pool);
    *upload_r = row != NULL && row->route->body == BODY_UPLOAD;
    return route_body_limit(config, row != NULL ? row->route->body : BODY_NONE);
}

size_t http_router_greatest_body(const struct http_router *router, const struct config *config)
{
    size_t greatest = route_body_limit(config, BODY_NONE);
    for (size_t i = 0; i < router->count; ++i) {
        size_t limit = route_body_limit(config, router->rows[i].route->body);
        if (router->rows[i].route->body != BODY_UPLOAD && limit > greatest)
            greatest = limit;
    }
    return greatest;
}
