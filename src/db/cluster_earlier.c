/*
 * cluster_earlier: what an earlier postmaster of the private cluster left: itself, on its way out after the master was
 * killed; its backends, after it was killed itself; its lock files, whose process id may be somebody else's after a
 * reboot. In the postgres child, before it execs.
 */
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
#define EARLIER_SHMEM_LINE 7 /* of postmaster.pid; PostgreSQL, src/include/utils/pidfile.h */

static pid_t earlier_read_pid(const struct cluster_paths *paths)
{
    long pid = cluster_read_number(paths->pid_file);
    return pid > 0 ? (pid_t)pid : 0;
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
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10); /* 0 for what is no process */
        if (pid <= 0 || pid == getpid() || !earlier_works_in(entry->d_name, pgdata))
            continue;
        found = pid;
        if (number)
            kill(found, number);
    }
    if (proc)
        closedir(proc);
    return found;
}

/* The first lines of the file, without its own first one. */
static void earlier_read_rest(const char *path, int lines, struct strbuf *text)
{
    char line[1200];
    FILE *file = fopen(path, "re");
    for (int number = 1; file && number <= lines && fgets(line, sizeof(line), file); number++) {
        if (number > 1)
            strbuf_append_str(text, line);
    }
    if (file)
        fclose(file);
}

/*
 * The process id of a postmaster that was killed may be another process's by now. PostgreSQL would refuse to start for
 * it. Its line is changed to our own id, which PostgreSQL overlooks. The lines behind it, up to the key of the shared
 * memory, stay: they make PostgreSQL check whether somebody still uses the old postmaster's. Its state, in the line
 * after that one, must go: db_cluster_ready() would take it for ours.
 */
static bool earlier_disown(const struct cluster_paths *paths, struct strbuf *error)
{
    pid_t pid = earlier_read_pid(paths);
    if (!pid || (kill(pid, 0) < 0 && errno == ESRCH))
        return true;
    log_info("'%s' names process %ld, which is no PostgreSQL of this directory: left over from before a crash",
             paths->pid_file, (long)pid);
    struct strbuf text = STRBUF_INIT;
    strbuf_printf(&text, "%ld\n", (long)getpid());
    earlier_read_rest(paths->pid_file, EARLIER_SHMEM_LINE, &text);
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
