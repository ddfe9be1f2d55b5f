/* blob/store.h, on a temporary directory */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "blob/store.h"
#include "blob/writer.h"
#include "core/hex.h"
#include "core/mem.h"
#include "tap.h"

#define MEBIBYTE ((size_t)1024 * 1024)
#define PIECE BLOB_WRITER_PIECE
#define LARGE (2 * PIECE) /* from here on a blob_writer goes on */

/* In front of libc's: counts. */
static unsigned synced_files, synced_directories;

int fsync(int fd)
{
    struct stat st;
    bool directory = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
    *(directory ? &synced_directories : &synced_files) += 1;
    return (int)syscall(SYS_fsync, fd);
}

static char base[] = "/tmp/verstak-store-XXXXXX";

/* Number of files in <base>/blobs/tmp. */
static int temp_count(void)
{
    char *path = mem_printf("%s/blobs/tmp", base);
    DIR *directory = opendir(path);
    int count = 0;
    for (const struct dirent *e; directory != NULL && (e = readdir(directory)) != NULL;)
        count += e->d_name[0] != '.';
    if (directory != NULL)
        closedir(directory);
    free(path);
    return count;
}

static char *path_of(const unsigned char sha256[DIGEST_SIZE])
{
    char hex[DIGEST_HEX_SIZE];
    hex_encode(sha256, DIGEST_SIZE, hex);
    return mem_printf("%s/blobs/%.2s/%.2s/%s", base, hex, hex + 2, hex);
}

/* A temporary file with all of the content, complete; none when something failed. */
static enum blob_outcome fill(struct blob_store *store, const void *content, size_t len, struct blob_temp *temp_r,
                              unsigned char sha256_r[DIGEST_SIZE], struct strbuf *error)
{
    size_t first = len / 3;
    enum blob_outcome outcome = blob_store_begin(store, temp_r, error);
    if (outcome != BLOB_OK)
        return outcome;
    outcome = blob_store_append(store, temp_r, content, first, error);
    if (outcome == BLOB_OK)
        outcome = blob_store_append(store, temp_r, (const char *)content + first, len - first, error);
    if (outcome == BLOB_OK)
        outcome = blob_store_sync(store, temp_r, sha256_r, error);
    if (outcome != BLOB_OK)
        blob_store_drop(store, temp_r);
    return outcome;
}

static bool put(struct blob_store *store, const char *content, size_t len, unsigned char sha256_r[DIGEST_SIZE])
{
    struct blob_temp temp;
    return fill(store, content, len, &temp, sha256_r, NULL) == BLOB_OK &&
           blob_store_keep(store, &temp, sha256_r, (int64_t)len, NULL) == BLOB_OK;
}

static void test_sizes(struct blob_store *store)
{
    static const size_t sizes[] = {0,
                                   1,
                                   4096,
                                   MEBIBYTE - 1,
                                   MEBIBYTE,
                                   MEBIBYTE + 1,
                                   2 * MEBIBYTE + 7,
                                   LARGE - 1,
                                   LARGE,
                                   LARGE + 1,
                                   LARGE + PIECE - 1,
                                   LARGE + PIECE,
                                   LARGE + PIECE + 1,
                                   LARGE + 9 * PIECE,
                                   LARGE + 4 * PIECE,
                                   LARGE + 21 * PIECE + 4095};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        char *content = mem_alloc(sizes[i] + 1), *back = mem_zalloc(sizes[i] + 1);
        unsigned char sha256[DIGEST_SIZE], expected[DIGEST_SIZE];
        int fd = -1;
        int64_t size = -1;
        for (size_t n = 0; n < sizes[i]; n++)
            content[n] = (char)(n * 31 + n / 251 + i);
        digest_sha256(content, sizes[i], expected);
        ok(put(store, content, sizes[i], sha256), "%zu bytes are stored", sizes[i]);
        ok(memcmp(sha256, expected, DIGEST_SIZE) == 0, "with their hash");
        ok(blob_store_read(store, sha256, &fd, &size) == BLOB_OK && size == (int64_t)sizes[i], "and found");
        ok(read(fd, back, sizes[i]) == (ssize_t)sizes[i] && memcmp(back, content, sizes[i]) == 0, "as they were");
        close(fd);
        free(content);
        free(back);
    }
    is_int(temp_count(), 0, "nothing stays in tmp");
}

static void test_again(struct blob_store *store)
{
    unsigned char sha256[DIGEST_SIZE];
    struct stat before, after;
    synced_files = synced_directories = 0;
    ok(put(store, "content", 7, sha256), "stored");
    is_int(synced_files, 1, "synced");
    is_int(synced_directories, 3, "and the directories of its name");
    char *path = path_of(sha256);
    stat(path, &before);
    is_int(before.st_mode & 07777, 0600, "for its owner only");
    ok(put(store, "content", 7, sha256), "stored again");
    stat(path, &after);
    ok(before.st_ino == after.st_ino, "the first file stays");
    is_int(temp_count(), 0, "the second goes");
    is_int(truncate(path, 3), 0, "a file that was damaged");
    ok(put(store, "content", 7, sha256), "stored again");
    stat(path, &after);
    is_int(after.st_size, 7, "is replaced");
    free(path);
}

static void test_missing(struct blob_store *store)
{
    unsigned char sha256[DIGEST_SIZE] = {1, 2, 3};
    struct strbuf error = STRBUF_INIT;
    int fd;
    int64_t size;
    is_int(blob_store_read(store, sha256, &fd, &size), BLOB_MISSING, "not there");
    is_int(blob_store_take_aside(store, sha256, &error), BLOB_OK, "taking it aside is fine");
    is_int(blob_store_put_back(store, sha256, &error), BLOB_OK, "so is putting it back");
    ok(put(store, "to be removed", 13, sha256), "stored");
    is_int(blob_store_take_aside(store, sha256, &error), BLOB_OK, "taken aside");
    is_int(blob_store_read(store, sha256, &fd, &size), BLOB_MISSING, "gone");
    is_int(blob_store_sweep(store, 60000), 0, "no left-over yet");
    is_int(blob_store_put_back(store, sha256, &error), BLOB_OK, "put back");
    is_int(blob_store_read(store, sha256, &fd, &size), BLOB_OK, "there again");
    is_int(size, 13, "whole");
    close(fd);
    is_int(blob_store_take_aside(store, sha256, &error), BLOB_OK, "taken aside again");
    ok(put(store, "to be removed", 13, sha256), "uploaded anew meanwhile");
    is_int(blob_store_put_back(store, sha256, &error), BLOB_OK, "nothing to put back");
    is_int(blob_store_read(store, sha256, &fd, &size), BLOB_OK, "the new one stays");
    close(fd);
    is_int(blob_store_take_aside(store, sha256, &error), BLOB_OK, "taken aside for good");
    blob_store_drop_aside(store, sha256);
    is_int(blob_store_put_back(store, sha256, &error), BLOB_OK, "dropped is dropped");
    is_int(blob_store_read(store, sha256, &fd, &size), BLOB_MISSING, "gone");
    is_str(error.data, "", "no error");
    char *path = path_of(sha256);
    is_int(symlink("/etc/passwd", path), 0, "a symbolic link in its place");
    is_int(blob_store_read(store, sha256, &fd, &size), BLOB_FAILED, "is not followed");
    unlink(path);
    free(path);
}

static void test_drop(struct blob_store *store)
{
    unsigned char sha256[DIGEST_SIZE];
    struct blob_temp temp;
    is_int(fill(store, "x", 1, &temp, sha256, NULL), BLOB_OK, "written");
    is_int(temp_count(), 1, "one file in tmp");
    blob_store_drop(store, &temp);
    is_int(temp_count(), 0, "dropped");
    is_int(fill(store, "x", 1, &temp, sha256, NULL), BLOB_OK, "written");
    char *tmp = mem_printf("%s/blobs/tmp/%s", base, temp.name);
    unlink(tmp);
    free(tmp);
    struct strbuf error = STRBUF_INIT;
    sha256[0] ^= 0xff;
    is_int(blob_store_keep(store, &temp, sha256, 1, &error), BLOB_FAILED, "a temporary file that somebody took away");
    ok(strstr(error.data, "cannot make") != NULL, "is told: %s", error.data);
    strbuf_release(&error);
}

/* In the middle of what a blob_writer does; under sanitizers and with the threads at any point. */
static void test_drop_large(struct blob_store *store)
{
    char *content = mem_zalloc(PIECE);
    for (unsigned pieces = 1; pieces < 12; pieces++) {
        struct blob_temp temp;
        enum blob_outcome outcome = blob_store_begin(store, &temp, NULL);
        for (unsigned i = 0; i < pieces && outcome == BLOB_OK; i++)
            outcome = blob_store_append(store, &temp, content, PIECE, NULL);
        is_int(outcome, BLOB_OK, "%u pieces", pieces);
        blob_store_drop(store, &temp);
        ok(temp.writer == NULL && temp_count() == 0, "are dropped");
    }
    free(content);
}

/* Can files here be written past the page cache? */
static bool supports_direct(void)
{
    char *path = mem_printf("%s/direct", base);
    int fd = open(path, O_WRONLY | O_CREAT | O_DIRECT, 0600);
    unlink(path);
    free(path);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* More large files at once than there are writers for, byte by byte as they should be. */
static void test_many_large(struct blob_store *store, bool direct)
{
    enum { FILES = BLOB_WRITERS_MOST + 2, STEPS = 14 };
    struct blob_temp temps[FILES];
    unsigned char sha256[FILES][DIGEST_SIZE], expected[DIGEST_SIZE];
    size_t len = LARGE - 1000; /* no step ends where a piece does */
    char *content = mem_alloc(STEPS * len), *back = mem_alloc(STEPS * len);
    unsigned most = 0, good = 0;
    for (unsigned i = 0; i < FILES; i++)
        good += blob_store_begin(store, &temps[i], NULL) == BLOB_OK;
    for (unsigned step = 0; step < STEPS; step++) {
        memset(content + step * len, 'a' + (int)step, len);
        unsigned with = 0;
        for (unsigned i = 0; i < FILES; i++) {
            good += blob_store_append(store, &temps[i], content + step * len, len - i, NULL) == BLOB_OK;
            with += temps[i].writer != NULL;
        }
        most = with > most ? with : most;
    }
    for (unsigned i = 0; i < FILES; i++) {
        good += blob_store_sync(store, &temps[i], sha256[i], NULL) == BLOB_OK;
        good += blob_store_keep(store, &temps[i], sha256[i], temps[i].size, NULL) == BLOB_OK;
    }
    is_int(good, FILES * (3 + STEPS), "%d large files at once", FILES);
    is_int(most, direct ? BLOB_WRITERS_MOST : 0, "of which some have writers");
    for (unsigned i = 0; i < FILES; i++) {
        int fd = -1;
        int64_t size = 0;
        for (unsigned step = 0; step < STEPS; step++)
            memset(content + step * (len - i), 'a' + (int)step, len - i);
        digest_sha256(content, STEPS * (len - i), expected);
        ok(memcmp(sha256[i], expected, DIGEST_SIZE) == 0, "file %u has its hash", i);
        ok(blob_store_read(store, sha256[i], &fd, &size) == BLOB_OK && size == (int64_t)(STEPS * (len - i)),
           "its size");
        ok(read(fd, back, STEPS * len) == size && memcmp(back, content, (size_t)size) == 0, "and its content");
        close(fd);
    }
    is_int(temp_count(), 0, "nothing stays in tmp");
    free(content);
    free(back);
}

/* Writers that were refused or given back count no more: the next file has one. */
static void test_next_large(struct blob_store *store, bool direct)
{
    char *content = mem_zalloc(PIECE);
    struct blob_temp temp;
    enum blob_outcome outcome = blob_store_begin(store, &temp, NULL);
    for (unsigned i = 0; i < 3 && outcome == BLOB_OK; i++)
        outcome = blob_store_append(store, &temp, content, PIECE, NULL);
    is_int(outcome, BLOB_OK, "one more large file");
    is_int(temp.writer != NULL, direct, "has a writer");
    temp.since -= 5000; /* for a while nothing comes */
    outcome = blob_store_append(store, &temp, content, PIECE, NULL);
    ok(outcome == BLOB_OK && temp.writer == NULL, "a slow file gives it back");
    is_int(blob_store_append(store, &temp, content, PIECE, NULL), BLOB_OK, "it becomes fast");
    is_int(blob_store_append(store, &temp, content, 1, NULL), BLOB_OK, "and goes on");
    is_int(temp.writer != NULL, direct, "with a writer again");
    is_int(temp.size, 5 * (int64_t)PIECE + 1, "nothing is forgotten");
    blob_store_drop(store, &temp);
    free(content);
}

/* Of a kernel before 6.5 nobody can ask it. */
static int64_t unwritten_pages(int fd)
{
    struct {
        uint64_t cached, dirty, writeback, evicted, recently_evicted;
    } state;
    struct {
        uint64_t offset, len;
    } range = {0, 0};
    return syscall(451 /* cachestat(2), which glibc does not know yet */, fd, &range, &state, 0) == 0
               ? (int64_t)(state.dirty + state.writeback)
               : -1;
}

static void test_durable(struct blob_store *store)
{
    static const size_t sizes[] = {1000, LARGE - 5, LARGE + 4 * PIECE, LARGE + 4 * PIECE + 5000};
    char *content = mem_zalloc(LARGE + 5 * PIECE);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        unsigned char sha256[DIGEST_SIZE];
        struct blob_temp temp;
        is_int(fill(store, content, sizes[i], &temp, sha256, NULL), BLOB_OK, "%zu bytes", sizes[i]);
        int64_t unwritten = unwritten_pages(temp.fd);
        ok(unwritten <= 0, "are on the disk%s", unwritten < 0 ? ", if this kernel could tell" : "");
        blob_store_drop(store, &temp);
    }
    free(content);
}

/* A file size limit stands for the full disk: write() fails in the middle. */
static void test_no_space(struct blob_store *store, size_t len, size_t limit)
{
    struct rlimit old, small;
    unsigned char sha256[DIGEST_SIZE];
    struct blob_temp temp;
    struct strbuf error = STRBUF_INIT;
    char *content = mem_zalloc(len);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){limit, old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    enum blob_outcome outcome = fill(store, content, len, &temp, sha256, &error);
    setrlimit(RLIMIT_FSIZE, &old);
    is_int(outcome, BLOB_FAILED, "a write that fails after %zu of %zu bytes", limit, len);
    ok(strstr(error.data, "cannot write a file in") != NULL || strstr(error.data, "cannot sync a file in") != NULL,
       "is told: %s", error.data);
    ok(strstr(error.data, strerror(EFBIG)) != NULL, "with the reason");
    is_int(temp_count(), 0, "and nothing stays behind");
    strbuf_release(&error);
    free(content);
}

static char *old_file(const char *name)
{
    char *path = mem_printf("%s/blobs/tmp/%s", base, name);
    struct timespec times[2] = {{.tv_sec = time(NULL) - 1000}, {.tv_sec = time(NULL) - 1000}};
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    futimens(fd, times);
    close(fd);
    return path;
}

static void test_sweep(struct blob_store *store)
{
    char *old = old_file("old"), *held = old_file("held"), *fresh = mem_printf("%s/blobs/tmp/fresh", base);
    close(open(fresh, O_WRONLY | O_CREAT, 0600));
    int lock = open(held, O_RDONLY);
    flock(lock, LOCK_EX);
    is_int(blob_store_sweep(store, 900000), 1, "one is removed");
    ok(access(old, F_OK) != 0, "the old one");
    ok(access(held, F_OK) == 0, "not the one that a process holds");
    ok(access(fresh, F_OK) == 0, "not the fresh one");
    close(lock);
    is_int(blob_store_sweep(store, 900000), 1, "which goes when its process has gone");
    unlink(fresh);
    free(old);
    free(held);
    free(fresh);

    unsigned char sha256[DIGEST_SIZE];
    struct blob_temp temp;
    is_int(fill(store, "at work", 7, &temp, sha256, NULL), BLOB_OK, "an upload at work");
    is_int(blob_store_sweep(store, -5000), 0, "is left alone, however old");
    is_int(blob_store_keep(store, &temp, sha256, 7, NULL), BLOB_OK, "and ends well");
}

static void test_writable(struct blob_store *store)
{
    ok(blob_store_writable(store), "writable");
    is_int(temp_count(), 0, "the try leaves nothing");
    ok(blob_store_free_bytes(store) > 0, "free bytes");
    char *tmp = mem_printf("%s/blobs/tmp", base), *away = mem_printf("%s/blobs/away", base);
    is_int(rmdir(tmp), 0, "without its directory");
    ok(!blob_store_writable(store), "not writable");
    free(tmp);
    free(away);
}

int main(void)
{
    struct strbuf error = STRBUF_INIT;
    if (mkdtemp(base) == NULL)
        return 1;
    signal(SIGXFSZ, SIG_IGN);
    char *missing = mem_printf("%s/missing", base), *clean = mem_printf("rm -rf '%s'", base);
    ok(blob_store_open(missing, &error) == NULL, "no data directory");
    ok(strstr(error.data, missing) != NULL, "is told: %s", error.data);
    struct blob_store *store = blob_store_open(base, NULL);
    if (ok(store != NULL, "opened")) {
        test_sizes(store);
        test_again(store);
        test_missing(store);
        test_drop(store);
        test_no_space(store, 3 * MEBIBYTE, 1536 * 1024);
        test_no_space(store, LARGE + 20 * PIECE, LARGE + 3 * PIECE);
        test_no_space(store, LARGE + 20 * PIECE, LARGE + 3 * PIECE + 4096);
        test_no_space(store, LARGE + 2 * PIECE, LARGE + PIECE + 1000);
        test_no_space(store, LARGE + 2 * PIECE + 5000, LARGE + 2 * PIECE + 4096);
        test_drop_large(store);
        test_many_large(store, supports_direct());
        test_next_large(store, supports_direct());
        test_durable(store);
        test_sweep(store);
        test_writable(store);
        blob_store_close(&store);
    }
    ok(system(clean) == 0, "cleaned");
    free(missing);
    free(clean);
    strbuf_release(&error);
    return tap_done();
}
