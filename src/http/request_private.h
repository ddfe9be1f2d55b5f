/*
 * struct http_request as the files of http/ know it. For its lifetime see request.c.
 */
#ifndef HTTP_REQUEST_PRIVATE_H
#define HTTP_REQUEST_PRIVATE_H

#include <h2o.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/digest.h"
#include "http/body.h"
#include "http/connection.h"
#include "http/request.h"
#include "http/route.h"
#include "http/server_private.h"

/* Who may call next: exactly one of these at a time. */
enum http_request_state {
    HTTP_REQUEST_RUNNING,  /* a handler or step runs, on no list */
    HTTP_REQUEST_QUERY,    /* a statement; on server->waiting */
    HTTP_REQUEST_WORK,     /* a thread; on server->waiting */
    HTTP_REQUEST_WAIT,     /* a waiter; on server->waiting */
    HTTP_REQUEST_BODY,     /* its body, or a thread that takes it; on server->waiting */
    HTTP_REQUEST_ANSWERED, /* libh2o may still be sending; on no list */
    HTTP_REQUEST_DEAD,     /* libh2o's request went away unanswered; on no list */
};

struct http_guard;
struct http_request_end;
struct request_work;

struct http_request {
    enum http_request_state state;
    unsigned references;
    h2o_req_t *h2o;                     /* NULL once answered or dead */
    struct http_guard *guard;           /* in h2o's pool; NULL once that is cleared */
    struct http_connection *connection; /* NULL with the guard */
    struct http_server *server;
    const struct http_context *context;
    const struct route *route; /* NULL before the router found it */
    struct request_work *work; /* of request.c, in HTTP_REQUEST_WORK */
    h2o_linklist_t waiting;
    uint64_t started;       /* clock_mono_ms() */
    uint64_t deadline;      /* clock_mono_ms() */
    struct http_body *body; /* of an upload; NULL: there is none, or libh2o has read it */
    struct db_query *query;
    http_query_step *query_step;
    struct http_request_end *ends;
    void *data;
    void *json;          /* struct json_object */
    struct strbuf reply; /* body of the answer, while libh2o sends it */
    void *stream;        /* of file_stream.c, while it sends a file */
    char *argument;
    const char *user;
    const char *session;
    struct http_form_field *form;
    bool form_parsed, head_only, touched, log_quietly, secure;
    bool has_credential;
    unsigned char credential[DIGEST_SIZE]; /* SHA-256 of the token */
    char id[HTTP_ID_SIZE];
    char address[TRUSTED_ADDRESS_SIZE];
    int status;
    h2o_mem_pool_t pool;
};

/* The object of a request that libh2o has just handed over. */
struct http_request *http_request_new(struct http_server *server, struct http_connection *connection, h2o_req_t *req);
/* 503 for those whose time is over. */
void http_request_sweep(struct http_server *server);

/* For the reply functions: libh2o's request, taken from the object for good; from here on the request is answered. */
h2o_req_t *http_request_take(struct http_request *request, int status);

void http_request_reference(struct http_request *request);
void http_request_release(struct http_request *request);
/* Checks the move, and puts the request on the list of waiting ones or takes it off. */
void http_request_set_state(struct http_request *request, enum http_request_state state);
/* True while handlers may go on with it. */
bool http_request_alive(const struct http_request *request);

/* request_input.c: works the client's address out. */
void http_request_find_address(struct http_request *request);
/* request_query.c: for a request that dies or is late. */
void http_request_cancel_query(struct http_request *request);

#endif
