/*
 * The bodies of uploads, in a worker.
 *
 *   http_body_new         takes what came with the head away from libh2o
 *   http_request_receive  the handler wants it: "100 Continue", then pieces are filled from those bytes and the socket
 *   advance               a piece goes to the thread as soon as that is idle; the other one is filled meanwhile
 *   work_done             the thread has taken a piece: advance, or the end
 *   end                   all was taken, or no more is wanted: the handler's step
 *   http_body_answering   whatever the reason of an answer: reads what is here of the rest, else the connection ends
 *
 * The socket is libh2o's own. While a handler is pending libh2o does not read it; we borrow it with the "do not read"
 * flag, by which we are told that bytes are there and read them ourselves.
 */
#include "http/body.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/mem.h"
#include "core/work_pool.h"
#include "http/chunked.h"
#include "http/reply.h"
#include "http/request_private.h"

#define PIECE_SIZE ((size_t)256 * 1024)
#define PIECE_LEAST ((size_t)64 * 1024) /* less is not worth waking a thread, but at the end */
#define SKIP_MOST ((size_t)256 * 1024)  /* of a refused body, to keep the connection */

struct piece {
    char *bytes; /* PIECE_SIZE of them; NULL: not needed yet */
    size_t len;
};

struct http_body {
    struct http_request *request;
    struct http_body_head head;
    h2o_socket_t *socket;
    h2o_buffer_t *early; /* bytes that came with the head */
    size_t left;         /* of Content-Length */
    struct chunked_decoder decoder;
    size_t received;         /* bytes after decoding */
    uint64_t started, since; /* clock_mono_ms() of the beginning and of the last bytes */
    bool complete, broken;
    bool listening; /* to the socket */
    bool counted;   /* in server->uploads */
    struct piece pieces[2];
    unsigned filling; /* which of them; the other one is the thread's while busy */
    bool busy;
    struct work work;
    struct work_pool *pool;
    void *data;
    http_take *take;
    http_work_step *step;
    bool wanted; /* take()'s last word */
};

/* The head's texts lie in the socket's input, which is about to change. libh2o does the same for bodies it reads. */
static void copy_head(h2o_req_t *req)
{
    h2o_iovec_t *texts[] = {&req->input.method, &req->input.path,      &req->input.authority, &req->method,
                            &req->path,         &req->path_normalized, &req->authority,       &req->upgrade};
    for (size_t i = 0; i < ARRAY_SIZE(texts); ++i)
        if (texts[i]->base != NULL)
            *texts[i] = h2o_strdup(&req->pool, texts[i]->base, texts[i]->len);
    for (size_t i = 0; i < req->headers.size; ++i) {
        h2o_header_t *header = &req->headers.entries[i];
        if (!h2o_iovec_is_token(header->name))
            *header->name = h2o_strdup(&req->pool, header->name->base, header->name->len);
        header->value = h2o_strdup(&req->pool, header->value.base, header->value.len);
    }
}

/* Leaves the head alone in the socket's input: libh2o takes that many bytes away when the request ends. */
static h2o_buffer_t *take_input(h2o_socket_t *socket, size_t head_len)
{
    h2o_buffer_t *early = socket->input;
    h2o_buffer_init(&socket->input, &h2o_socket_buffer_prototype);
    h2o_iovec_t room = h2o_buffer_reserve(&socket->input, head_len);
    memcpy(room.base, early->bytes, head_len);
    socket->input->size = head_len;
    h2o_buffer_consume(&early, head_len);
    return early;
}

void http_body_new(struct http_request *request, const struct http_body_head *head)
{
    struct http_body *body = http_request_alloc(request, sizeof(*body));
    body->request = request;
    body->head = *head;
    body->socket = request->connection->socket;
    body->left = head->length;
    body->complete = !head->chunked && head->length == 0;
    copy_head(request->h2o);
    body->early = take_input(body->socket, head->head_len);
    request->body = body;
}

static void give_back(struct http_body *body, const char *bytes, size_t len)
{
    if (len == 0)
        return;
    h2o_iovec_t room = h2o_buffer_reserve(&body->socket->input, len);
    memcpy(room.base, bytes, len);
    body->socket->input->size += len;
}

static void free_pieces(struct http_body *body)
{
    for (size_t i = 0; i < ARRAY_SIZE(body->pieces); ++i) {
        free(body->pieces[i].bytes);
        body->pieces[i] = (struct piece){NULL, 0};
    }
}

void http_body_release(struct http_body *body)
{
    assert(!body->busy);
    if (body->early != NULL)
        h2o_buffer_dispose(&body->early);
    free_pieces(body);
    if (body->counted)
        --body->request->server->uploads;
}

static void listen_no_more(struct http_body *body)
{
    if (!body->listening)
        return;
    body->listening = false;
    h2o_socket_read_stop(body->socket);
    h2o_socket_dont_read(body->socket, 0);
}

/* Bytes of the filling piece that may be read; of Content-Length nothing behind the body. */
static size_t room(struct http_body *body, char **at_r)
{
    struct piece *piece = &body->pieces[body->filling];
    size_t most = PIECE_SIZE - piece->len;
    if (piece->bytes == NULL)
        piece->bytes = mem_alloc(PIECE_SIZE);
    *at_r = piece->bytes + piece->len;
    return !body->head.chunked && body->left < most ? body->left : most;
}

/* Raw bytes stand at room(). */
static void arrived(struct http_body *body, size_t len)
{
    struct piece *piece = &body->pieces[body->filling];
    ssize_t behind = 0;
    body->since = clock_mono_ms();
    if (body->head.chunked) {
        behind = chunked_decode(&body->decoder, piece->bytes + piece->len, &len);
        body->broken = behind == CHUNKED_BROKEN;
        body->complete = behind >= 0;
    } else {
        body->left -= len;
        body->complete = body->left == 0;
    }
    piece->len += len;
    body->received += len;
    if (!body->complete)
        return;
    body->request->deadline = body->since + (uint64_t)body->request->context->config->http_request_timeout;
    if (behind > 0)
        give_back(body, piece->bytes + piece->len, (size_t)behind);
    give_back(body, body->early->bytes, body->early->size);
    h2o_buffer_consume(&body->early, body->early->size);
}

static void take_early(struct http_body *body)
{
    char *at;
    size_t len = room(body, &at);
    if (len > body->early->size)
        len = body->early->size;
    memcpy(at, body->early->bytes, len);
    h2o_buffer_consume(&body->early, len);
    arrived(body, len);
}

/* True: it cannot be taken on with, and was answered. */
static bool refused(struct http_body *body)
{
    struct http_request *request = body->request;
    if (body->broken) {
        reply_error_text(request, ERROR_INVALID_REQUEST, "broken chunked encoding");
        return true;
    }
    if (body->received > route_body_limit(request->context->config, request->route->body)) {
        reply_error(request, ERROR_BLOB_TOO_LARGE);
        return true;
    }
    return false;
}

static void end(struct http_body *body)
{
    listen_no_more(body);
    free_pieces(body);
    if (!body->complete)
        body->request->deadline = clock_mono_ms() + (uint64_t)body->request->context->config->http_request_timeout;
    http_request_set_state(body->request, HTTP_REQUEST_RUNNING);
    body->step(body->request, body->data);
}

static void work_run(struct work *work)
{
    struct http_body *body = H2O_STRUCT_FROM_MEMBER(struct http_body, work, work);
    const struct piece *piece = &body->pieces[1 - body->filling];
    body->wanted = body->take(body->data, piece->bytes, piece->len);
}

static void advance(struct http_body *body);

static void work_done(struct work *work)
{
    struct http_body *body = H2O_STRUCT_FROM_MEMBER(struct http_body, work, work);
    struct http_request *request = body->request;
    body->busy = false;
    body->pieces[1 - body->filling].len = 0;
    if (http_request_alive(request)) {
        if (body->wanted)
            advance(body);
        else
            end(body);
    }
    http_request_release(request);
}

/* False: answered. */
static bool submit(struct http_body *body)
{
    size_t len = body->pieces[body->filling].len;
    if (body->busy || len == 0 || (len < PIECE_LEAST && !body->complete))
        return true;
    body->filling = 1 - body->filling;
    body->busy = work_pool_submit(body->pool, &body->work);
    if (body->busy)
        http_request_reference(body->request);
    else
        reply_retry_after(body->request, ERROR_UNAVAILABLE, 2);
    return body->busy;
}

static void on_readable(h2o_socket_t *socket, const char *error)
{
    struct http_body *body = http_connection_of(socket)->request->body;
    char *at;
    size_t most = room(body, &at);
    (void)error;
    ssize_t len = recv(h2o_socket_get_fd(socket), at, most, MSG_DONTWAIT);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0) { /* a client that only closed its half may read this */
        reply_error_text(body->request, ERROR_INVALID_REQUEST, "the request body is not complete");
        return;
    }
    arrived(body, (size_t)len);
    if (!refused(body))
        advance(body);
}

static void listen_on(struct http_body *body)
{
    if (body->listening)
        return;
    body->listening = true;
    body->since = clock_mono_ms();
    h2o_socket_dont_read(body->socket, 1);
    h2o_socket_read_start(body->socket, on_readable);
}

static void advance(struct http_body *body)
{
    char *at;
    while (submit(body)) {
        if (body->complete) {
            listen_no_more(body);
            if (!body->busy)
                end(body);
            return;
        }
        if (room(body, &at) == 0) {
            listen_no_more(body); /* the thread has not taken the other piece yet */
            return;
        }
        if (body->early->size == 0) {
            listen_on(body);
            return;
        }
        take_early(body);
        if (refused(body))
            return;
    }
}

/* The connection carries nothing else now, so that it fits into its buffer, or nobody is there any more. */
static void send_continue(struct http_body *body)
{
    static const char answer[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!body->head.expects || body->complete || body->early->size > 0 || body->request->h2o->version < 0x101)
        return;
    int fd = h2o_socket_get_fd(body->socket);
    ssize_t sent = send(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0 && sent < (ssize_t)sizeof(answer) - 1)
        shutdown(fd, SHUT_RDWR);
}

void http_request_receive(struct http_request *request, struct work_pool *pool, void *data, http_take *take,
                          http_work_step *step)
{
    struct http_body *body = request->body;
    if (body == NULL) {
        step(request, data);
        return;
    }
    if (request->server->uploads >= (unsigned)request->context->config->http_max_uploads) {
        reply_retry_after(request, ERROR_UNAVAILABLE, 2);
        return;
    }
    ++request->server->uploads;
    body->counted = true;
    body->pool = pool;
    body->data = data;
    body->take = take;
    body->step = step;
    body->work.run = work_run;
    body->work.done = work_done;
    body->started = body->since = clock_mono_ms();
    http_request_set_state(request, HTTP_REQUEST_BODY);
    send_continue(body);
    advance(body);
}

struct http_server *http_upload_keep(struct http_request *request)
{
    struct http_body *body = request->body;
    if (body == NULL || !body->counted)
        return NULL;
    body->counted = false;
    return request->server;
}

void http_upload_over(struct http_server *server)
{
    if (server != NULL)
        --server->uploads;
}

bool http_request_length(const struct http_request *request, size_t *length_r)
{
    const struct http_body *body = request->body;
    *length_r = body != NULL ? body->head.length : 0;
    return body == NULL || !body->head.chunked;
}

bool http_body_stalled(struct http_body *body, uint64_t now)
{
    const struct config *config = body->request->context->config;
    if (!body->listening) /* we let the client wait, not the other way round */
        body->since = now;
    return now - body->since >= (uint64_t)config->http_body_timeout ||
           now - body->started >= (uint64_t)config->http_upload_timeout;
}

bool http_body_complete(const struct http_body *body)
{
    return body->complete;
}

/* Throws away what is here of the rest, without waiting for more. */
static void skip(struct http_body *body)
{
    size_t most = SKIP_MOST;
    if (!body->head.chunked && body->left > most)
        return;
    while (!body->complete && !body->broken && most > 0) {
        char *at;
        body->pieces[body->filling].len = 0;
        size_t len = room(body, &at);
        if (body->early->size > 0) {
            size_t before = body->early->size;
            take_early(body);
            len = before - body->early->size;
        } else {
            ssize_t got = recv(h2o_socket_get_fd(body->socket), at, len, MSG_DONTWAIT);
            if (got <= 0)
                return;
            len = (size_t)got;
            arrived(body, len);
        }
        most -= len < most ? len : most;
    }
}

void http_body_answering(struct http_request *request)
{
    struct http_body *body = request->body;
    if (body == NULL)
        return;
    listen_no_more(body);
    if (!body->complete && !body->broken)
        skip(body);
    if (body->complete)
        return;
    request->h2o->http1_is_persistent = 0;
    request->connection->linger = true;
}
