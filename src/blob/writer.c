/*
 * The way of a large file to the disk. In a worker; three threads meet here:
 *
 *   the caller  copies bytes into a ring of pieces
 *   the writer  writes the pieces to the file
 *   the syncer  calls fdatasync(2) again and again: each time it lasts as long as the disk needs for what came
 * meanwhile
 *
 * Why past the page cache: a file of this size pushes much else out of it, and takes memory that was never used before,
 * which costs more than the disk does where a hypervisor has to find it first. Why the syncer: a disk with a cache of
 * its own, or another computer's, takes the bytes fast and has the work before it when it is asked to keep them.
 */
#include "blob/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/file.h"
#include "core/mem.h"
#include "core/thread.h"

#define THREADS 2
#define PIECES 4U
#define MAPPED ((PIECES + 1) * BLOB_WRITER_PIECE) /* one more, to begin where a huge page does */
#define SYNC_LEAST (4 * BLOB_WRITER_PIECE)        /* a disk that is asked more often does less in a second */

struct blob_writer {
    int fd;
    void *mapping;
    char *pieces;
    unsigned filling; /* the piece that the caller fills */
    size_t filled;    /* bytes of it */
    unsigned running;
    pthread_t threads[THREADS];

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    unsigned full;   /* pieces before the filling one that are not written yet */
    size_t unsynced; /* bytes written since the syncer began the last time */
    bool ending;     /* the threads leave when nothing is left to write */
    int reason;      /* errno of the first fault: nothing more is written */
};

static char *piece(const struct blob_writer *writer, unsigned which)
{
    return writer->pieces + which % PIECES * BLOB_WRITER_PIECE;
}

static bool set_direct(int fd, bool direct)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

/* What a file system says that lets O_DIRECT be set and cannot write so; or not what it left of a piece, whose start is
 * not aligned any more. */
static bool wants_cache(int reason)
{
    return reason == EINVAL || reason == EOPNOTSUPP || reason == ENOSYS;
}

/* 0 or an errno. */
static int write_piece(int fd, const char *bytes, size_t len)
{
    off_t start = lseek(fd, 0, SEEK_CUR);
    if (file_write_all(fd, bytes, len))
        return 0;
    if (!wants_cache(errno) || start < 0)
        return errno;
    return set_direct(fd, false) && lseek(fd, start, SEEK_SET) == start && file_write_all(fd, bytes, len) ? 0 : errno;
}

/* A system call has ended, with 0 or an errno. The lock is held. */
static void called(struct blob_writer *writer, int reason)
{
    if (writer->reason == 0)
        writer->reason = reason;
    pthread_cond_broadcast(&writer->changed);
}

static void *run_writing(void *arg)
{
    struct blob_writer *writer = arg;
    pthread_mutex_lock(&writer->lock);
    for (unsigned next = 0;; ++next) {
        while (writer->full == 0 && !writer->ending && writer->reason == 0)
            pthread_cond_wait(&writer->changed, &writer->lock);
        if (writer->full == 0 || writer->reason != 0)
            break;
        pthread_mutex_unlock(&writer->lock);
        int reason = write_piece(writer->fd, piece(writer, next), BLOB_WRITER_PIECE);
        pthread_mutex_lock(&writer->lock);
        --writer->full;
        writer->unsynced += BLOB_WRITER_PIECE;
        called(writer, reason);
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

static void *run_syncing(void *arg)
{
    struct blob_writer *writer = arg;
    pthread_mutex_lock(&writer->lock);
    for (;;) {
        while (writer->unsynced < SYNC_LEAST && !writer->ending && writer->reason == 0)
            pthread_cond_wait(&writer->changed, &writer->lock);
        if (writer->ending || writer->reason != 0)
            break;
        writer->unsynced = 0;
        pthread_mutex_unlock(&writer->lock);
        int reason = fdatasync(writer->fd) == 0 ? 0 : errno;
        pthread_mutex_lock(&writer->lock);
        called(writer, reason);
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

static bool start_threads(struct blob_writer *writer)
{
    static void *(*const run[THREADS])(void *) = {run_writing, run_syncing};
    static const char *const name[THREADS] = {"blob writer", "blob syncer"};
    for (; writer->running < THREADS; ++writer->running)
        if (thread_start(name[writer->running], run[writer->running], writer, &writer->threads[writer->running]) != 0)
            return false;
    return true;
}

/* With a reason what is not written yet is dropped. */
static void end_threads(struct blob_writer *writer, int reason)
{
    pthread_mutex_lock(&writer->lock);
    writer->ending = true;
    called(writer, reason);
    pthread_mutex_unlock(&writer->lock);
    while (writer->running > 0)
        pthread_join(writer->threads[--writer->running], NULL);
}

/* Memory of its own, and not of malloc(), that goes back when the file is written. */
static bool map_pieces(struct blob_writer *writer)
{
    writer->mapping = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (writer->mapping == MAP_FAILED)
        return false;
    uintptr_t start = (uintptr_t)writer->mapping, over = start % BLOB_WRITER_PIECE;
    writer->pieces = (char *)writer->mapping + (over == 0 ? 0 : BLOB_WRITER_PIECE - over);
    (void)madvise(writer->pieces, PIECES * BLOB_WRITER_PIECE, MADV_HUGEPAGE); /* it is slower without */
    return true;
}

void blob_writer_free(struct blob_writer **writer)
{
    struct blob_writer *w = *writer;
    if (w == NULL)
        return;
    *writer = NULL;
    end_threads(w, ECANCELED);
    if (w->mapping != MAP_FAILED)
        munmap(w->mapping, MAPPED);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

struct blob_writer *blob_writer_new(int fd)
{
    struct blob_writer *writer = mem_zalloc(sizeof(*writer));
    writer->fd = fd;
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->changed, NULL);
    if (map_pieces(writer) && set_direct(fd, true)) {
        if (start_threads(writer))
            return writer;
        (void)set_direct(fd, false);
    }
    blob_writer_free(&writer);
    return NULL;
}

/* The filling piece is full: the writer's. False: errno says why. */
static bool hand_over(struct blob_writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    while (writer->full == PIECES - 1 && writer->reason == 0)
        pthread_cond_wait(&writer->changed, &writer->lock);
    int reason = writer->reason;
    ++writer->full;
    pthread_cond_broadcast(&writer->changed);
    pthread_mutex_unlock(&writer->lock);
    ++writer->filling;
    writer->filled = 0;
    errno = reason;
    return reason == 0;
}

bool blob_writer_append(struct blob_writer *writer, const void *bytes, size_t len)
{
    const char *p = bytes;
    while (len > 0) {
        size_t room = BLOB_WRITER_PIECE - writer->filled, n = len < room ? len : room;
        memcpy(piece(writer, writer->filling) + writer->filled, p, n);
        writer->filled += n;
        p += n;
        len -= n;
        if (writer->filled == BLOB_WRITER_PIECE && !hand_over(writer))
            return false;
    }
    return true;
}

/* The last bytes are too few for O_DIRECT, and go through the cache. */
bool blob_writer_finish(struct blob_writer *writer)
{
    end_threads(writer, 0);
    errno = writer->reason;
    return writer->reason == 0 && set_direct(writer->fd, false) &&
           file_write_all(writer->fd, piece(writer, writer->filling), writer->filled) && fsync(writer->fd) == 0;
}
