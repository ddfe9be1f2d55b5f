/*
 * http_router: finds the row of the route table for a request, checks what the row promises (who may call, CSRF, size
 * of the body) and calls the handler.
 */
#ifndef HTTP_ROUTER_H
#define HTTP_ROUTER_H

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
 * The greatest body that any handler of this raw request target could take, before the body has come: for refusing
 * early. *upload_r: it is an upload.
 */
size_t http_router_body_limit(const struct http_router *router, const struct config *config, const char *target,
                              size_t len, bool *upload_r);
/* The greatest body of any row. */
size_t http_router_greatest_body(const struct http_router *router, const struct config *config);

#endif
