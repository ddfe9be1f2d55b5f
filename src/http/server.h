/*
 * http_server: a worker's side of the listener: libh2o's configuration and context, accepting, the sweep of
 * connections, draining. One a worker.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <h2o.h>
#include <stdbool.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct http_context;
struct http_server;
struct route_table;

/*
 * listener: a listening socket, taken over. context and routes live longer than the server. most: connections at
 * once (the caller has seen to the limit of descriptors). Does not accept yet.
 */
struct http_server *http_server_new(h2o_loop_t *loop, const struct http_context *context,
                                    const struct route_table *routes, int listener, unsigned most,
                                    struct strbuf *error) WARN_UNUSED;
/* Begins to accept. */
void http_server_listen(struct http_server *server);
/* Once a second: limits of connections and bodies, deadlines of requests. */
void http_server_sweep(struct http_server *server);
/*
 * Closes the listener; answers say Connection: close; a second later idle connections are closed. Done when
 * http_server_connections() is 0; what is not by then is the caller's to cut off by leaving.
 */
void http_server_drain(struct http_server *server);
unsigned http_server_connections(const struct http_server *server);

#endif
