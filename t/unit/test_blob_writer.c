/* blob/writer.h, on a temporary file: what the store's test does not reach */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blob/writer.h"
#include "core/mem.h"
#include "core/thread.h"
#include "tap.h"

#define PIECE BLOB_WRITER_PIECE
#define LEN (11 * PIECE + 77)

/* In front of libc's: what a disk or a file system may do. */
static atomic_uint syncs, direct_writes;
static atomic_int sync_fault;              /* errno of the next fdatasync() */
static atomic_int write_fault;             /* errno of the next O_DIRECT write ... */
static atomic_size_t write_before_fault;   /* ... after one that takes so many bytes; 0: none */
static unsigned threads_before_fault = 99; /* that can be made */

int fdatasync(int fd)
{
    ++syncs;
    if (sync_fault == 0)
        return (int)syscall(SYS_fdatasync, fd);
    errno = sync_fault;
    sync_fault = 0;
    return -1;
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    bool direct = (fcntl(fd, F_GETFL) & O_DIRECT) != 0;
    direct_writes += direct;
    if (direct && write_before_fault > 0) {
        ssize_t n = syscall(SYS_write, fd, bytes, write_before_fault);
        write_before_fault = 0;
        return n;
    }
    if (direct && write_fault != 0) {
        errno = write_fault;
        write_fault = 0;
        return -1;
    }
    return syscall(SYS_write, fd, bytes, len);
}

/* In front of libverstak's. */
int thread_start(const char *name, void *(*run)(void *), void *arg, pthread_t *thread_r)
{
    (void)name;
    return threads_before_fault-- == 0 ? EAGAIN : pthread_create(thread_r, NULL, run, arg);
}

static char path[] = "/tmp/verstak-writer-XXXXXX";
static char *content, *back;

/* O_DIRECT is refused at each write, as on file systems that do not tell when it is set. */
static void test_unaligned(int fd)
{
    is_int(write(fd, content, 1), 1, "a file of one byte");
    struct blob_writer *writer = blob_writer_new(fd);
    if (!ok(writer != NULL, "is gone on with"))
        return;
    ok(blob_writer_append(writer, content + 1, LEN - 1), "appended");
    ok(blob_writer_finish(writer), "finished");
    blob_writer_free(&writer);
    ok(writer == NULL, "freed");
    is_int(lseek(fd, 0, SEEK_END), LEN, "has its length");
    ok(pread(fd, back, LEN, 0) == (ssize_t)LEN && memcmp(content, back, LEN) == 0, "and its content");
    is_int(fcntl(fd, F_GETFL) & O_DIRECT, 0, "the descriptor is as it was");
}

/* The syncer's turn comes when so much is written; without load at once. */
static void await_sync(void)
{
    for (unsigned i = 0; i < 3000 && syncs == 0; i++)
        usleep(10000);
}

/* Writes all in uneven parts. False: not one of them, or not the end. */
static bool write_content(int fd, bool until_synced)
{
    struct blob_writer *writer = blob_writer_new(fd);
    bool good = writer != NULL;
    for (size_t at = 0, n; good && at < LEN; at += n) {
        n = LEN - at < 777777 ? LEN - at : 777777;
        good = blob_writer_append(writer, content + at, n);
    }
    if (until_synced)
        await_sync();
    int reason = good && !blob_writer_finish(writer) ? errno : 0;
    good = good && reason == 0;
    blob_writer_free(&writer);
    errno = reason != 0 ? reason : errno;
    return good;
}

static bool content_is_there(int fd)
{
    memset(back, 0, LEN);
    return lseek(fd, 0, SEEK_END) == (off_t)LEN && pread(fd, back, LEN, 0) == (ssize_t)LEN &&
           memcmp(content, back, LEN) == 0;
}

static int empty_file(void)
{
    return open(path, O_RDWR | O_TRUNC);
}

static void test_way(void)
{
    int fd = empty_file();
    syncs = direct_writes = 0;
    ok(write_content(fd, true) && content_is_there(fd), "written");
    is_int(direct_writes, LEN / PIECE, "past the cache, piece by piece");
    ok(syncs > 0, "synced on the way (%u times)", syncs);
    close(fd);
}

/* A fault that fdatasync() has told of is told of once: fsync() at the end knows nothing of it. */
static void test_sync_fault(void)
{
    int fd = empty_file();
    syncs = 0;
    sync_fault = EIO;
    ok(!write_content(fd, true), "a disk that fails on the way");
    is_int(sync_fault, 0, "says so once");
    close(fd);
}

static void test_write_faults(void)
{
    static const int to_cache[] = {EINVAL, EOPNOTSUPP, EINTR};
    static const size_t before[] = {0, 4096, 65536, PIECE - 4096};
    for (size_t i = 0; i < ARRAY_SIZE(to_cache); i++)
        for (size_t k = 0; k < ARRAY_SIZE(before); k++) {
            int fd = empty_file();
            write_fault = to_cache[i];
            write_before_fault = before[k];
            ok(write_content(fd, false) && write_fault == 0, "%s after %zu bytes", strerror(to_cache[i]), before[k]);
            ok(content_is_there(fd), "nothing is lost or doubled");
            close(fd);
        }
    int fd = empty_file();
    write_fault = ENOSPC;
    ok(!write_content(fd, false) && write_fault == 0, "no space is a fault");
    close(fd);
}

static void test_no_threads(void)
{
    int fd = empty_file();
    for (unsigned threads = 0; threads < 2; threads++) {
        threads_before_fault = threads;
        ok(blob_writer_new(fd) == NULL, "no more than %u threads", threads);
        is_int(fcntl(fd, F_GETFL) & O_DIRECT, 0, "the descriptor is as it was");
    }
    threads_before_fault = 1000000;
    close(fd);
}

static long virtual_pages(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld", &pages) != 1)
        pages = 0;
    if (file != NULL)
        fclose(file);
    return pages;
}

static void test_memory(void)
{
    int fd = empty_file();
    long before = 0;
    for (unsigned i = 0; i < 60; i++) {
        struct blob_writer *writer = blob_writer_new(fd);
        blob_writer_free(&writer);
        if (i == 9)
            before = virtual_pages();
    }
    ok(before > 0 && virtual_pages() - before < (long)(20 * PIECE / 4096), "its memory goes back");
    close(fd);
}

static void test_not_writable(void)
{
    int fd = open(path, O_RDONLY);
    struct blob_writer *writer = blob_writer_new(fd);
    if (!ok(writer != NULL, "a file that is open for reading"))
        return;
    bool appended = true;
    for (unsigned i = 0; i < 100 && appended; i++)
        appended = blob_writer_append(writer, content, PIECE);
    ok(!appended, "takes nothing");
    is_int(errno, EBADF, "and says why");
    ok(!blob_writer_finish(writer), "is not finished");
    is_int(errno, EBADF, "for the same reason");
    blob_writer_free(&writer);
    writer = blob_writer_new(fd);
    if (ok(writer != NULL, "once more")) {
        errno = 0;
        ok(!blob_writer_append(writer, content, PIECE) || !blob_writer_finish(writer), "one piece fails at the end");
        is_int(errno, EBADF, "with the reason");
        blob_writer_free(&writer);
    }
    close(fd);
}

static void test_nothing(void)
{
    int fd = open(path, O_RDWR | O_TRUNC);
    struct blob_writer *writer = blob_writer_new(fd);
    ok(writer != NULL && blob_writer_finish(writer), "nothing is finished, too");
    blob_writer_free(&writer);
    blob_writer_free(&writer);
    is_int(lseek(fd, 0, SEEK_END), 0, "and is nothing");
    close(fd);
    ok(blob_writer_new(fd) == NULL, "a descriptor that is none");
}

int main(void)
{
    int fd = mkstemp(path);
    content = mem_alloc(LEN);
    back = mem_zalloc(LEN);
    for (size_t i = 0; i < LEN; i++)
        content[i] = (char)(i * 31 + i / PIECE);
    int direct = open(path, O_RDWR | O_DIRECT);
    if (ok(fd >= 0, "a file") && direct >= 0) { /* else there is nothing to see on this file system */
        test_unaligned(fd);
        test_not_writable();
        test_nothing();
        test_way();
        test_sync_fault();
        test_write_faults();
        test_no_threads();
        test_memory();
    } else if (fd >= 0) {
        ok(blob_writer_new(fd) == NULL, "not on this file system");
    }
    if (direct >= 0)
        close(direct);
    close(fd);
    unlink(path);
    free(content);
    free(back);
    return tap_done();
}
