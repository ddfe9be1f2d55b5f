/*
 * cluster_earlier: what an earlier postmaster of the private cluster left: itself, on its way out after the master was
 * killed; its backends, after it was killed itself; its lock files, whose process id may be somebody else's after a
 * reboot. In the postgres child, before it execs.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "db/cluster_private.h"

#define EARLIER_WAIT_MS 60000
#define EARLIER_ORPHANS_MS \
    3000 /* backends notice within moments that their postmaster died, unless they are in a long statement */
#define EARLIER_PAUSE_US 50000

static pid_t earlier_read_pid(const struct cluster_paths *paths)
{
    long pid = 0;
    FILE *file = fopen(paths->pid_file, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%ld", &pid) != 1 || pid <= 0)
        pid = 0;
    fclose(file);
    return (pid_t)pid;
}

static bool earlier_runs_postgres(const char *pid)
{
    char *path = mem_printf("/proc/%s/exe", pid);
    char target[4096];
    ssize_t len = readlink(path, target, sizeof(target) - 1);
    free(path);
    if (len <= 0)
        return false;
    target[len] = '\0';
    const char *name = strrchr(target, '/');
    return name && strncmp(name, "/postgres", 9) == 0;
}

/* PostgreSQL's processes work in their data directory: a process that does not is none of it, whatever its number. */
static bool earlier_works_in(const char *pid, const struct stat *pgdata)
{
    struct stat st;
    char *path = mem_printf("/proc/%s/cwd", pid);
    bool there = stat(path, &st) == 0 && st.st_dev == pgdata->st_dev && st.st_ino == pgdata->st_ino;
    free(path);
    return there && earlier_runs_postgres(pid);
}

pid_t cluster_earlier_postmaster(const struct cluster_paths *paths)
{
    struct stat pgdata;
    char text[24];
    pid_t pid = earlier_read_pid(paths);
    if (!pid || stat(paths->pgdata, &pgdata) < 0)
        return 0;
    snprintf(text, sizeof(text), "%ld", (long)pid);
    return earlier_works_in(text, &pgdata) ? pid : 0;
}

/* Any process of the directory but ourselves; each is sent the signal unless it is 0. Returns one of them, 0: none. */
static pid_t earlier_process(const struct stat *pgdata, int number)
{
    pid_t found = 0;
    DIR *proc = opendir("/proc");
    for (const struct dirent *entry; proc && (entry = readdir(proc));) {
        if (!isdigit((unsigned char)entry->d_name[0]) || atol(entry->d_name) == (long)getpid() ||
            !earlier_works_in(entry->d_name, pgdata))
            continue;
        found = (pid_t)atol(entry->d_name);
        if (number)
            kill(found, number);
    }
    if (proc)
        closedir(proc);
    return found;
}

/*
 * The process id of a postmaster that was killed may be another process's by now. PostgreSQL would refuse to start for
 * it. Only the first line is changed, to our own id, which PostgreSQL overlooks: the rest of the file makes it check
 * whether the shared memory of the old postmaster is still used by somebody, and that check must stay.
 */
static bool earlier_disown(const struct cluster_paths *paths, struct strbuf *error)
{
    char data[4096];
    pid_t pid = earlier_read_pid(paths);
    if (!pid || pid == getpid() || (kill(pid, 0) < 0 && errno == ESRCH))
        return true;
    log_info("'%s' names process %ld, which is no PostgreSQL of this directory: left over from before a crash",
             paths->pid_file, (long)pid);
    FILE *file = fopen(paths->pid_file, "re");
    size_t len = file ? fread(data, 1, sizeof(data) - 1, file) : 0;
    if (file)
        fclose(file);
    data[len] = '\0';
    struct strbuf text = STRBUF_INIT;
    strbuf_printf(&text, "%ld%s", (long)getpid(), data + strcspn(data, "\n"));
    bool written = cluster_write_file(paths->pid_file, &text, error);
    strbuf_release(&text);
    return written;
}

/* The socket's lock file has a process id, too, but guards nothing that the data directory's does not. */
static void earlier_remove_socket(const struct cluster_paths *paths)
{
    char *lock = mem_printf("%s/.s.PGSQL.%d.lock", paths->run, CLUSTER_PORT);
    unlink(lock);
    free(lock);
}

bool cluster_earlier_wait(const struct cluster_paths *paths, struct strbuf *error)
{
    struct stat pgdata;
    if (stat(paths->pgdata, &pgdata) < 0)
        return strbuf_error(error, "cannot look at '%s': %s", paths->pgdata, strerror(errno));
    uint64_t begin = clock_mono_ms(), waited = 0;
    bool told = false;
    for (pid_t pid; (pid = earlier_process(&pgdata, 0)); waited = clock_mono_ms() - begin) {
        pid_t postmaster = cluster_earlier_postmaster(paths);
        if (waited >= EARLIER_WAIT_MS)
            return strbuf_error(
                error, "process %ld of an earlier PostgreSQL still uses '%s'; stop it with kill -INT %ld",
                (long)(postmaster ? postmaster : pid), paths->pgdata, (long)(postmaster ? postmaster : pid));
        if (!told)
            log_info("waiting for process %ld of an earlier PostgreSQL to end", (long)(postmaster ? postmaster : pid));
        told = true;
        /* Backends without a postmaster can do nothing any more but keep their shared memory. */
        if (!postmaster && waited >= EARLIER_ORPHANS_MS)
            earlier_process(&pgdata, SIGQUIT);
        usleep(EARLIER_PAUSE_US);
    }
    earlier_remove_socket(paths);
    return earlier_disown(paths, error);
}
