/*
 * child: called by the supervisor. What runs after fork in the new process begins in child_run().
 */
#include "proc/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/log.h"
#include "core/mem.h"
#include "proc/heritage.h"
#include "proc/signals.h"
#include "proc/title.h"

#define CHILD_BACK_OFF_FIRST_MS 2000
#define CHILD_BACK_OFF_MOST_MS 60000
#define CHILD_KILL_MS 5000

struct child *child_new(const struct child_kind *kind, unsigned index, unsigned generation)
{
    struct child *child = mem_zalloc(sizeof(*child));
    child->kind = kind;
    child->index = index;
    child->generation = generation;
    child->ready = -1;
    return child;
}

static void child_close_ready(struct child *child)
{
    if (child->ready >= 0)
        close(child->ready);
    child->ready = -1;
}

void child_free(struct child **child)
{
    child_close_ready(*child);
    free(*child);
    *child = NULL;
}

void child_name(const struct child *child, char name_r[CHILD_NAME_SIZE])
{
    if (child->kind->several)
        snprintf(name_r, CHILD_NAME_SIZE, "%s %u", child->kind->name, child->index + 1);
    else
        snprintf(name_r, CHILD_NAME_SIZE, "%s", child->kind->name);
}

static void child_set_state(struct child *child, enum child_state state)
{
    static const char *const names[] = {"planned", "starting", "ready", "stopping", "done"};
    char name[CHILD_NAME_SIZE];
    child_name(child, name);
    log_debug("%s (process %ld, generation %u): %s -> %s", name, (long)child->pid, child->generation,
              names[child->state], names[state]);
    child->state = state;
}

static void child_take_null_input(void)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0)
        return;
    dup2(null, STDIN_FILENO);
    close(null);
}

/* The new process. A process group of its own: Ctrl-C in a terminal reaches the master, who stops everything in order.
 */
static NORETURN void child_run(const struct child *child, struct heritage heritage)
{
    char name[CHILD_NAME_SIZE];
    child_name(child, name);
    setpgid(0, 0);
    heritage_close_others(&heritage);
    child_take_null_input();
    title_set(child->kind->name, "%s", name);
    log_set_process(name);
    unsetenv("NOTIFY_SOCKET");
    signals_reset_in_child();
    int status = child->kind->main(&heritage);
    log_flush();
    exit(status);
}

static pid_t child_fork(const struct child *child, const struct config *config, const struct child_links *links,
                        int ready[2])
{
    struct heritage heritage = {
        .config = config,
        .kind = child->kind,
        .index = child->index,
        .generation = child->generation,
        .started = links->started,
        .listener = child->kind->listens ? links->listener : -1,
        .ready = ready[1],
        .master = links->master,
        .output = child->kind->is_ready ? links->output : -1,
    };
    fflush(NULL);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    child_run(child, heritage);
}

void child_start(struct child *child, const struct config *config, const struct child_links *links)
{
    char name[CHILD_NAME_SIZE];
    int ready[2];
    child_name(child, name);
    if (pipe2(ready, O_CLOEXEC | O_NONBLOCK) < 0) {
        log_error("cannot start %s: no pipe: %s; trying again in %u s", name, strerror(errno),
                  (unsigned)(child_back_off(child) / 1000));
        return;
    }
    child->pid = child_fork(child, config, links, ready);
    close(ready[1]);
    if (child->pid < 0) {
        child->pid = 0;
        close(ready[0]);
        log_error("cannot start %s: cannot fork: %s; trying again in %u s", name, strerror(errno),
                  (unsigned)(child_back_off(child) / 1000));
        return;
    }
    child->ready = ready[0];
    child->at = child->kind->ready_seconds ? clock_mono_ms() + child->kind->ready_seconds * UINT64_C(1000) : 0;
    child_set_state(child, CHILD_STARTING);
}

void child_stop(struct child *child, uint64_t ms)
{
    child->retired = true;
    child_close_ready(child);
    if (!child->pid || child->state == CHILD_STOPPING)
        return;
    kill(child->pid, child->kind->stop_signal);
    child->at = clock_mono_ms() + ms;
    child_set_state(child, CHILD_STOPPING);
}

void child_kill(struct child *child)
{
    kill(child->pid, child->killed ? SIGKILL : child->kind->last_signal);
    child->killed = true;
    child->at = clock_mono_ms() + CHILD_KILL_MS;
}

bool child_read_ready(struct child *child)
{
    char byte;
    ssize_t n = read(child->ready, &byte, 1);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    child_close_ready(child);
    return n == 1;
}

void child_set_ready(struct child *child)
{
    child_close_ready(child);
    child->failures = 0;
    child->at = 0;
    child_set_state(child, CHILD_READY);
}

void child_set_done(struct child *child)
{
    child_set_state(child, CHILD_DONE);
}

uint64_t child_back_off(struct child *child)
{
    uint64_t pause =
        child->failures < 5 ? (uint64_t)CHILD_BACK_OFF_FIRST_MS << child->failures : CHILD_BACK_OFF_MOST_MS;
    if (pause > CHILD_BACK_OFF_MOST_MS)
        pause = CHILD_BACK_OFF_MOST_MS;
    if (child->failures < 1000)
        child->failures++;
    child->at = clock_mono_ms() + pause;
    if (child->state != CHILD_PLANNED)
        child_set_state(child, CHILD_PLANNED);
    return pause;
}

void child_ended(struct child *child)
{
    child_close_ready(child);
    child->pid = 0;
    child->at = 0;
    child->killed = false;
}

void child_describe_end(int status, struct strbuf *words)
{
    if (WIFSIGNALED(status))
        strbuf_printf(words, "was killed by signal %d (%s)%s", WTERMSIG(status), strsignal(WTERMSIG(status)),
                      WCOREDUMP(status) ? ", core dumped" : "");
    else if (WIFEXITED(status) && WEXITSTATUS(status))
        strbuf_printf(words, "exited with status %d", WEXITSTATUS(status));
    else
        strbuf_append_str(words, "left");
}
