/*
 * A row of THE route table (api/routes.c). The table stands with the handlers it names, because includes go downward
 * only; the router is told of it.
 */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include <stddef.h>

#include "auth/attempts.h"
#include "auth/caller.h"

struct config;
struct http_request;

enum body_class {
    BODY_NONE,   /* a body is read and ignored up to limits.json_body */
    BODY_JSON,   /* limits.json_body */
    BODY_FORM,   /* form fields or JSON, limits.json_body */
    BODY_PUSH,   /* limits.push_body */
    BODY_UPLOAD, /* limits.blob_size and framing; not buffered: the handler calls http_request_receive() */
};

typedef void http_handler(struct http_request *request);

struct route {
    const char *method; /* "GET" answers HEAD, too */
    const char *path;   /* "/api/v1/blobs/{}": {} is one non-empty segment, http_request_arg() */
    enum caller who;    /* no default */
    enum body_class body;
    enum attempt_class attempts; /* which attempts its handler counts; ATTEMPT_NONE: none */
    http_handler *handler;
};

struct route_table {
    const struct route *rows;
    size_t count;
};

#define ROUTE_UPLOAD_FRAMING (64 * 1024) /* most bytes of multipart delimiters and headers around an uploaded file */

/* Greatest body of this class in bytes. */
size_t route_body_limit(const struct config *config, enum body_class body);
/* True when every row is complete and no two rows meet on one method and path. Called at start; else the binary refuses
 * to run. */
_Bool route_table_check(const struct route_table *table);

#endif
