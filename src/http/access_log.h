/* access_log: one line for each request that was answered, in the worker's log. */
#ifndef HTTP_ACCESS_LOG_H
#define HTTP_ACCESS_LOG_H

#include <h2o.h>

#include "core/error_codes.h"

struct http_connection;
struct http_server;

/* Registers with libh2o. */
void access_log_register(h2o_pathconf_t *pathconf);
/* A request that was refused before libh2o handed it over; req NULL: not even its head was read. */
void access_log_refused(const struct http_connection *connection, const h2o_req_t *req, enum error_code code);

#endif
