/*
 * What libh2o would decide alone, in a worker. Three functions of libh2o's own are defined here instead: the dynamic
 * linker then takes ours, and ours call the original (found behind us with RTLD_NEXT).
 *
 *   phr_parse_request   a head that libh2o accepts is looked at strictly (http/framing.c) before it is believed; a body
 *                       that no handler will take is refused before it comes; the body of an upload is hidden
 *   phr_decode_chunked  a strict decoder (http/chunked.c)
 *   h2o_socket_write    libh2o's constant answer to what its parser refuses becomes the contract's JSON
 *
 * libh2o buffers bodies whole before it calls a handler. So the lines that announce the body of an upload are taken out
 * of what its parser says: it then takes the request for one without a body, calls the handler at once and stops
 * reading, and the handler reads the body itself (http/body.c).
 *
 * After an answer in the middle of a request the rest of it is read and thrown away for a moment: closing a socket with
 * unread data makes TCP send a reset, which can destroy the answer before the client has read it (RFC 9112, 9.6).
 */
#include "http/edge.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/clock.h"
#include "core/log.h"
#include "http/access_log.h"
#include "http/body.h"
#include "http/chunked.h"
#include "http/connection.h"
#include "http/framing.h"
#include "http/reply_private.h"
#include "http/request_private.h"

/* picohttpparser's, as libh2o 2.2 was built with it. */
struct phr_header {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};
struct phr_chunked_decoder;

/* libh2o calls these; it has no header for the first two. */
int phr_parse_request(const char *buf, size_t len, const char **method, size_t *method_len, const char **path,
                      size_t *path_len, int *minor_version, struct phr_header *headers, size_t *num_headers,
                      size_t last_len);
ssize_t phr_decode_chunked(struct phr_chunked_decoder *decoder, char *buf, size_t *len);

static __typeof__(phr_parse_request) *parse_request;
static __typeof__(h2o_socket_write) *socket_write;

static struct http_server *edge_server;

/* Why the parser's answer for the head that was looked at last is "no". */
static enum error_code refusal_code;
static const char *refusal_text;

/* The hidden body of the head that was looked at last; the handler is called before another one is. */
static struct http_body_head hidden;
static const char *hidden_path; /* of that head; NULL: nothing is hidden */

struct error_stream {
    h2o_ostream_t super;
    h2o_iovec_t body;
};

static const char parser_answer[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
                                    "Connection: close\r\nContent-Length: 11\r\n\r\nBad Request";

static int refuse(enum error_code code, const char *text)
{
    refusal_code = code;
    refusal_text = text;
    return -1;
}

static bool header_is(const struct phr_header *header, const char *name)
{
    return header->name_len == strlen(name) && strncasecmp(header->name, name, header->name_len) == 0;
}

/* What is expected may be nothing or 100-continue; libh2o refuses the rest. */
static bool expectation(const struct phr_header *headers, size_t count, bool *continue_r)
{
    *continue_r = false;
    for (size_t i = 0; i < count; ++i) {
        if (!header_is(&headers[i], "expect"))
            continue;
        if (headers[i].value_len != 12 || strncasecmp(headers[i].value, "100-continue", 12) != 0)
            return false;
        *continue_r = true;
    }
    return true;
}

static void hide_body(const struct framing_head *head, size_t head_len, struct phr_header *headers, size_t *count)
{
    bool expects;
    size_t kept = 0;
    if (!expectation(headers, *count, &expects))
        return;
    for (size_t i = 0; i < *count; ++i) {
        if (!header_is(&headers[i], "content-length") && !header_is(&headers[i], "transfer-encoding") &&
            !header_is(&headers[i], "expect"))
            headers[kept++] = headers[i];
    }
    *count = kept;
    hidden = (struct http_body_head){.head_len = head_len,
                                     .chunked = head->chunked,
                                     .length = head->has_length ? head->length : 0,
                                     .expects = expects};
    hidden_path = head->path;
}

bool edge_take_body(const h2o_req_t *req, struct http_body_head *body_r)
{
    bool found = hidden_path != NULL && hidden_path == req->input.path.base;
    hidden_path = NULL;
    *body_r = hidden;
    return found;
}

/* A body: is it longer than its handler takes, and who reads it? */
static int check_body(const struct framing_head *head, int parsed, struct phr_header *headers, size_t *count)
{
    bool upload;
    if (!head->has_length && !head->chunked)
        return parsed;
    size_t limit = http_router_body_limit(edge_server->router, edge_server->context->config,
                                          h2o_iovec_init(head->method, head->method_len),
                                          h2o_iovec_init(head->path, head->path_len), &upload);
    if (head->has_length && head->length > limit)
        return refuse(upload ? ERROR_BLOB_TOO_LARGE : ERROR_REQUEST_TOO_LARGE, NULL);
    if (upload)
        hide_body(head, (size_t)parsed, headers, count);
    return parsed;
}

static int check_head(const char *buf, int parsed, struct phr_header *headers, size_t *count)
{
    struct framing_head head;
    hidden_path = NULL;
    switch (framing_check(buf, (size_t)parsed, &head)) {
    case FRAMING_OK:
        return check_body(&head, parsed, headers, count);
    case FRAMING_LONG_PATH:
        return refuse(ERROR_URI_TOO_LONG, NULL);
    case FRAMING_LONG_HEAD:
        return refuse(ERROR_HEAD_TOO_LARGE, NULL);
    case FRAMING_BAD:
        break;
    }
    return refuse(ERROR_INVALID_REQUEST, head.problem);
}

int phr_parse_request(const char *buf, size_t len, const char **method, size_t *method_len, const char **path,
                      size_t *path_len, int *minor_version, struct phr_header *headers, size_t *num_headers,
                      size_t last_len)
{
    int parsed =
        parse_request(buf, len, method, method_len, path, path_len, minor_version, headers, num_headers, last_len);
    if (parsed > 0)
        return check_head(buf, parsed, headers, num_headers);
    if (parsed == -2 && len > FRAMING_HEAD_MAX) /* not complete, and too long already */
        return refuse(memchr(buf, '\n', FRAMING_PATH_MAX) == NULL ? ERROR_URI_TOO_LONG : ERROR_HEAD_TOO_LARGE, NULL);
    return parsed == -1 ? refuse(ERROR_INVALID_REQUEST, "malformed request head") : parsed;
}

ssize_t phr_decode_chunked(struct phr_chunked_decoder *decoder, char *buf, size_t *len)
{
    return chunked_decode((struct chunked_decoder *)(void *)decoder, buf, len);
}

/* Closes, as libh2o wanted to after its answer. */
static void finish(h2o_socket_t *socket)
{
    struct http_connection *connection = http_connection_of(socket);
    h2o_socket_cb done = connection->refused_done;
    connection->refused_done = NULL;
    h2o_socket_read_stop(socket);
    done(socket, NULL);
}

static void on_rest(h2o_socket_t *socket, const char *error)
{
    h2o_buffer_consume(&socket->input, socket->input->size);
    if (error != NULL) /* end of file, or the sweep's shutdown() after a while */
        finish(socket);
}

static void on_refused(h2o_socket_t *socket, const char *error)
{
    if (error != NULL || shutdown(h2o_socket_get_fd(socket), SHUT_WR) != 0) {
        finish(socket);
        return;
    }
    h2o_buffer_consume(&socket->input, socket->input->size);
    h2o_socket_read_start(socket, on_rest);
}

static void write_last(struct http_connection *connection, h2o_iovec_t *buffers, size_t count, h2o_socket_cb done)
{
    connection->linger = false;
    connection->cut = true;
    connection->since = clock_mono_ms();
    connection->refused_done = done;
    socket_write(connection->socket, buffers, count, on_refused);
}

void h2o_socket_write(h2o_socket_t *socket, h2o_iovec_t *buffers, size_t count, h2o_socket_cb done)
{
    struct http_connection *connection = http_connection_of(socket);
    if (connection != NULL && connection->linger) {
        write_last(connection, buffers, count, done);
    } else if (connection != NULL && count == 1 &&
               h2o_memis(buffers[0].base, buffers[0].len, parser_answer, sizeof(parser_answer) - 1)) {
        h2o_iovec_t answer = http_connection_refuse(connection, NULL, refusal_code, refusal_text);
        write_last(connection, &answer, 1, done);
    } else {
        socket_write(socket, buffers, count, done);
    }
}

static void send_error_body(h2o_ostream_t *self, h2o_req_t *req, h2o_iovec_t *buffers, size_t count,
                            h2o_send_state_t state)
{
    (void)buffers;
    (void)count;
    bool head_only = h2o_memis(req->input.method.base, req->input.method.len, H2O_STRLIT("HEAD"));
    h2o_ostream_send_next(self, req, head_only ? NULL : &((struct error_stream *)self)->body, head_only ? 0 : 1, state);
}

static enum error_code code_of(const h2o_req_t *req)
{
    switch (req->res.status) {
    case 400:
        return ERROR_INVALID_REQUEST;
    case 413:
        return ERROR_REQUEST_TOO_LARGE;
    case 417:
        return ERROR_EXPECTATION_FAILED;
    default:
        return ERROR_INTERNAL_ERROR;
    }
}

/* libh2o's own answers are those for which no object was made: bodies that are too long or broken, unknown
 * expectations. */
static void setup_error(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
    (void)self;
    struct http_connection *connection = http_connection_of_request(req);
    if (connection->request == NULL && !connection->cut) {
        struct error_stream *stream = (struct error_stream *)(void *)h2o_add_ostream(req, sizeof(*stream), slot);
        struct strbuf body = STRBUF_INIT;
        enum error_code code = code_of(req);
        reply_error_body(&body, code, NULL);
        stream->body = h2o_strdup(&req->pool, body.data, body.len);
        strbuf_release(&body);
        stream->super.do_send = send_error_body;
        slot = &stream->super.next;
        http_server_make_id(connection->server, connection->refusal_id);
        req->res.reason = reply_reason(req->res.status);
        req->res.content_length = stream->body.len;
        req->res.headers.size = 0;
        reply_common_headers(req, connection->refusal_id, H2O_STRLIT("application/json"), REPLY_NO_STORE);
        access_log_refused(connection, req, code);
        connection->linger = true;
    }
    h2o_setup_next_ostream(req, slot);
}

void edge_register(h2o_pathconf_t *pathconf)
{
    h2o_filter_t *filter = h2o_create_filter(pathconf, sizeof(*filter));
    filter->on_setup_ostream = setup_error;
}

static void *original(const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    if (symbol == NULL) {
        log_error("libh2o has no function %s: it is not the version 2.2 that this binary was built for", name);
        exit(1);
    }
    return symbol;
}

void edge_init(struct http_server *server)
{
    edge_server = server;
    *(void **)&parse_request = original("phr_parse_request");
    *(void **)&socket_write = original("h2o_socket_write");
}
