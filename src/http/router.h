/*
 * http_router: finds the row of the route table for a request, checks what the row promises (who may call, CSRF, size
 * of the body) and calls the handler.
 */
#ifndef HTTP_ROUTER_H
#define HTTP_ROUTER_H

#include <h2o.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"
#include "http/route.h"

struct config;
struct http_request;
struct http_router;

/* NULL when the table is not in order (route_table_check). */
struct http_router *http_router_new(const struct route_table *table) WARN_UNUSED;
void http_router_free(struct http_router **router);

/* Answers or calls the handler of a request that has just come in. */
void http_router_dispatch(const struct http_router *router, struct http_request *request);

/*
 * The greatest body that the handler of this head takes, before the body has come: for refusing early. method, target:
 * as in the request line. *upload_r: it is read by http_request_receive(), not by libh2o.
 */
size_t http_router_body_limit(const struct http_router *router, const struct config *config, h2o_iovec_t method,
                              h2o_iovec_t target, bool *upload_r);
/* The greatest body that libh2o buffers. */
size_t http_router_greatest_body(const struct http_router *router, const struct config *config);

#endif
