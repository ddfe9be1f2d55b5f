/* THE table of routes: method, path, who may call, body, attempts, handler. Nothing answers that is not in it. */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include <stdio.h>

#include "http/route.h"

struct config;

extern const struct route_table api_routes;

/* For --routes: one line a route, METHOD PATH WHO ATTEMPT_CLASS BODY_LIMIT (bytes), separated by blanks. */
void routes_print(FILE *out, const struct config *config);

#endif
