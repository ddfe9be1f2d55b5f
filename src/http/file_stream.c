/*
 * Sends a range of a file, in a worker: our own generator for libh2o.
 *
 *   file_stream_start  the head, and the first turn
 *   take_turn          are the next 4 MiB in memory? Else a thread reads them, and the stream queues up again
 *   pour               sends them, as fast as the client takes them
 *   wait_for_turn      others go first
 *
 * The head goes with the first piece and the end of the request with the last one through h2o_send(); what lies between
 * goes by sendfile(2) straight from the page cache into the socket, which libh2o leaves alone meanwhile (it has nothing
 * to write, and reads nothing while an answer is under way). A client that reads fast takes all that is offered, and
 * would have the loop for itself: hence the turns, a few in each round of the loop. A turn is asked for with an
 * eventfd, which is always writable, and not with a timer: libh2o's timers stand still when somebody sets the clock
 * back.
 */
#include "http/file_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/work_pool.h"
#include "http/request_private.h"

#define PIECE (64 * 1024) /* first and last, through memory */
#define TURN (4 * 1024 * 1024)
#define PROBE (256 * 1024) /* memory is asked for a byte of each */
#define STREAMS_PER_ROUND 2

struct file_turns {
    h2o_socket_t *socket;
    h2o_linklist_t queue; /* of file_stream.queued */
};

/* A thread reads the bytes of a turn, so that they are in memory. */
struct file_reading {
    struct work work;
    struct file_stream *stream; /* NULL: it has gone, and left the descriptor here */
    int fd;
    int64_t offset, len;
};

struct file_stream {
    h2o_generator_t super;
    h2o_req_t *req;
    struct http_request *request;
    struct file_turns *turns;
    h2o_linklist_t queued;
    struct file_reading *reading; /* while a thread is at it */
    int fd;
    bool begun;    /* the head is on its way */
    bool read;     /* a thread has read this turn's bytes */
    size_t poured; /* bytes of this turn */
    int64_t offset, left;
    char *buffer; /* PIECE bytes */
};

static void on_round(h2o_socket_t *socket, const char *error);

struct file_turns *file_turns_new(h2o_loop_t *loop)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) {
        log_error("cannot make an eventfd: %s", strerror(errno));
        exit(1);
    }
    struct file_turns *turns = mem_zalloc(sizeof(*turns));
    turns->socket = h2o_evloop_socket_create(loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    turns->socket->data = turns;
    h2o_linklist_init_anchor(&turns->queue);
    return turns;
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
    stream->poured += (size_t)n;
    h2o_iovec_t buffer = h2o_iovec_init(stream->buffer, (size_t)n);
    /* The last one may end the request: the stream is not touched behind it. */
    h2o_send(stream->req, &buffer, 1, stream->left == 0 ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
}

static void wait_for_turn(struct file_stream *stream)
{
    stream->poured = 0;
    h2o_linklist_insert(&stream->turns->queue, &stream->queued);
    if (!h2o_socket_is_writing(stream->turns->socket))
        h2o_socket_notify_write(stream->turns->socket, on_round);
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

/* Everything but the last piece, as far as the socket takes it and this turn goes. */
static void pour(struct file_stream *stream)
{
    while (stream->left > PIECE && stream->poured < TURN) {
        int64_t middle = stream->left - PIECE;
        size_t most = TURN - stream->poured;
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
        stream->poured += (size_t)n;
        stream->req->bytes_sent += (size_t)n;
    }
    if (stream->left <= PIECE)
        send_piece(stream);
    else
        wait_for_turn(stream);
}

/* A turn, and the piece that may end the answer behind it. */
static int64_t turn_length(const struct file_stream *stream)
{
    return stream->left < TURN + PIECE ? stream->left : TURN + PIECE;
}

/* File systems that cannot say so are read on the loop: they keep their files in memory, or are not for blobs. */
static bool byte_in_memory(int fd, int64_t at)
{
    char byte;
    struct iovec one = {&byte, 1};
    return preadv2(fd, &one, 1, at, RWF_NOWAIT) >= 0 || errno != EAGAIN;
}

static bool turn_in_memory(const struct file_stream *stream)
{
    int64_t end = stream->offset + turn_length(stream);
    for (int64_t at = stream->offset; at < end; at += PROBE)
        if (!byte_in_memory(stream->fd, at))
            return false;
    return byte_in_memory(stream->fd, end - 1);
}

/* What the disk cannot read, the loop meets again, and ends the answer. */
static void reading_run(struct work *work)
{
    const struct file_reading *reading = (const struct file_reading *)(const void *)work;
    char bytes[PIECE];
    int64_t end = reading->offset + reading->len;
    (void)posix_fadvise(reading->fd, end, reading->len, POSIX_FADV_WILLNEED); /* of the next turn */
    for (int64_t at = reading->offset; at < end;) {
        ssize_t n = pread(reading->fd, bytes, end - at < PIECE ? (size_t)(end - at) : PIECE, at);
        if (n <= 0 && (n == 0 || errno != EINTR))
            return;
        at += n > 0 ? n : 0;
    }
}

static void reading_done(struct work *work)
{
    struct file_reading *reading = (struct file_reading *)(void *)work;
    struct file_stream *stream = reading->stream;
    if (stream != NULL) {
        stream->reading = NULL;
        stream->read = true;
        wait_for_turn(stream);
    } else {
        close(reading->fd);
    }
    free(reading);
}

/* False: too many wait for the disk already. */
static bool read_turn(struct file_stream *stream)
{
    struct file_reading *reading = mem_zalloc(sizeof(*reading));
    reading->work.run = reading_run;
    reading->work.done = reading_done;
    reading->stream = stream;
    reading->fd = stream->fd;
    reading->offset = stream->offset;
    reading->len = turn_length(stream);
    if (work_pool_submit(stream->request->context->reading, &reading->work)) {
        stream->reading = reading;
        return true;
    }
    free(reading);
    return false;
}

static void take_turn(struct file_stream *stream)
{
    if (!stream->read && !turn_in_memory(stream) && read_turn(stream))
        return;
    stream->read = false;
    if (stream->begun) {
        pour(stream);
    } else {
        stream->begun = true;
        send_piece(stream);
    }
}

static void on_round(h2o_socket_t *socket, const char *error)
{
    struct file_turns *turns = socket->data;
    (void)error;
    for (unsigned i = 0; i < STREAMS_PER_ROUND && !h2o_linklist_is_empty(&turns->queue); ++i) {
        struct file_stream *stream = H2O_STRUCT_FROM_MEMBER(struct file_stream, queued, turns->queue.next);
        h2o_linklist_unlink(&stream->queued);
        take_turn(stream);
    }
    if (!h2o_linklist_is_empty(&turns->queue) && !h2o_socket_is_writing(turns->socket))
        h2o_socket_notify_write(turns->socket, on_round);
}

static void on_proceed(h2o_generator_t *self, h2o_req_t *req)
{
    (void)req;
    pour((struct file_stream *)(void *)self);
}

/* Nobody comes back to the stream. */
static void leave(struct file_stream *stream)
{
    if (h2o_linklist_is_linked(&stream->queued))
        h2o_linklist_unlink(&stream->queued);
    if (stream->reading == NULL)
        return;
    stream->reading->stream = NULL;
    stream->reading = NULL;
    stream->fd = -1;
}

static void on_stop(h2o_generator_t *self, h2o_req_t *req)
{
    (void)req;
    leave((struct file_stream *)(void *)self);
}

static void stream_dispose(void *p)
{
    struct file_stream *stream = p;
    leave(stream);
    if (stream->fd >= 0)
        close(stream->fd);
    free(stream->buffer);
}

void file_stream_start(struct http_request *request, h2o_req_t *req, int fd, int64_t first, int64_t length)
{
    struct file_stream *stream = h2o_mem_alloc_shared(&req->pool, sizeof(*stream), stream_dispose);
    memset(stream, 0, sizeof(*stream));
    stream->super.proceed = on_proceed;
    stream->super.stop = on_stop;
    stream->req = req;
    stream->request = request;
    stream->turns = request->server->turns;
    stream->fd = fd;
    stream->offset = first;
    stream->left = length;
    stream->buffer = mem_alloc(PIECE);
    request->stream = stream;
    h2o_start_response(req, &stream->super);
    take_turn(stream);
}
