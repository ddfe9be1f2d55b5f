/*
 * data_dir: called by the master at its start and by the command line (proc/cluster_visit.c).
 */
#include "proc/data_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"

/* A server that is being stopped, or a child just forked, may hold the lock for a moment more. */
#define DATA_DIR_LOCK_WAIT_MS 500

/* What makes a directory one of ours; the first server makes "lock" before anything else. */
static const char *const data_dir_marks[] = {"lock", "config.yml", "postgres", "blobs"};

static bool data_dir_is_ours(int fd)
{
    for (size_t i = 0; i < ARRAY_SIZE(data_dir_marks); i++) {
        if (faccessat(fd, data_dir_marks[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            return true;
    }
    return false;
}

/* Empty but for the lost+found of a file system of its own. */
static bool data_dir_is_empty(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return false;
    bool empty = true;
    for (const struct dirent *entry; empty && (entry = readdir(dir));)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                strcmp(entry->d_name, "lost+found") == 0;
    closedir(dir);
    return empty;
}

static bool data_dir_claim(int fd, const char *path, const struct privileges *owner, struct strbuf *error)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return strbuf_error(error, "cannot look at '%s': %s", path, strerror(errno));
    if (!data_dir_is_ours(fd) && !data_dir_is_empty(path)) {
        if (access(path, R_OK | X_OK) < 0)
            return strbuf_error(error, "cannot read the data directory '%s': %s", path, strerror(errno));
        return strbuf_error(error,
                            "'%s' holds other files and is no data directory of this server; name an empty or a new "
                            "directory with --data",
                            path);
    }
    if (owner->drop && st.st_uid != owner->uid && fchown(fd, owner->uid, owner->gid) < 0)
        return strbuf_error(error, "cannot give '%s' to the user '%s': %s", path, owner->name, strerror(errno));
    if (!owner->drop && st.st_uid != owner->uid)
        return strbuf_error(error,
                            "the data directory '%s' belongs to another user (uid %ld); run the server as that user",
                            path, (long)st.st_uid);
    if ((st.st_mode & 07777) != 0700 && fchmod(fd, 0700) < 0)
        return strbuf_error(error, "cannot close '%s' to other users: %s", path, strerror(errno));
    return true;
}

/* mkdir -p: parents get the usual mode, the directory itself is for its owner only. */
static bool data_dir_make(const char *path, struct strbuf *error)
{
    char *copy = mem_strdup(path);
    bool made = true;
    for (char *slash = strchr(copy + 1, '/'); made && slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        made = mkdir(copy, 0755) == 0 || errno == EEXIST;
        if (!made)
            strbuf_error(error, "cannot make the directory '%s': %s", copy, strerror(errno));
        *slash = '/';
    }
    if (made && mkdir(path, 0700) < 0 && errno != EEXIST)
        made = strbuf_error(error, "cannot make the data directory '%s': %s", path, strerror(errno));
    free(copy);
    return made;
}

char *data_dir_prepare(const char *path, const struct privileges *owner, struct strbuf *error)
{
    struct stat st;
    if (stat(path, &st) < 0 && !data_dir_make(path, error))
        return NULL;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        strbuf_error(error, "cannot open the data directory '%s': %s", path, strerror(errno));
        return NULL;
    }
    bool claimed = data_dir_claim(fd, path, owner, error);
    close(fd);
    char *real = claimed ? realpath(path, NULL) : NULL;
    if (claimed && !real)
        strbuf_error(error, "cannot resolve '%s': %s", path, strerror(errno));
    return real;
}

static long data_dir_lock_holder(int fd)
{
    char text[32] = "";
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    return n > 0 ? strtol(text, NULL, 10) : 0;
}

static bool data_dir_try_lock(int fd)
{
    uint64_t deadline = clock_mono_ms() + DATA_DIR_LOCK_WAIT_MS;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK || clock_mono_ms() >= deadline)
            return false;
        usleep(20000);
    }
    return true;
}

/* A file of ours and no second name of somebody else's, which root would give away. */
static int data_dir_open_lock(const char *path, const struct privileges *owner)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1)) {
        close(fd);
        errno = EPERM;
        return -1;
    }
    if (fd >= 0 && owner->drop && fchown(fd, owner->uid, owner->gid) < 0) {
        int reason = errno;
        close(fd);
        errno = reason;
        return -1;
    }
    return fd;
}

int data_dir_lock(const char *data, const struct privileges *owner, bool *in_use_r, struct strbuf *error)
{
    char *path = mem_printf("%s/lock", data);
    *in_use_r = false;
    int fd = data_dir_open_lock(path, owner);
    if (fd < 0) {
        strbuf_error(error, "cannot open the lock file '%s': %s", path, strerror(errno));
    } else if (!data_dir_try_lock(fd)) {
        *in_use_r = errno == EWOULDBLOCK;
        strbuf_error(error,
                     "data directory '%s' is in use by process %ld; stop that server first, or name another directory "
                     "with --data",
                     data, data_dir_lock_holder(fd));
    } else {
        free(path);
        if (ftruncate(fd, 0) == 0)
            (void)!dprintf(fd, "%ld\n", (long)getpid());
        return fd;
    }
    if (fd >= 0)
        close(fd);
    free(path);
    return -1;
}

/* Names the directory on the way that this user cannot pass. */
static bool data_dir_reachable(const char *data, struct strbuf *error)
{
    char *copy = mem_strdup(data);
    bool reachable = true;
    for (char *slash = strchr(copy + 1, '/'); reachable && slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (access(copy, X_OK) < 0)
            reachable = strbuf_error(error,
                                     "user %ld cannot reach the data directory '%s': '%s' is closed to it; open it "
                                     "(chmod o+x) or name another directory with --data",
                                     (long)geteuid(), data, copy);
        *slash = '/';
    }
    free(copy);
    return reachable;
}

bool data_dir_usable(const char *data, struct strbuf *error)
{
    static const char *const parts[] = {"", "/postgres", "/run", "/blobs"};
    if (!data_dir_reachable(data, error))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        char *path = mem_printf("%s%s", data, parts[i]);
        bool writable = access(path, R_OK | W_OK | X_OK) == 0 || (errno == ENOENT && i > 0);
        if (!writable)
            strbuf_error(error, "cannot write to '%s' as user %ld: %s; give it to that user (chown -R %ld '%s')", path,
                         (long)geteuid(), strerror(errno), (long)geteuid(), data);
        free(path);
        if (!writable)
            return false;
    }
    return true;
}
