/*
 * daemon: called by the master.
 */
#include "proc/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "proc/signals.h"

#define DAEMON_WAIT_MS 60000

static int daemon_status = -1; /* write end; the starting process reads "ready" or the end of file */

/* In the starting process: the exit status of --daemon. */
static NORETURN void daemon_wait(int status, pid_t pid)
{
    struct pollfd poll_fd = {.fd = status, .events = POLLIN};
    char byte;
    int n;
    do
        n = poll(&poll_fd, 1, DAEMON_WAIT_MS);
    while (n < 0 && errno == EINTR);
    if (n == 0) {
        fprintf(stderr, "verstak-sync-server: started as process %ld, not ready yet; see its log\n", (long)pid);
        _exit(0);
    }
    if (read(status, &byte, 1) == 1)
        _exit(0);
    int ended;
    if (waitpid(pid, &ended, 0) == pid && WIFEXITED(ended) && WEXITSTATUS(ended))
        _exit(WEXITSTATUS(ended));
    _exit(1);
}

bool daemon_begin(struct strbuf *error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return strbuf_error(error, "cannot make a pipe: %s", strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return strbuf_error(error, "cannot go into the background: %s", strerror(errno));
    if (pid > 0) {
        signals_reset_for_exec(); /* Ctrl-C ends the waiting */
        close(ends[1]);
        daemon_wait(ends[0], pid);
    }
    close(ends[0]);
    setsid();
    daemon_status = ends[1];
    return true;
}

void daemon_ready(void)
{
    if (daemon_status < 0)
        return;
    (void)!write(daemon_status, "r", 1);
    close(daemon_status);
    daemon_status = -1;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (null < 0)
        return;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    /* What a library prints goes where people look; with the log on stderr that stays where the start sent it. */
    struct stat log_st;
    bool is_file = log_fd() > STDERR_FILENO && fstat(log_fd(), &log_st) == 0 && !S_ISSOCK(log_st.st_mode);
    if (log_fd() != STDERR_FILENO)
        dup2(is_file ? log_fd() : null, STDERR_FILENO);
    close(null);
}

bool daemon_write_pid_file(const char *path, struct strbuf *error)
{
    char *temporary = mem_printf("%s.new", path);
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool written = fd >= 0 && fchmod(fd, 0644) == 0 && dprintf(fd, "%ld\n", (long)getpid()) > 0;
    if (fd >= 0)
        written = close(fd) == 0 && written;
    if (!written || rename(temporary, path) < 0)
        written = strbuf_error(error, "cannot write the pid file '%s': %s", path, strerror(errno));
    free(temporary);
    return written;
}

void daemon_remove_pid_file(const char *path)
{
    FILE *file = fopen(path, "re");
    char line[32];
    if (!file)
        return;
    bool ours = fgets(line, sizeof(line), file) && strtol(line, NULL, 10) == (long)getpid();
    fclose(file);
    if (ours && unlink(path) < 0)
        log_debug("cannot remove the pid file '%s': %s", path, strerror(errno));
}
