/*
 * health: what /api/v1/health and /readyz report. One object a worker; its checks run on the worker's loop and in a
 * thread of its own.
 */
#ifndef API_HEALTH_H
#define API_HEALTH_H

#include <h2o.h>

struct health;
struct http_context;

/* context: its db, blobs and started are used as long as the object lives. */
struct health *health_new(h2o_loop_t *loop, const struct http_context *context);
/* Wakes nobody: the worker has no requests any more when it calls this. */
void health_free(struct health **health);

#endif
