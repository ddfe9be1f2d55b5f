/*
 * edge: our say in what libh2o does by itself. The executable defines three functions that libh2o calls through the
 * dynamic linker (phr_parse_request, phr_decode_chunked, h2o_socket_write), and a filter turns libh2o's own error pages
 * into the contract's JSON.
 */
#ifndef HTTP_EDGE_H
#define HTTP_EDGE_H

#include <h2o.h>
#include <stdbool.h>

struct http_body_head;
struct http_server;

/* Must run before the first connection is accepted. The parser knows no connection, so there is one server in a
 * process. */
void edge_init(struct http_server *server);
/*
 * For the request that libh2o has just handed over: true when it is an upload whose body is hidden from libh2o. Its
 * bytes, if some came with the head, still stand in the socket's input.
 */
bool edge_take_body(const h2o_req_t *req, struct http_body_head *body_r);
/* Registers the filter for libh2o's own answers. */
void edge_register(h2o_pathconf_t *pathconf);

#endif
