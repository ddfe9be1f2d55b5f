/*
 * Connections of a worker, and the sweep that cuts what stands still.
 *
 * libh2o has one timer from the end of an answer to the end of the next request and none while it sends. The sweep
 * looks once a second at the phase of each connection and at what must grow in it: the bytes read of a body, the bytes
 * of an answer that the client has acknowledged. Slow but moving peers survive, stalled ones do not. Refusals in the
 * middle of a request are written past libh2o, straight to the socket; libh2o then sees the end of the connection and
 * closes it itself.
 */
#include "http/connection.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/mem.h"
#include "http/access_log.h"
#include "http/file_stream.h"
#include "http/framing.h"
#include "http/reply_private.h"
#include "http/request.h"

#define LINGER_MS 1500     /* how long the rest of a refused request is thrown away */
#define DRAIN_IDLE_MS 1000 /* idle connections may still send a request after draining began */

struct sweep {
    struct http_server *server;
    uint64_t now;
};

static void on_close(void *data)
{
    struct http_connection *connection = data;
    struct http_server *server = connection->server;
    free(connection->refusal);
    free(connection);
    http_server_closed_one(server);
}

void http_connection_new(struct http_server *server, h2o_socket_t *socket)
{
    struct http_connection *connection = mem_zalloc(sizeof(*connection));
    struct sockaddr_storage peer;
    connection->server = server;
    connection->socket = socket;
    connection->since = clock_mono_ms();
    if (h2o_socket_getpeername(socket, (struct sockaddr *)&peer) > 0 &&
        trusted_from_sockaddr((struct sockaddr *)&peer, &connection->peer)) {
        trusted_format(&connection->peer, connection->address);
        connection->peer_trusted = trusted_contains(server->trusted, &connection->peer);
    }
    socket->on_close.cb = on_close;
    socket->on_close.data = connection;
}

struct http_connection *http_connection_of(h2o_socket_t *socket)
{
    return socket->on_close.cb == on_close ? socket->on_close.data : NULL;
}

struct http_connection *http_connection_of_request(h2o_req_t *req)
{
    return req->conn->callbacks->get_socket(req->conn)->on_close.data;
}

h2o_iovec_t http_connection_refuse(struct http_connection *connection, const h2o_req_t *req, enum error_code code,
                                   const char *text)
{
    struct strbuf body = STRBUF_INIT, answer = STRBUF_INIT;
    http_server_make_id(connection->server, connection->refusal_id);
    reply_error_body(&body, code, text);
    strbuf_printf(&answer,
                  "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                  "X-Request-Id: %s\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
                  "Referrer-Policy: no-referrer\r\nCache-Control: no-store\r\n%s\r\n%s",
                  error_info(code)->status, reply_reason(error_info(code)->status), body.len, connection->refusal_id,
                  code == ERROR_UNAVAILABLE ? "Retry-After: 2\r\n" : "", body.data);
    strbuf_release(&body);
    access_log_refused(connection, req, code);
    h2o_iovec_t bytes = {.len = answer.len};
    free(connection->refusal);
    connection->refusal = bytes.base = strbuf_detach(&answer);
    return bytes;
}

/* The answer fits into any socket's buffer, and nothing else is being sent in these phases. */
static void cut(struct http_connection *connection, const h2o_req_t *req, enum error_code code, uint64_t now)
{
    if (connection->cut ||
        h2o_socket_is_writing(connection->socket)) /* the latter: "100 Continue"; the next sweep then */
        return;
    int fd = h2o_socket_get_fd(connection->socket);
    h2o_iovec_t answer = http_connection_refuse(connection, req, code, NULL);
    ssize_t sent = send(fd, answer.base, answer.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(fd, sent == (ssize_t)answer.len ? SHUT_WR : SHUT_RDWR);
    connection->cut = true;
    connection->since = now;
}

static void close_now(struct http_connection *connection)
{
    shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
}

static enum http_phase phase_of(const h2o_req_t *req, const struct http_connection *connection, uint64_t *mark_r)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    *mark_r = 0;
    if (req->timestamps.response_start_at.tv_sec != 0) {
        if (getsockopt(h2o_socket_get_fd(connection->socket), IPPROTO_TCP, TCP_INFO, &info, &len) == 0)
            *mark_r = info.tcpi_bytes_acked;
        return HTTP_PHASE_SEND;
    }
    if (req->processed_at.at.tv_sec != 0)
        return HTTP_PHASE_HANDLER;
    if (req->timestamps.request_body_begin_at.tv_sec != 0) {
        *mark_r = connection->socket->input->size;
        return HTTP_PHASE_BODY;
    }
    return req->timestamps.request_begin_at.tv_sec != 0 ? HTTP_PHASE_HEAD : HTTP_PHASE_IDLE;
}

static uint64_t limit_of(const struct config *config, enum http_phase phase)
{
    switch (phase) {
    case HTTP_PHASE_IDLE:
        return (uint64_t)config->http_idle_timeout;
    case HTTP_PHASE_HEAD:
        return (uint64_t)config->http_head_timeout;
    case HTTP_PHASE_BODY:
        return (uint64_t)config->http_body_timeout;
    case HTTP_PHASE_SEND:
        return (uint64_t)config->http_send_timeout;
    case HTTP_PHASE_HANDLER:
        break;
    }
    return UINT64_MAX; /* has its deadline in http/request.c; so has an upload, whose body the handler takes */
}

/* A body that came without a length, and is longer than any that the handler of its path takes. */
static void sweep_body(const struct sweep *sweep, const h2o_req_t *req, struct http_connection *connection)
{
    const struct http_server *server = sweep->server;
    bool upload;
    size_t limit =
        http_router_body_limit(server->router, server->context->config, req->input.method, req->input.path, &upload);
    if (connection->socket->input->size > limit + FRAMING_HEAD_MAX)
        cut(connection, req, ERROR_REQUEST_TOO_LARGE, sweep->now);
}

static void stalled(struct http_connection *connection, const h2o_req_t *req, uint64_t now)
{
    if (connection->phase == HTTP_PHASE_HEAD || connection->phase == HTTP_PHASE_BODY)
        cut(connection, connection->phase == HTTP_PHASE_BODY ? req : NULL, ERROR_REQUEST_TIMEOUT, now);
    else
        close_now(connection);
}

static void sweep_idle(const struct sweep *sweep, struct http_connection *connection)
{
    const struct http_server *server = sweep->server;
    if (server->drain_started != 0 && sweep->now - server->drain_started >= DRAIN_IDLE_MS &&
        connection->socket->input->size == 0)
        shutdown(h2o_socket_get_fd(connection->socket), SHUT_RD);
}

static int sweep_one(h2o_req_t *req, void *data)
{
    struct sweep *sweep = data;
    struct http_connection *connection = http_connection_of_request(req);
    if (connection->cut) {
        if (sweep->now - connection->since >= LINGER_MS)
            close_now(connection);
        return 0;
    }
    uint64_t mark;
    enum http_phase phase = phase_of(req, connection, &mark);
    bool ours = phase == HTTP_PHASE_SEND && file_stream_waits(connection->request, sweep->now);
    if (phase != connection->phase || mark != connection->mark || ours) {
        connection->phase = phase;
        connection->mark = mark;
        connection->since = sweep->now;
    } else if (sweep->now - connection->since >= limit_of(sweep->server->context->config, phase)) {
        stalled(connection, req, sweep->now);
        return 0;
    }
    if (phase == HTTP_PHASE_IDLE)
        sweep_idle(sweep, connection);
    else if (phase == HTTP_PHASE_BODY)
        sweep_body(sweep, req, connection);
    return 0;
}

void http_connection_sweep(struct http_server *server)
{
    struct sweep sweep = {.server = server, .now = clock_mono_ms()};
    server->globalconf.http1.callbacks.foreach_request(&server->h2o, sweep_one, &sweep);
}
