/*
 * http_request: the one object between handlers and libh2o, in a worker.
 *
 * It lives on the heap with its own memory pool until the last of these lets go: libh2o's request, a database query, a
 * work in a thread. It knows whether it was answered, so that a late result never reaches libh2o (whose next request of
 * the connection has the same address). A step is never called for a request that is answered or dead; a handler
 * therefore reads top-down: parse, one database call, answer.
 *
 * Each handler and step either answers (http/reply.h) or makes exactly one call that names the next step. Requests that
 * wait longer than http.request_timeout get a 503 from the sweep; one whose work runs in a thread is answered only
 * after the thread has finished, because the thread may read the body.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/compiler.h"
#include "core/error_codes.h"
#include "core/strbuf.h"
#include "db/params.h"
#include "db/result.h"
#include "db/statements.h"

struct blob_store;
struct config;
struct db_pool;
struct health;
struct http_request;
struct json_object;
struct sealing;
struct http_server;
struct work_pool;

/* What a worker's handlers share; set up by proc/worker.c. */
struct http_context {
    const struct config *config;
    struct db_pool *db;
    struct work_pool *hashing; /* passwords */
    struct work_pool *files;   /* pieces of uploads: short works, by turns */
    struct work_pool *syncing; /* what waits for the disk: syncing, naming, removing files */
    struct work_pool *reading; /* bytes of downloads that are not in memory */
    struct work_pool *smtp;    /* an admin's test of the SMTP settings */
    struct blob_store *blobs;
    struct sealing *sealing; /* secrets of the settings; NULL: their key cannot be read */
    struct health *health;   /* api/health.c */
    uint64_t started;        /* clock_mono_ms() of the master's start */
};

const struct http_context *http_request_context(const struct http_request *request);
const struct config *http_request_config(const struct http_request *request);

/* Memory that lives as long as the request object: zeroed. */
void *http_request_alloc(struct http_request *request, size_t size) __attribute__((returns_nonnull));
/* A copy with a terminating zero. */
char *http_request_strdup(struct http_request *request, const char *s, size_t len);

/* What the handler keeps for its later steps (from http_request_alloc()); NULL before it was set. */
void http_request_set_data(struct http_request *request, void *data);
void *http_request_data(const struct http_request *request);
/*
 * end(data) runs once, on the loop, when the request object goes: for what memory alone does not free, such as a
 * temporary file that waits for a database call which then ends in a 503. Last added, first called; data from
 * http_request_alloc() is still there.
 */
void http_request_on_end(struct http_request *request, void (*end)(void *data), void *data);

/* What came in. Strings end with a zero byte and live as long as the request object. */
const char *
http_request_id(const struct http_request *request); /* 16 hexadecimal digits, in the log and X-Request-Id */
const char *http_request_method(const struct http_request *request);
const char *
http_request_arg(const struct http_request *request); /* the {} of the route; decoded, storable UTF-8, never empty */
const char *
http_request_address(const struct http_request *request);     /* the client's, by the rules of server.trusted_proxies */
bool http_request_secure(const struct http_request *request); /* came over HTTPS through a trusted proxy */
bool http_request_wants_html(const struct http_request *request); /* a browser: Accept holds text/html */
/*
 * Another site's page sent it (Sec-Fetch-Site, which pages cannot set). A login that obeys it would log the visitor
 * into an account of the other site's choice.
 */
bool http_request_cross_site(struct http_request *request);
/* Value of the header (lower-case name), or NULL. A header that came twice is joined by ", ", Cookie by "; ". */
const char *http_request_header(struct http_request *request, const char *name);
/* Decoded parameter of the query string, or NULL when absent; `""` when empty. Broken encoding counts as absent. */
const char *http_request_parameter(struct http_request *request, const char *name);
const char *http_request_cookie(struct http_request *request, const char *name);
/* The body; borrowed from libh2o: valid until the request is answered. Empty for BODY_UPLOAD. */
const char *http_request_body(const struct http_request *request, size_t *len_r);

/* The session token that came with a CALLER_USER or CALLER_ADMIN request (64 digits). */
const char *http_request_session(const struct http_request *request);
/* Name of the user or admin behind the request, from the last statement's second column; NULL before. For the audit
 * log. */
const char *http_request_user(const struct http_request *request);
/* For CALLER_ANYONE handlers that found out who it is: what the access log shows. */
void http_request_set_user(struct http_request *request, const char *name);

/*
 * JSON of the body: exactly one object, else the error is answered and NULL returned. Owned by the request. A field of
 * null counts as absent.
 */
struct json_object *http_request_json(struct http_request *request);
/* The body as a form (application/x-www-form-urlencoded, multipart/form-data without files) or as a JSON object of
 * strings. False: answered. */
bool http_request_form(struct http_request *request) WARN_UNUSED;
/*
 * Field of the form; one that is absent or null leaves *value_r as it was. False: answered (a JSON value that is no
 * string).
 */
bool http_request_form_field(struct http_request *request, const char *name, const char **value_r) WARN_UNUSED;
/* The same, and a whole number in JSON counts as its digits; that it is one of sense the caller sees to. */
bool http_request_form_number(struct http_request *request, const char *name, const char **value_r) WARN_UNUSED;

/*
 * Starts the parameters of a statement: binds the credential ($1, and $2 for admins) where the route has one.
 */
void http_request_params(struct http_request *request, struct db_params *params_r);

typedef void http_query_step(struct http_request *request, const struct db_result *result);
/*
 * The database call. params is taken over. The step runs only with DB_OK and, where the route has a caller, AUTH_OK;
 * everything else is answered here: 401/403 by the auth column, 503 for DB_UNAVAILABLE, DB_UNKNOWN and a DB_FAILED that
 * may pass (a time limit, a deadlock), 500 for any other (with the detail in the log).
 */
void http_request_query(struct http_request *request, enum db_statement statement, struct db_params *params,
                        http_query_step *step);

typedef void http_work_step(struct http_request *request, void *data);
/*
 * run(data) in a thread of the pool, then step(request, data) on the loop. data lives as long as the request
 * (http_request_alloc). A full pool: 503. run touches only data and, read-only, the body.
 */
void http_request_work(struct http_request *request, struct work_pool *pool, void *data, void (*run)(void *data),
                       http_work_step *step);

/*
 * For BODY_UPLOAD: receives the body piece by piece, in bounded memory. take(data, bytes, len) runs in a thread of the
 * pool, for one piece after the other, and returns false when it wants no more; then step(request, data) on the loop:
 * all has come and was taken, or take() wanted no more. Not before this call is the client told to go on ("100
 * Continue"). A body that is broken, too long or stalled is answered here, as are more than http.max_uploads at once;
 * when the request is answered in the middle of its body the connection ends. http.request_timeout counts from the
 * body's end.
 */
typedef bool http_take(void *data, const char *bytes, size_t len);
void http_request_receive(struct http_request *request, struct work_pool *pool, void *data, http_take *take,
                          http_work_step *step);
/* The length of that body; false when it is not known yet. */
bool http_request_length(const struct http_request *request, size_t *length_r);
/*
 * For an http_request_on_end(): what has to be removed behind an upload counts in http.max_uploads until
 * http_upload_over(). NULL when the request has received nothing.
 */
struct http_server *http_upload_keep(struct http_request *request);
void http_upload_over(struct http_server *server);

/* Lets `then(request)` be called by someone else later (api/health.c waits for a check that many share). Never for a
 * request that was answered. */
struct http_waiter;
struct http_waiter *http_request_wait(struct http_request *request, void (*then)(struct http_request *request));
void http_waiter_wake(struct http_waiter **waiter); /* exactly once for each */

#endif
