/* What the files of http/ share about answers. */
#ifndef HTTP_REPLY_PRIVATE_H
#define HTTP_REPLY_PRIVATE_H

#include <h2o.h>
#include <stddef.h>

#include "core/error_codes.h"
#include "core/strbuf.h"

struct http_request;

enum reply_cache {
    REPLY_NO_STORE, /* answers of the API */
    REPLY_PRIVATE,  /* blobs: the client may keep them, and asks again with their ETag */
};

const char *reply_reason(int status);
/* Content type (when it is not empty), request id and the security headers; type and id live as long as libh2o's
 * request. */
void reply_common_headers(h2o_req_t *req, const char *id, const char *type, size_t type_len, enum reply_cache cache);
/*
 * Takes libh2o's request out of the object and fills status, length and the common headers. What h2o_send() then gets
 * is the caller's.
 */
h2o_req_t *reply_begin(struct http_request *request, int status, const char *type, size_t length,
                       enum reply_cache cache);
/* Appends the contract's error as JSON; text NULL: the code's own sentence. */
void reply_error_body(struct strbuf *body, enum error_code code, const char *text);

#endif
