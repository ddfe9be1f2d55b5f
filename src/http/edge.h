/*
 * edge: our say in what libh2o does by itself. The executable defines three functions that libh2o calls through the
 * dynamic linker (phr_parse_request, phr_decode_chunked, h2o_socket_write), and a filter turns libh2o's own error pages
 * into the contract's JSON.
 */
#ifndef HTTP_EDGE_H
#define HTTP_EDGE_H

#include <h2o.h>

struct http_connection;
struct http_server;

/* Must run before the first connection is accepted. The parser knows no connection, so there is one server in a
 * process. */
void edge_init(struct http_server *server);
/* Registers the filter for libh2o's own answers. */
void edge_register(h2o_pathconf_t *pathconf);

#endif
