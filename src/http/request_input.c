/*
 * What came in with a request: headers, parameters, cookies, the client's address. For handlers and the router, in a
 * worker.
 */
#include <string.h>

#include "core/config.h"
#include "core/log.h"
#include "http/cookies.h"
#include "http/request_private.h"
#include "http/urlencoded.h"

const char *http_request_method(const struct http_request *request)
{
    return request->head_only ? "HEAD" : request->route->method;
}

const char *http_request_arg(const struct http_request *request)
{
    return request->argument;
}

const char *http_request_address(const struct http_request *request)
{
    return request->address;
}

bool http_request_secure(const struct http_request *request)
{
    return request->secure;
}

static bool header_is(const h2o_header_t *header, const char *name, size_t len)
{
    return header->name->len == len && memcmp(header->name->base, name, len) == 0;
}

/* Values of a header that came more than once, joined. */
static const char *join(struct http_request *request, const char *name, size_t name_len, const char *between,
                        size_t total)
{
    char *joined = http_request_alloc(request, total), *end = joined;
    const h2o_headers_t *headers = &request->h2o->headers;
    for (size_t i = 0; i < headers->size; ++i) {
        const h2o_header_t *header = &headers->entries[i];
        if (!header_is(header, name, name_len))
            continue;
        if (end != joined) {
            memcpy(end, between, 2);
            end += 2;
        }
        memcpy(end, header->value.base, header->value.len);
        end += header->value.len;
    }
    return joined;
}

const char *http_request_header(struct http_request *request, const char *name)
{
    const h2o_headers_t *headers = &request->h2o->headers;
    const h2o_header_t *found = NULL;
    size_t name_len = strlen(name), total = 1, count = 0;
    for (size_t i = 0; i < headers->size; ++i) {
        if (!header_is(&headers->entries[i], name, name_len))
            continue;
        found = &headers->entries[i];
        total += found->value.len + 2;
        ++count;
    }
    if (count > 1)
        return join(request, name, name_len, strcmp(name, "cookie") == 0 ? "; " : ", ", total);
    return found != NULL ? http_request_strdup(request, found->value.base, found->value.len) : NULL;
}

bool http_request_wants_html(const struct http_request *request)
{
    ssize_t at = -1;
    while ((at = h2o_find_header(&request->h2o->headers, H2O_TOKEN_ACCEPT, at)) != -1) {
        h2o_iovec_t value = request->h2o->headers.entries[at].value;
        if (memmem(value.base, value.len, "text/html", 9) != NULL)
            return true;
    }
    return false;
}

bool http_request_cross_site(struct http_request *request)
{
    const char *site = http_request_header(request, "sec-fetch-site");
    return site != NULL && strcmp(site, "cross-site") == 0;
}

const char *http_request_parameter(struct http_request *request, const char *name)
{
    const h2o_req_t *req = request->h2o;
    if (req->query_at == SIZE_MAX)
        return NULL;
    const char *at = req->path.base + req->query_at + 1, *key, *value;
    size_t len = req->path.len - req->query_at - 1, key_len, value_len, decoded_len;
    while (urlencoded_next(&at, &len, &key, &key_len, &value, &value_len)) {
        char *decoded = http_request_alloc(request, key_len + 1);
        if (!urlencoded_decode(key, key_len, decoded, &decoded_len) || strcmp(decoded, name) != 0)
            continue;
        decoded = http_request_alloc(request, value_len + 1);
        return urlencoded_decode(value, value_len, decoded, &decoded_len) ? decoded : NULL;
    }
    return NULL;
}

const char *http_request_cookie(struct http_request *request, const char *name)
{
    const char *header = http_request_header(request, "cookie"), *value;
    size_t len;
    if (header == NULL || !cookies_find(header, strlen(header), name, &value, &len))
        return NULL;
    return http_request_strdup(request, value, len);
}

const char *http_request_body(const struct http_request *request, size_t *len_r)
{
    *len_r = request->h2o->entity.len;
    return *len_r > 0 ? request->h2o->entity.base : "";
}

/* The last entry is the nearest proxy's own word. */
static bool forwarded_https(struct http_request *request)
{
    const char *proto = http_request_header(request, "x-forwarded-proto");
    if (proto == NULL)
        return false;
    const char *comma = strrchr(proto, ',');
    proto = comma != NULL ? comma + 1 : proto;
    proto += strspn(proto, " \t");
    return strncasecmp(proto, "https", 5) == 0 && proto[5 + strspn(proto + 5, " \t")] == '\0';
}

/*
 * A proxy on this machine that is not trusted makes one client of all its clients, and five wrong passwords of one of
 * them lock everybody out. Said once by a worker.
 */
static void tell_of_proxy(struct http_request *request)
{
    const char *peer = request->connection->address;
    if (request->server->told_of_proxy || (strncmp(peer, "127.", 4) != 0 && strcmp(peer, "::1") != 0) ||
        http_request_header(request, "x-forwarded-for") == NULL)
        return;
    request->server->told_of_proxy = true;
    log_warning("a request from %s came with X-Forwarded-For, which is not believed: if a proxy sent it, set "
                "server.trusted_proxies, or all its clients share one address and its attempt limits",
                peer);
}

void http_request_find_address(struct http_request *request)
{
    const struct http_connection *connection = request->connection;
    memcpy(request->address, connection->address, sizeof(request->address));
    if (!connection->peer_trusted) {
        tell_of_proxy(request);
        return;
    }
    const char *forwarded_for = http_request_header(request, "x-forwarded-for");
    if (forwarded_for != NULL) {
        struct trusted_address address = connection->peer;
        trusted_walk(request->server->trusted, forwarded_for, strlen(forwarded_for), &address);
        trusted_format(&address, request->address);
    }
    request->secure = forwarded_https(request);
}
