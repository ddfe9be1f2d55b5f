/*
 * Answers with the content of a file, in a worker: our own generator for libh2o.
 *
 * The head goes with the first piece and the end of the request with the last one through h2o_send(); what lies between
 * goes by sendfile(2) straight from the page cache into the socket, which libh2o leaves alone meanwhile (it has nothing
 * to write, and reads nothing while an answer is under way). A client that reads fast takes all that is offered, and
 * would have the loop for itself; so after each 4 MiB a download queues up and goes on in a later turn of the loop, a
 * few a turn. The turn is asked for with an eventfd, which is always writable, and not with a timer: libh2o's timers
 * stand still when somebody sets the clock back.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "http/reply.h"
#include "http/reply_private.h"
#include "http/request_private.h"

#define PIECE (64 * 1024) /* first and last, through memory */
#define YIELD_AFTER (4 * 1024 * 1024)
#define STREAMS_PER_TURN 2

struct reply_yield {
    h2o_socket_t *socket;
    h2o_linklist_t queue; /* of file_stream.queued */
};

struct file_stream {
    h2o_generator_t super;
    h2o_req_t *req;
    struct http_request *request;
    struct reply_yield *yield;
    h2o_linklist_t queued;
    int fd;
    int64_t offset, left;
    size_t since_yield;
    char *buffer; /* PIECE bytes */
};

struct range {
    int64_t first, length;
};

enum range_verdict { RANGE_NONE, RANGE_ONE, RANGE_UNSATISFIABLE };

static void on_turn(h2o_socket_t *socket, const char *error);

struct reply_yield *reply_yield_new(h2o_loop_t *loop)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) {
        log_error("cannot make an eventfd: %s", strerror(errno));
        exit(1);
    }
    struct reply_yield *yield = mem_zalloc(sizeof(*yield));
    yield->socket = h2o_evloop_socket_create(loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    yield->socket->data = yield;
    h2o_linklist_init_anchor(&yield->queue);
    return yield;
}

static void broken(struct file_stream *stream, const char *reason)
{
    log_error("request %s: cannot read the file: %s", stream->request->id, reason);
    h2o_send(stream->req, NULL, 0, H2O_SEND_STATE_ERROR);
}

/* The first piece, or the last one: never more than is left. */
static void send_piece(struct file_stream *stream)
{
    size_t want = PIECE < stream->left ? PIECE : (size_t)stream->left;
    ssize_t n;
    do
        n = pread(stream->fd, stream->buffer, want, stream->offset);
    while (n < 0 && errno == EINTR);
    if (n <= 0) {
        broken(stream, n < 0 ? strerror(errno) : "it is shorter than it was");
        return;
    }
    stream->offset += n;
    stream->left -= n;
    stream->since_yield += (size_t)n;
    h2o_iovec_t buffer = h2o_iovec_init(stream->buffer, (size_t)n);
    /* The last one may end the request: the stream is not touched behind it. */
    h2o_send(stream->req, &buffer, 1, stream->left == 0 ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
}

static void ask_for_turn(struct reply_yield *yield)
{
    if (!h2o_socket_is_writing(yield->socket))
        h2o_socket_notify_write(yield->socket, on_turn);
}

/*
 * Has the disk read the next two turns' bytes meanwhile. The kernel looks at each page even when all are in memory, a
 * tenth of a cached download's time; so the last byte is asked for first: when it is there, so is what lies before it.
 */
static void read_ahead(const struct file_stream *stream)
{
    char byte;
    struct iovec last = {&byte, 1};
    int64_t len = stream->left < 2 * YIELD_AFTER ? stream->left : 2 * YIELD_AFTER;
    if (len > 0 && preadv2(stream->fd, &last, 1, stream->offset + len - 1, RWF_NOWAIT) != 1)
        (void)posix_fadvise(stream->fd, stream->offset, len, POSIX_FADV_WILLNEED);
}

static void wait_for_turn(struct file_stream *stream)
{
    read_ahead(stream);
    h2o_linklist_insert(&stream->yield->queue, &stream->queued);
    ask_for_turn(stream->yield);
}

static h2o_socket_t *socket_of(const struct file_stream *stream)
{
    return stream->req->conn->callbacks->get_socket(stream->req->conn);
}

static void pour(struct file_stream *stream);

static void on_writable(h2o_socket_t *socket, const char *error)
{
    const struct http_connection *connection = socket->on_close.data;
    struct file_stream *stream = connection->request->stream;
    if (error != NULL)
        h2o_send(stream->req, NULL, 0, H2O_SEND_STATE_ERROR);
    else
        pour(stream);
}

/* The client went away, or the disk failed: the answer cannot be finished, and libh2o closes the connection. */
static void pour_failed(struct file_stream *stream, ssize_t n)
{
    if (n == 0 || errno == EIO)
        broken(stream, n == 0 ? "it is shorter than it was" : strerror(errno));
    else
        h2o_send(stream->req, NULL, 0, H2O_SEND_STATE_ERROR);
}

/* Everything but the last piece, as far as the socket takes it and until others have their turn. */
static void pour(struct file_stream *stream)
{
    while (stream->left > PIECE && stream->since_yield < YIELD_AFTER) {
        int64_t middle = stream->left - PIECE;
        size_t most = YIELD_AFTER - stream->since_yield;
        off_t offset = (off_t)stream->offset;
        ssize_t n = sendfile(h2o_socket_get_fd(socket_of(stream)), stream->fd, &offset,
                             middle < (int64_t)most ? (size_t)middle : most);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            h2o_socket_notify_write(socket_of(stream), on_writable);
            return;
        }
        if (n <= 0) {
            pour_failed(stream, n);
            return;
        }
        stream->offset += n;
        stream->left -= n;
        stream->since_yield += (size_t)n;
        stream->req->bytes_sent += (size_t)n;
    }
    if (stream->left <= PIECE)
        send_piece(stream);
    else
        wait_for_turn(stream);
}

static void on_turn(h2o_socket_t *socket, const char *error)
{
    struct reply_yield *yield = socket->data;
    (void)error;
    for (unsigned i = 0; i < STREAMS_PER_TURN && !h2o_linklist_is_empty(&yield->queue); ++i) {
        struct file_stream *stream = H2O_STRUCT_FROM_MEMBER(struct file_stream, queued, yield->queue.next);
        h2o_linklist_unlink(&stream->queued);
        stream->since_yield = 0;
        pour(stream);
    }
    if (!h2o_linklist_is_empty(&yield->queue))
        ask_for_turn(yield);
}

static void on_proceed(h2o_generator_t *self, h2o_req_t *req)
{
    (void)req;
    pour((struct file_stream *)(void *)self);
}

static void leave_queue(struct file_stream *stream)
{
    if (h2o_linklist_is_linked(&stream->queued))
        h2o_linklist_unlink(&stream->queued);
}

static void on_stop(h2o_generator_t *self, h2o_req_t *req)
{
    (void)req;
    leave_queue((struct file_stream *)(void *)self);
}

static void stream_dispose(void *p)
{
    struct file_stream *stream = p;
    leave_queue(stream);
    close(stream->fd);
    free(stream->buffer);
}

static void start_stream(struct http_request *request, h2o_req_t *req, int fd, const struct range *range)
{
    struct file_stream *stream = h2o_mem_alloc_shared(&req->pool, sizeof(*stream), stream_dispose);
    memset(stream, 0, sizeof(*stream));
    stream->super.proceed = on_proceed;
    stream->super.stop = on_stop;
    stream->req = req;
    stream->request = request;
    stream->yield = request->server->yield;
    stream->fd = fd;
    stream->offset = range->first;
    stream->left = range->length;
    stream->buffer = mem_alloc(PIECE);
    request->stream = stream;
    h2o_start_response(req, &stream->super);
    send_piece(stream);
}

/* Digits; what is too great for any file stays too great. False when there are none. */
static bool parse_position(const char **at, int64_t *position_r)
{
    const char *start = *at;
    int64_t position = 0;
    for (; **at >= '0' && **at <= '9'; ++*at)
        position = position > (INT64_MAX - 9) / 10 ? INT64_MAX - 1 : position * 10 + (**at - '0');
    *position_r = position;
    return *at != start;
}

/* RFC 9110, 14.1.2. Several ranges and malformed ones: as if there were none. */
static enum range_verdict parse_range(const char *header, int64_t size, struct range *range_r)
{
    int64_t first, last;
    if (strncasecmp(header, "bytes=", 6) != 0)
        return RANGE_NONE;
    header += 6;
    bool has_first = parse_position(&header, &first);
    if (*header++ != '-')
        return RANGE_NONE;
    bool has_last = parse_position(&header, &last);
    if (*header != '\0' || (!has_first && !has_last) || (has_first && has_last && last < first))
        return RANGE_NONE;
    if (!has_first) { /* the last so many bytes */
        first = last < size ? size - last : 0;
        has_last = false;
        if (last == 0)
            return RANGE_UNSATISFIABLE;
    }
    if (first >= size)
        return RANGE_UNSATISFIABLE;
    if (!has_last || last >= size)
        last = size - 1;
    range_r->first = first;
    range_r->length = last - first + 1;
    return RANGE_ONE;
}

/* One of a list of tags, compared weakly (RFC 9110, 13.1.2), or "*". */
static bool none_match_holds(const char *header, const char *etag)
{
    size_t etag_len = strlen(etag);
    for (;;) {
        header += strspn(header, " \t,");
        if (*header == '\0')
            return false;
        if (*header == '*')
            return true;
        if (strncmp(header, "W/", 2) == 0)
            header += 2;
        if (strncmp(header, etag, etag_len) == 0)
            return true;
        header += *header == '"' ? 1 + strcspn(header + 1, "\"") : 0;
        header += strcspn(header, ",");
    }
}

static enum range_verdict find_range(struct http_request *request, const struct reply_file *file, struct range *range_r)
{
    const char *header = http_request_header(request, "range"), *condition = http_request_header(request, "if-range");
    range_r->first = 0;
    range_r->length = file->size;
    if (header == NULL ||
        (condition != NULL && strcmp(condition, file->etag) != 0)) /* weak tags and dates never match */
        return RANGE_NONE;
    return parse_range(header, file->size, range_r);
}

static void reply_not_modified(struct http_request *request, const struct reply_file *file)
{
    close(file->fd);
    reply_header(request, "etag", file->etag);
    h2o_req_t *req = reply_begin(request, 304, "", SIZE_MAX, REPLY_PRIVATE);
    h2o_send_inline(req, NULL, 0);
}

static void reply_unsatisfiable(struct http_request *request, const struct reply_file *file)
{
    char value[64];
    close(file->fd);
    snprintf(value, sizeof(value), "bytes */%" PRId64, file->size);
    reply_header(request, "content-range", value);
    reply_error(request, ERROR_RANGE_INVALID);
}

static void reply_content(struct http_request *request, const struct reply_file *file, const struct range *range,
                          bool partial)
{
    static h2o_generator_t empty = {NULL, NULL};
    char value[96];
    const char *type = http_request_strdup(request, file->type, strlen(file->type));
    bool head_only = request->head_only;
    reply_header(request, "etag", file->etag);
    reply_header(request, "accept-ranges", "bytes");
    if (partial) {
        snprintf(value, sizeof(value), "bytes %" PRId64 "-%" PRId64 "/%" PRId64, range->first,
                 range->first + range->length - 1, file->size);
        reply_header(request, "content-range", value);
    }
    h2o_req_t *req = reply_begin(request, partial ? 206 : 200, type, (size_t)range->length, REPLY_PRIVATE);
    if (!head_only && range->length > 0) {
        start_stream(request, req, file->fd, range);
        return;
    }
    close(file->fd);
    h2o_start_response(req, &empty);
    h2o_send(req, NULL, 0, H2O_SEND_STATE_FINAL);
}

void reply_file(struct http_request *request, const struct reply_file *file)
{
    struct range range;
    const char *none_match = http_request_header(request, "if-none-match");
    if (none_match != NULL && none_match_holds(none_match, file->etag)) {
        reply_not_modified(request, file);
        return;
    }
    switch (find_range(request, file, &range)) {
    case RANGE_UNSATISFIABLE:
        reply_unsatisfiable(request, file);
        return;
    case RANGE_ONE:
        reply_content(request, file, &range, true);
        return;
    case RANGE_NONE:
        reply_content(request, file, &range, false);
        return;
    }
}
