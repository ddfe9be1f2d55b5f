/*
 * multipart/form-data (RFC 7578, RFC 2046) over a body that is there in whole (mapped from a file): finds the one part
 * that an upload has without copying it. Pure function of bytes: fuzzed. Linear, but 256 MiB take about 0.1 s: large
 * bodies are parsed in a thread (http_request_work).
 */
#ifndef HTTP_MULTIPART_H
#define HTTP_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct multipart_part {
    const char *name; /* not zero-terminated, borrowed from the body */
    size_t name_len;
    const char *file_name; /* NULL when the part has none */
    size_t file_name_len;
    const char *content;
    size_t content_len;
};

/* boundary of a Content-Type header value; 1 to 70 characters of RFC 2046. False when it is no multipart/form-data. */
bool multipart_boundary(const char *content_type, char boundary_r[71]) WARN_UNUSED;
/* Finds up to max parts; *count_r > max is an error. False with a reason for anything that is not exactly RFC 2046. */
bool multipart_parse(const char *body, size_t len, const char *boundary, struct multipart_part *parts_r, size_t max,
                     size_t *count_r, struct strbuf *error) WARN_UNUSED;

#endif
