/*
 * http_body: the body of an upload, which libh2o does not know of (http/edge.c). It is read from the socket when the
 * handler says so, decoded, and handed to a thread in pieces; while both pieces of a request are full nothing is read,
 * so that the client waits. On the loop of a worker; the handler's side is http_request_receive().
 *
 * No byte of a body is ever seen by libh2o: what came with the head is taken out of the socket's input before the
 * handler is called, and only what follows a complete body is put back. An answer to an incomplete body ends the
 * connection.
 */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include <h2o.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_body;
struct http_request;

/* What a head says of its body. */
struct http_body_head {
    size_t head_len; /* bytes of the head */
    bool chunked;
    size_t length; /* Content-Length, when it is not chunked */
    bool expects;  /* Expect: 100-continue */
};

/* Gives a request that has just come in its body. */
void http_body_new(struct http_request *request, const struct http_body_head *head);
/* The request is about to be answered: nothing of the body is taken any more. */
void http_body_answering(struct http_request *request);
/* True when the body makes no progress, or takes too long. */
bool http_body_stalled(struct http_body *body, uint64_t now);
bool http_body_complete(const struct http_body *body);
/* With the request object. */
void http_body_release(struct http_body *body);

#endif
