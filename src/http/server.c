/*
 * The HTTP server of a worker: libh2o with everything off that we do not use. All requests come to one handler on the
 * fallback path, so that libh2o neither chooses by Host nor by path, and go to the router.
 */
#include "http/server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/digest.h"
#include "core/log.h"
#include "core/mem.h"
#include "http/access_log.h"
#include "http/body.h"
#include "http/connection.h"
#include "http/edge.h"
#include "http/file_stream.h"
#include "http/request_private.h"

#define ACCEPTS_PER_WAKE 4 /* leaves the rest of a burst to the other workers */
#define CAP_LOGGED_EVERY_MS 60000

struct request_handler {
    h2o_handler_t super;
    struct http_server *server;
};

void http_server_make_id(struct http_server *server, char id_r[HTTP_ID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t id = server->id_prefix + server->id_counter++;
    for (int i = HTTP_ID_SIZE - 2; i >= 0; --i, id >>= 4)
        id_r[i] = digits[id & 15];
    id_r[HTTP_ID_SIZE - 1] = '\0';
}

static int on_request(h2o_handler_t *self, h2o_req_t *req)
{
    struct http_server *server = ((struct request_handler *)(void *)self)->server;
    struct http_connection *connection = http_connection_of_request(req);
    if (connection->cut) { /* it already got the answer that it was too late; the rest came all the same */
        h2o_send_error_generic(req, 408, "Request Timeout", "", H2O_SEND_ERROR_HTTP1_CLOSE_CONNECTION);
        return 0;
    }
    struct http_body_head body;
    bool upload = edge_take_body(req, &body);
    struct http_request *request = http_request_new(server, connection, req);
    if (upload)
        http_body_new(request, &body);
    http_router_dispatch(server->router, request);
    return 0;
}

static void configure(struct http_server *server)
{
    const struct config *config = server->context->config;
    h2o_globalconf_t *globalconf = &server->globalconf;
    h2o_config_init(globalconf);
    globalconf->server_name = h2o_iovec_init(H2O_STRLIT(""));
    globalconf->http1.req_timeout = (uint64_t)config->http_upload_timeout;
    globalconf->http1.upgrade_to_http2 = 0;
    /* of those that libh2o buffers; it refuses a chunked body of exactly this size, too; the router knows each limit */
    globalconf->max_request_entity_size = http_router_greatest_body(server->router, config) + 1;
    h2o_hostconf_t *host = h2o_config_register_host(globalconf, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    struct request_handler *handler =
        (struct request_handler *)(void *)h2o_create_handler(&host->fallback_path, sizeof(*handler));
    handler->super.on_req = on_request;
    handler->server = server;
    edge_register(&host->fallback_path);
    access_log_register(&host->fallback_path);
}

static struct trusted *trusted_proxies(const struct config *config, struct strbuf *error)
{
    struct trusted *trusted = trusted_new();
    for (size_t i = 0; i < config->server_trusted_proxies.count; ++i) {
        if (trusted_add(trusted, config->server_trusted_proxies.items[i], error))
            continue;
        trusted_free(&trusted);
        return NULL;
    }
    return trusted;
}

struct http_server *http_server_new(h2o_loop_t *loop, const struct http_context *context,
                                    const struct route_table *routes, int listener, unsigned most, struct strbuf *error)
{
    struct http_router *router = http_router_new(routes);
    if (router == NULL) {
        strbuf_error(error, "the route table is not in order: a row is incomplete, or two rows meet");
        return NULL;
    }
    struct trusted *trusted = trusted_proxies(context->config, error);
    if (trusted == NULL) {
        http_router_free(&router);
        return NULL;
    }
    struct http_server *server = mem_zalloc(sizeof(*server));
    server->context = context;
    server->router = router;
    server->trusted = trusted;
    server->most = most;
    h2o_linklist_init_anchor(&server->waiting);
    digest_random(&server->id_prefix, sizeof(server->id_prefix));
    configure(server);
    h2o_context_init(&server->h2o, loop, &server->globalconf);
    server->accept.ctx = &server->h2o;
    server->accept.hosts = server->globalconf.hosts;
    server->turns = file_turns_new(loop);
    server->listener = h2o_evloop_socket_create(loop, listener, H2O_SOCKET_FLAG_DONT_READ);
    server->listener->data = server;
    edge_init(server);
    return server;
}

static void pause_accepting(struct http_server *server)
{
    h2o_socket_read_stop(server->listener);
    server->accepting = false;
}

static void cap_reached(struct http_server *server)
{
    uint64_t now = clock_mono_ms();
    pause_accepting(server);
    if (server->cap_logged != 0 && now - server->cap_logged < CAP_LOGGED_EVERY_MS)
        return;
    server->cap_logged = now;
    log_warning("%u connections are open; more wait until one is closed (http.max_connections)", server->connections);
}

static void accept_failed(struct http_server *server, int reason)
{
    if (reason != EMFILE && reason != ENFILE && reason != ENOBUFS && reason != ENOMEM)
        return; /* nobody there any more, or another worker was faster */
    log_warning("cannot accept a connection: %s; the next second tries again", strerror(reason));
    pause_accepting(server);
}

static void on_accept(h2o_socket_t *listener, const char *error)
{
    struct http_server *server = listener->data;
    (void)error;
    for (unsigned i = 0; i < ACCEPTS_PER_WAKE; ++i) {
        if (server->connections >= server->most) {
            cap_reached(server);
            return;
        }
        h2o_socket_t *socket = h2o_evloop_socket_accept(listener);
        if (socket == NULL) {
            accept_failed(server, errno);
            return;
        }
        ++server->connections;
        http_connection_new(server, socket);
        h2o_accept(&server->accept, socket);
    }
}

void http_server_listen(struct http_server *server)
{
    if (server->listener == NULL || server->accepting)
        return;
    h2o_socket_read_start(server->listener, on_accept);
    server->accepting = true;
}

void http_server_closed_one(struct http_server *server)
{
    --server->connections;
    if (server->listener != NULL && !server->accepting && server->connections < server->most)
        http_server_listen(server);
}

void http_server_sweep(struct http_server *server)
{
    http_connection_sweep(server);
    http_request_sweep(server);
    if (server->listener != NULL && !server->accepting && server->connections < server->most)
        http_server_listen(server);
}

void http_server_drain(struct http_server *server)
{
    if (server->drain_started != 0)
        return;
    server->drain_started = clock_mono_ms();
    h2o_socket_close(server->listener);
    server->listener = NULL;
    server->accepting = false;
    h2o_context_request_shutdown(&server->h2o);
}

unsigned http_server_connections(const struct http_server *server)
{
    return server->connections;
}
