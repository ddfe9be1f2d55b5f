/*
 * http_connection: what we know of a TCP connection beside libh2o: in which phase it is and since when it made no
 * progress, so that the sweep can cut what stands still; the client's address. Hangs on the socket's on_close; lives as
 * long as the socket.
 */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H

#include <h2o.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/error_codes.h"
#include "http/server_private.h"

struct http_request;

enum http_phase { HTTP_PHASE_IDLE, HTTP_PHASE_HEAD, HTTP_PHASE_BODY, HTTP_PHASE_HANDLER, HTTP_PHASE_SEND };

struct http_connection {
    struct http_server *server;
    h2o_socket_t *socket;
    struct http_request *request; /* being handled or sent; NULL between requests */
    enum http_phase phase;
    uint64_t since;             /* clock_mono_ms() of the last progress */
    uint64_t mark;              /* what progress is measured by in this phase */
    bool cut;                   /* refused in the middle of a request: nothing of it is executed any more */
    bool linger;                /* http/edge.c: the answer that is about to be written is the last one */
    h2o_socket_cb refused_done; /* http/edge.c: libh2o's callback, while the rest of a refused request is thrown away */
    char *refusal;              /* heap: the bytes of an answer past libh2o */
    char refusal_id[HTTP_ID_SIZE]; /* its request id; also of libh2o's own answers */
    bool peer_trusted;
    struct trusted_address peer;
    char address[TRUSTED_ADDRESS_SIZE]; /* of the peer */
};

/* Attaches to a socket that was just accepted. */
void http_connection_new(struct http_server *server, h2o_socket_t *socket);
/* NULL for a socket that is none of the server's connections. */
struct http_connection *http_connection_of(h2o_socket_t *socket);
struct http_connection *http_connection_of_request(h2o_req_t *req);

/*
 * The bytes of a whole answer with the contract's error, to be written past libh2o (Connection: close); kept in the
 * connection, with its id. text NULL: the code's own sentence. Logs the request (req NULL: its head was not read).
 */
h2o_iovec_t http_connection_refuse(struct http_connection *connection, const h2o_req_t *req, enum error_code code,
                                   const char *text);

/* Limits of all connections: what stood still for too long is answered where possible and cut. */
void http_connection_sweep(struct http_server *server);

#endif
