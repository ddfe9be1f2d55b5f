/* blob/writer.h, on a temporary file: what the store's test does not reach */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob/writer.h"
#include "core/mem.h"
#include "tap.h"

#define PIECE BLOB_WRITER_PIECE
#define LEN (11 * PIECE + 77)

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
