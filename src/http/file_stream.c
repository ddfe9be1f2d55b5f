/*
 * Sends a range of a file, in a worker: our own generator for libh2o.
 *
 *   file_stream_start  the head, and the first turn, whose bytes the caller has seen to
 *   pour               sends the bytes of a turn, 4 MiB, as fast as the client takes them
 *   wait_for_turn      others go first
 *   take_turn          are the next bytes in memory? Else a thread reads them, and the stream queues up again
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
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/work_pool.h"
#include "http/request_private.h"

#define PIECE (64 * 1024) /* first and last, through memory */
#define TURN (4 * 1024 * 1024)
#define SEEN_MS 1000        /* so long after it was seen in memory it may have gone */
#define DISK_MOST_MS 300000 /* of waiting for one turn; after that http.send_timeout counts */
#define PAGE_LEAST 4096
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
    int64_t offset, len, ahead; /* of the turn, and of the one behind it */
    int reason;                 /* errno, when the disk cannot */
};

struct file_stream {
    h2o_generator_t super;
    h2o_req_t *req;
    struct http_request *request;
    struct file_turns *turns;
    h2o_linklist_t queued;
    struct file_reading *reading; /* while a thread is at it */
    int fd;
    bool read;      /* a thread has read this turn's bytes */
    size_t poured;  /* bytes of this turn */
    uint64_t seen;  /* clock_mono_ms() when they were in memory */
    uint64_t since; /* of waiting for the turn, or for the thread; 0: it is the client's */
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

static const char *reason_text(int reason)
{
    return reason == ENODATA ? "it is shorter than it was" : strerror(reason);
}

/* The answer cannot be finished: libh2o closes the connection. */
static void broken(struct file_stream *stream, int reason)
{
    log_error("request %s: cannot read the file: %s", stream->request->id, reason_text(reason));
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
        broken(stream, n < 0 ? errno : ENODATA);
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
    if (stream->since == 0)
        stream->since = clock_mono_ms();
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
    else if (clock_mono_ms() - stream->seen > SEEN_MS)
        wait_for_turn(stream);
    else
        pour(stream);
}

/* The client went away, which the access log tells, or the file cannot be read. */
static void pour_failed(struct file_stream *stream, ssize_t n)
{
    if (n < 0 && (errno == EPIPE || errno == ECONNRESET || errno == ETIMEDOUT))
        h2o_send(stream->req, NULL, 0, H2O_SEND_STATE_ERROR);
    else
        broken(stream, n < 0 ? errno : ENODATA);
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
static int64_t turn_length(int64_t left)
{
    return left < TURN + PIECE ? left : TURN + PIECE;
}

/*
 * mincore(2) alone says exactly what is there and not only on its way, on every file system. It wants the file to be
 * the server's own, as all of its blobs are; of another's it says that all is there.
 */
static bool in_memory(int fd, int64_t offset, int64_t len)
{
    unsigned char pages[(TURN + PIECE) / PAGE_LEAST + 2];
    long page = sysconf(_SC_PAGESIZE);
    int64_t start = offset - offset % page;
    size_t mapped = (size_t)(offset + len - start), count = (mapped + (size_t)page - 1) / (size_t)page;
    void *map = mmap(NULL, mapped, PROT_READ, MAP_SHARED, fd, start);
    if (map == MAP_FAILED)
        return false;
    bool all = mincore(map, mapped, pages) == 0;
    munmap(map, mapped);
    for (size_t i = 0; all && i < count; ++i)
        all = (pages[i] & 1) != 0;
    return all;
}

bool file_stream_in_memory(int fd, int64_t first, int64_t length)
{
    return in_memory(fd, first, turn_length(length));
}

/* Reads, and has the disk go on meanwhile with what is wanted next. */
static int read_into_memory(int fd, int64_t offset, int64_t len, int64_t ahead)
{
    char bytes[PIECE];
    int64_t end = offset + len;
    for (int64_t at = offset; at < end;) {
        ssize_t n = pread(fd, bytes, end - at < PIECE ? (size_t)(end - at) : PIECE, at);
        if (n == 0)
            return ENODATA;
        if (n < 0 && errno != EINTR)
            return errno;
        at += n > 0 ? n : 0;
    }
    if (ahead > 0)
        (void)posix_fadvise(fd, end, ahead, POSIX_FADV_WILLNEED);
    return 0;
}

int file_stream_read(int fd, int64_t first, int64_t length)
{
    int64_t len = turn_length(length);
    return read_into_memory(fd, first, len, turn_length(length - len));
}

static void reading_run(struct work *work)
{
    struct file_reading *reading = (struct file_reading *)(void *)work;
    reading->reason = read_into_memory(reading->fd, reading->offset, reading->len, reading->ahead);
}

static void reading_done(struct work *work)
{
    struct file_reading *reading = (struct file_reading *)(void *)work;
    struct file_stream *stream = reading->stream;
    int reason = reading->reason;
    if (stream == NULL)
        close(reading->fd);
    free(reading);
    if (stream == NULL)
        return;
    stream->reading = NULL;
    stream->read = true;
    if (reason != 0)
        broken(stream, reason);
    else
        wait_for_turn(stream);
}

static void read_turn(struct file_stream *stream)
{
    struct file_reading *reading = mem_zalloc(sizeof(*reading));
    reading->work.run = reading_run;
    reading->work.done = reading_done;
    reading->stream = stream;
    reading->fd = stream->fd;
    reading->offset = stream->offset;
    reading->len = turn_length(stream->left);
    reading->ahead = turn_length(stream->left - reading->len);
    stream->reading = reading;
    work_pool_add(stream->request->context->reading, &reading->work); /* one a connection at most */
}

static void take_turn(struct file_stream *stream)
{
    if (!stream->read && !in_memory(stream->fd, stream->offset, turn_length(stream->left))) {
        read_turn(stream);
        return;
    }
    stream->read = false;
    stream->since = 0;
    stream->seen = clock_mono_ms();
    pour(stream);
}

bool file_stream_waits(const struct http_request *request, uint64_t now)
{
    const struct file_stream *stream = request != NULL ? request->stream : NULL;
    return stream != NULL && stream->since != 0 && now - stream->since < DISK_MOST_MS;
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
    stream->seen = clock_mono_ms();
    h2o_start_response(req, &stream->super);
    send_piece(stream);
}
