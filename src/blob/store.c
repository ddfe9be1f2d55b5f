/*
 * The blob store on a local file system: <data>/blobs/ab/cd/<sha256>, and <data>/blobs/tmp for what is not complete.
 * Runs in the file threads of workers and in the janitor. A file under its final name is complete and synced, and so is
 * its directory entry: the database may refer to it.
 */
#include "blob/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "blob/writer.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/hex.h"
#include "core/mem.h"

#define PIECE (256 * 1024) /* hashed and written at a time: still in the cache when it is written */
/* What is smaller stays in the page cache for the devices that fetch it soon; behind it a blob_writer goes on. */
#define LARGE ((int64_t)(2 * BLOB_WRITER_PIECE))
/* For a BLOB_WRITER_PIECE. The cache is good enough for slower uploads, which would hold a writer long. */
#define FAST_MS 1000
#define WRITE_BEHIND \
    (8 * 1024 * 1024) /* the disk begins with as much at a time, so that the fsync finds little to do */
#define NAME_SIZE (6 + DIGEST_HEX_SIZE) /* "ab/cd/<sha256>" */

struct blob_store {
    char *path; /* <data>/blobs, for messages */
    int root;
    int tmp;
    atomic_uint writers; /* at most BLOB_WRITERS_MOST of them have a blob_writer */
};

static enum blob_outcome fault(struct strbuf *error, const struct blob_store *store, const char *doing,
                               const char *name)
{
    int reason = errno;
    strbuf_error(error, "cannot %s '%s/%s': %s", doing, store->path, name, strerror(reason));
    return reason == ENOSPC || reason == EDQUOT ? BLOB_NO_SPACE : BLOB_FAILED;
}

static void blob_name(const unsigned char sha256[DIGEST_SIZE], char name_r[NAME_SIZE])
{
    hex_encode(sha256, 1, name_r);
    name_r[2] = '/';
    hex_encode(sha256 + 1, 1, name_r + 3);
    name_r[5] = '/';
    hex_encode(sha256, DIGEST_SIZE, name_r + 6);
}

static int open_directory(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

struct blob_store *blob_store_open(const char *data_directory, struct strbuf *error)
{
    struct blob_store *store = mem_zalloc(sizeof(*store));
    char *tmp = mem_printf("%s/blobs/tmp", data_directory);
    store->path = mem_printf("%s/blobs", data_directory);
    store->root = store->tmp = -1;
    const char *at = store->path;
    if ((mkdir(at, 0700) == 0 || errno == EEXIST) && (store->root = open_directory(AT_FDCWD, at)) >= 0) {
        at = tmp;
        if (mkdir(at, 0700) == 0 || errno == EEXIST)
            store->tmp = open_directory(AT_FDCWD, at);
    }
    if (store->tmp < 0) {
        strbuf_error(error, "cannot make or open the directory '%s': %s", at, strerror(errno));
        blob_store_close(&store);
    }
    free(tmp);
    return store;
}

void blob_store_close(struct blob_store **store)
{
    struct blob_store *s = *store;
    if (s == NULL)
        return;
    *store = NULL;
    if (s->root >= 0)
        close(s->root);
    if (s->tmp >= 0)
        close(s->tmp);
    free(s->path);
    free(s);
}

/*
 * A new file in tmp. The lock says that a living process is at work on it: blob_store_sweep() leaves such files alone.
 * Between the making and the lock the file is a moment old, and a sweep takes only old ones.
 */
enum blob_outcome blob_store_begin(struct blob_store *store, struct blob_temp *temp, struct strbuf *error)
{
    unsigned char random[16];
    char hex[2 * sizeof(random) + 1];
    memset(temp, 0, sizeof(*temp));
    digest_random(random, sizeof(random));
    hex_encode(random, sizeof(random), hex);
    snprintf(temp->name, sizeof(temp->name), "%s", hex);
    temp->fd = openat(store->tmp, temp->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (temp->fd < 0)
        return fault(error, store, "make a file in", "tmp");
    temp->since = clock_mono_ms();
    enum blob_outcome outcome = BLOB_OK;
    if (flock(temp->fd, LOCK_EX | LOCK_NB) != 0)
        outcome = fault(error, store, "lock a file in", "tmp");
    temp->hash = EVP_MD_CTX_new();
    if (temp->hash == NULL || EVP_DigestInit_ex(temp->hash, EVP_sha256(), NULL) != 1) {
        errno = ENOMEM;
        outcome = fault(error, store, "hash a file in", "tmp");
    }
    if (outcome != BLOB_OK)
        blob_store_drop(store, temp);
    return outcome;
}

/* Without it all would wait in memory for the fsync. File systems that cannot do it do without. */
static void write_behind(struct blob_temp *temp)
{
    if (temp->size - temp->behind < WRITE_BEHIND)
        return;
    (void)sync_file_range(temp->fd, temp->behind, temp->size - temp->behind, SYNC_FILE_RANGE_WRITE);
    temp->behind = temp->size;
}

/* NULL: as a small one. */
static struct blob_writer *large_begin(struct blob_store *store, int fd)
{
    struct blob_writer *writer = NULL;
    if (atomic_fetch_add(&store->writers, 1) < BLOB_WRITERS_MOST)
        writer = blob_writer_new(fd);
    if (writer == NULL)
        atomic_fetch_sub(&store->writers, 1);
    return writer;
}

static void large_end(struct blob_store *store, struct blob_temp *temp)
{
    if (temp->writer == NULL)
        return;
    blob_writer_free(&temp->writer);
    atomic_fetch_sub(&store->writers, 1);
}

/* Bytes to take at a time: none has a boundary of BLOB_WRITER_PIECE inside. */
static size_t next_piece(const struct blob_temp *temp, size_t len)
{
    size_t left = BLOB_WRITER_PIECE - (size_t)temp->size % BLOB_WRITER_PIECE;
    size_t n = len < PIECE ? len : PIECE;
    return n < left ? n : left;
}

/* At a boundary of BLOB_WRITER_PIECE: one that has become fast may get a writer, and one that has become slow gives it
 * back, when that has written what it was given. False: it could not. */
static bool change_way(struct blob_store *store, struct blob_temp *temp)
{
    uint64_t now = clock_mono_ms();
    bool fast = now - temp->since <= FAST_MS;
    temp->since = now;
    if (temp->size >= LARGE && temp->writer == NULL && fast)
        temp->writer = large_begin(store, temp->fd);
    if (temp->writer == NULL || fast)
        return true;
    if (!blob_writer_finish(temp->writer))
        return false;
    large_end(store, temp);
    temp->behind = temp->size;
    return true;
}

enum blob_outcome blob_store_append(struct blob_store *store, struct blob_temp *temp, const void *bytes, size_t len,
                                    struct strbuf *error)
{
    const char *p = bytes;
    while (len > 0) {
        size_t n = next_piece(temp, len);
        if (temp->size > 0 && temp->size % (int64_t)BLOB_WRITER_PIECE == 0 && !change_way(store, temp))
            return fault(error, store, "write a file in", "tmp");
        if (EVP_DigestUpdate(temp->hash, p, n) != 1) {
            errno = ENOMEM;
            return fault(error, store, "hash a file in", "tmp");
        }
        if (temp->writer != NULL ? !blob_writer_append(temp->writer, p, n) : !file_write_all(temp->fd, p, n))
            return fault(error, store, "write a file in", "tmp");
        p += n;
        len -= n;
        temp->size += (int64_t)n;
    }
    if (temp->writer == NULL)
        write_behind(temp);
    return BLOB_OK;
}

enum blob_outcome blob_store_sync(struct blob_store *store, struct blob_temp *temp, unsigned char sha256_r[DIGEST_SIZE],
                                  struct strbuf *error)
{
    if (EVP_DigestFinal_ex(temp->hash, sha256_r, NULL) != 1) {
        errno = ENOMEM;
        return fault(error, store, "hash a file in", "tmp");
    }
    bool synced = temp->writer != NULL ? blob_writer_finish(temp->writer) : fsync(temp->fd) == 0;
    enum blob_outcome outcome = synced ? BLOB_OK : fault(error, store, "sync a file in", "tmp");
    large_end(store, temp);
    return outcome;
}

void blob_store_drop(struct blob_store *store, struct blob_temp *temp)
{
    unlinkat(store->tmp, temp->name, 0);
    large_end(store, temp);
    close(temp->fd);
    temp->fd = -1;
    EVP_MD_CTX_free(temp->hash);
    temp->hash = NULL;
}

static int open_below(int at, const char *name)
{
    if (mkdirat(at, name, 0700) != 0 && errno != EEXIST)
        return -1;
    return open_directory(at, name);
}

/*
 * Opens, or makes, the directory of a blob. All three levels are synced each time: one that is there may have been made
 * by another thread a moment ago and not be on the disk yet. Syncing a clean directory costs next to nothing.
 */
static int open_home(struct blob_store *store, const char *name)
{
    char outer[3] = {name[0], name[1], '\0'}, inner[3] = {name[3], name[4], '\0'};
    int home = -1, middle = open_below(store->root, outer);
    if (middle < 0)
        return -1;
    home = open_below(middle, inner);
    if (home >= 0 && (fsync(middle) != 0 || fsync(store->root) != 0)) {
        close(home);
        home = -1;
    }
    int reason = errno;
    close(middle);
    errno = reason;
    return home;
}

static bool is_there(int home, const char *file, int64_t size)
{
    struct stat st;
    return fstatat(home, file, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_size == size;
}

enum blob_outcome blob_store_keep(struct blob_store *store, struct blob_temp *temp,
                                  const unsigned char sha256[DIGEST_SIZE], int64_t size, struct strbuf *error)
{
    char name[NAME_SIZE];
    const char *file = name + 6;
    enum blob_outcome outcome = BLOB_OK;
    blob_name(sha256, name);
    int home = open_home(store, name);
    if (home < 0) {
        outcome = fault(error, store, "make the directory of", name);
    } else if (!is_there(home, file, size) && renameat(store->tmp, temp->name, home, file) != 0) {
        outcome = fault(error, store, "make", name);
    } else if (fsync(home) != 0) {
        outcome = fault(error, store, "sync the directory of", name);
    }
    if (home >= 0)
        close(home);
    /* Gone already after the rename; there when the blob was, or when something failed. */
    blob_store_drop(store, temp);
    return outcome;
}

enum blob_outcome blob_store_read(struct blob_store *store, const unsigned char sha256[DIGEST_SIZE], int *fd_r,
                                  int64_t *size_r)
{
    char name[NAME_SIZE];
    struct stat st;
    blob_name(sha256, name);
    int fd = openat(store->root, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? BLOB_MISSING : BLOB_FAILED;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return BLOB_FAILED;
    }
    *fd_r = fd;
    *size_r = st.st_size;
    return BLOB_OK;
}

/* A change in the directory that holds a blob reaches the disk. */
static enum blob_outcome sync_home(struct blob_store *store, const char *name, struct strbuf *error)
{
    char directory[6];
    memcpy(directory, name, 5);
    directory[5] = '\0';
    int home = open_directory(store->root, directory);
    if (home >= 0 && fsync(home) == 0) {
        close(home);
        return BLOB_OK;
    }
    enum blob_outcome outcome = fault(error, store, "sync the directory of", name);
    if (home >= 0)
        close(home);
    return outcome;
}

static void aside_name(const unsigned char sha256[DIGEST_SIZE], char name_r[NAME_SIZE])
{
    memcpy(name_r, "aside-", 6);
    hex_encode(sha256, DIGEST_SIZE, name_r + 6);
}

/* Synced, else a crash could bring the file back after its row has gone, and nobody would ever find it. */
enum blob_outcome blob_store_take_aside(struct blob_store *store, const unsigned char sha256[DIGEST_SIZE],
                                        struct strbuf *error)
{
    char name[NAME_SIZE], aside[NAME_SIZE];
    blob_name(sha256, name);
    aside_name(sha256, aside);
    if (renameat(store->root, name, store->tmp, aside) != 0)
        return errno == ENOENT ? BLOB_OK : fault(error, store, "take aside", name);
    (void)utimensat(store->tmp, aside, NULL, 0); /* young: no sweep of another host takes it for a left-over */
    return sync_home(store, name, error);
}

void blob_store_drop_aside(struct blob_store *store, const unsigned char sha256[DIGEST_SIZE])
{
    char aside[NAME_SIZE];
    aside_name(sha256, aside);
    (void)unlinkat(store->tmp, aside, 0); /* what stays is a left-over of the sweep's */
}

enum blob_outcome blob_store_put_back(struct blob_store *store, const unsigned char sha256[DIGEST_SIZE],
                                      struct strbuf *error)
{
    char name[NAME_SIZE], aside[NAME_SIZE];
    blob_name(sha256, name);
    aside_name(sha256, aside);
    if (renameat2(store->tmp, aside, store->root, name, RENAME_NOREPLACE) == 0)
        return sync_home(store, name, error);
    if (errno == EEXIST)
        blob_store_drop_aside(store, sha256);
    else if (errno != ENOENT)
        return fault(error, store, "put back", name);
    return BLOB_OK;
}

static bool sweep_one(struct blob_store *store, const char *name, time_t before)
{
    struct stat st;
    bool removed = false;
    int fd = openat(store->tmp, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_mtime < before && flock(fd, LOCK_EX | LOCK_NB) == 0)
        removed = unlinkat(store->tmp, name, 0) == 0;
    close(fd);
    return removed;
}

unsigned blob_store_sweep(struct blob_store *store, int64_t age_ms)
{
    const struct dirent *entry;
    time_t before = time(NULL) - (time_t)(age_ms / 1000);
    unsigned removed = 0;
    int fd = open_directory(store->tmp, ".");
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] != '.')
            removed += sweep_one(store, entry->d_name, before);
    }
    closedir(directory);
    return removed;
}

bool blob_store_writable(struct blob_store *store)
{
    struct blob_temp temp;
    if (blob_store_begin(store, &temp, NULL) != BLOB_OK)
        return false;
    bool written = file_write_all(temp.fd, "verstak", 7);
    blob_store_drop(store, &temp);
    return written;
}

int64_t blob_store_free_bytes(struct blob_store *store)
{
    struct statvfs st;
    if (fstatvfs(store->root, &st) != 0)
        return 0;
    return (int64_t)st.f_bavail * (int64_t)st.f_frsize;
}
