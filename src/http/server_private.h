/* What the files of http/ know of the server. */
#ifndef HTTP_SERVER_PRIVATE_H
#define HTTP_SERVER_PRIVATE_H

#include <h2o.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/error_codes.h"
#include "http/router.h"
#include "http/trusted.h"

struct http_connection;
struct http_context;
struct http_request;
struct file_turns;

struct http_server {
    h2o_globalconf_t globalconf;
    h2o_context_t h2o;
    h2o_accept_ctx_t accept;
    h2o_socket_t *listener; /* NULL once draining */
    bool accepting;         /* false: paused at the cap or for want of descriptors */
    const struct http_context *context;
    struct http_router *router;
    struct trusted *trusted;
    unsigned connections, most;
    unsigned uploads;       /* bodies that http/body.c receives */
    size_t unsent;          /* memory of the answers that libh2o is sending (http/reply.c) */
    bool told_of_proxy;     /* that its X-Forwarded-For is not believed */
    uint64_t cap_logged;    /* clock_mono_ms() of the last line about it */
    uint64_t drain_started; /* clock_mono_ms(); 0: not draining */
    h2o_linklist_t waiting; /* requests that wait for something: http_request.waiting */
    uint64_t id_prefix, id_counter;
    struct file_turns *turns; /* of downloads */
};

/* The id of a request: 16 hexadecimal digits and a zero byte. */
#define HTTP_ID_SIZE 17
void http_server_make_id(struct http_server *server, char id_r[HTTP_ID_SIZE]);
/* A connection has gone: room to accept another. */
void http_server_closed_one(struct http_server *server);

#endif
