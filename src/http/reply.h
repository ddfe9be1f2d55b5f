/*
 * Answers. Each ends the handler's part: the request must not be touched afterwards but by the caller's return. All set
 * Content-Length, X-Request-Id and the security headers; HEAD sends no body.
 */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/compiler.h"
#include "core/error_codes.h"
#include "core/strbuf.h"

struct http_request;

/* A further header before the answer; name lower-case literal, value copied; CR and LF are our bug (assert). */
void reply_header(struct http_request *request, const char *name, const char *value);
/*
 * Sets a session's cookie, Secure when the request came over HTTPS; name and path as in http/cookies.h, max_age in
 * seconds (0: the browser forgets it).
 */
void reply_session_cookie(struct http_request *request, const char *name, const char *path, const char *value,
                          int64_t max_age);
/* application/json; takes the strbuf's memory over. */
void reply_json(struct http_request *request, int status, struct strbuf *body);
/* {"status":"<status>"} with 200. */
void reply_status(struct http_request *request, const char *status);
/* text/html of a page; takes the strbuf's memory over. */
void reply_html(struct http_request *request, int status, struct strbuf *body);
/* Bytes that live for ever (embedded assets). */
void reply_static(struct http_request *request, int status, const char *content_type, const char *body, size_t len);
void reply_redirect(struct http_request *request, const char *location); /* 303 */
/* The contract's error with its default sentence, or with another. */
void reply_error(struct http_request *request, enum error_code code);
void reply_error_text(struct http_request *request, enum error_code code, const char *format, ...) PRINTF_LIKE(3, 4);
/* 429 or 503 with Retry-After. */
void reply_retry_after(struct http_request *request, enum error_code code, int64_t seconds);
/* 500: the detail goes to the log with the request's id, "internal error" to the client. */
void reply_internal(struct http_request *request, const char *format, ...) PRINTF_LIKE(2, 3);

struct reply_file {
    int fd;                     /* taken over: closed in every case */
    int64_t size;               /* of the whole content */
    const char *type, *etag;    /* live as long as the request object; the etag is quoted and strong */
    enum error_code unreadable; /* the answer when the disk fails before anything was sent */
};
/*
 * Content of a file: HEAD, one Range (206, 416; several ranges: 200), If-Range, If-None-Match (304). Yields to other
 * connections after each 4 MiB; 503 when too many wait for the disk.
 */
void reply_file(struct http_request *request, const struct reply_file *file);

#endif
