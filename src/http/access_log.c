/*
 * The access log of a worker: "request ID ADDRESS METHOD PATH STATUS BYTES MILLISECONDSms USER". The path is without
 * its query, which may hold a token of an e-mail; tokens of devices and sessions are only in headers, of which none is
 * logged.
 */
#include "http/access_log.h"

#include <string.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/log.h"
#include "http/connection.h"
#include "http/request_private.h"

#define METHOD_SHOWN 16
#define PATH_SHOWN 512

static int shown(size_t len, size_t most)
{
    return (int)(len < most ? len : most);
}

/* From the first byte of the head; libh2o's clock can be set, so it only counts for the time in which the request came
 * in. */
static uint64_t milliseconds(const h2o_req_t *req, const struct http_request *request)
{
    struct timeval arriving;
    uint64_t taken = clock_mono_ms() - request->started;
    timersub(&req->processed_at.at, &req->timestamps.request_begin_at, &arriving);
    return arriving.tv_sec < 0 ? taken : taken + (uint64_t)arriving.tv_sec * 1000 + (uint64_t)arriving.tv_usec / 1000;
}

static size_t path_length(const h2o_req_t *req)
{
    const char *query = memchr(req->input.path.base, '?', req->input.path.len);
    return query != NULL ? (size_t)(query - req->input.path.base) : req->input.path.len;
}

static void log_request(const h2o_req_t *req, const struct http_request *request)
{
    log_buffered("request %s %s %.*s %.*s %d %zu %llums %s", request->id, request->address,
                 shown(req->input.method.len, METHOD_SHOWN), req->input.method.base,
                 shown(path_length(req), PATH_SHOWN), req->input.path.base, request->status, req->bytes_sent,
                 (unsigned long long)milliseconds(req, request), request->user != NULL ? request->user : "-");
}

void access_log_refused(const struct http_connection *connection, const h2o_req_t *req, enum error_code code)
{
    int status = error_info(code)->status;
    if (!connection->server->context->config->log_requests)
        return;
    if (req == NULL)
        log_buffered("request %s %s - - %d 0 0ms -", connection->refusal_id, connection->address, status);
    else
        log_buffered("request %s %s %.*s %.*s %d 0 0ms -", connection->refusal_id, connection->address,
                     shown(req->input.method.len, METHOD_SHOWN), req->input.method.base,
                     shown(path_length(req), PATH_SHOWN), req->input.path.base, status);
}

/* Called by libh2o when its request ends, before the pool is cleared. Without an object: libh2o's own answer, logged by
 * whoever turned it into ours. */
static void on_request_end(h2o_logger_t *self, h2o_req_t *req)
{
    (void)self;
    const struct http_connection *connection = http_connection_of_request(req);
    const struct config *config = connection->server->context->config;
    const struct http_request *request = connection->request;
    if (request == NULL || !config->log_requests || (request->log_quietly && !config->log_health))
        return;
    log_request(req, request);
}

void access_log_register(h2o_pathconf_t *pathconf)
{
    h2o_logger_t *logger = h2o_create_logger(pathconf, sizeof(*logger));
    logger->log_access = on_request_end;
}
