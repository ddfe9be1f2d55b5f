/*
 * master: the loop. Signals, ready pipes, ends of children and time come in here; proc/supervisor.c decides about
 * children, proc/start.c made the start, proc/reload.c and proc/upgrade.c know how configuration and program are
 * replaced.
 */
#include "proc/master.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/version.h"
#include "proc/daemon.h"
#include "proc/handover.h"
#include "proc/listener.h"
#include "proc/notify.h"
#include "proc/output.h"
#include "proc/reload.h"
#include "proc/signals.h"
#include "proc/start.h"
#include "proc/supervisor.h"
#include "proc/title.h"
#include "proc/upgrade.h"

#define MASTER_POLL_FDS 512 /* ready pipes beyond it wait for the next turn */

struct master {
    struct config_flags *flags;
    struct supervisor *supervisor;
    struct child_links links;
    struct output output;
    struct upgrade upgrade;
    enum supervisor_phase phase; /* as of the last turn */
    int signals;
    int lock;
    int alive; /* write end of the pipe whose end of file tells the children that the master died */
    char *pid_file;
    int status;
};

static void master_stop(struct master *m, bool at_once)
{
    enum supervisor_phase phase = supervisor_phase(m->supervisor);
    at_once = at_once || phase == SUPERVISOR_STOPPING;
    log_info(at_once ? "stopping at once" : "stopping: no new connections, what is in flight is finished");
    notify_stopping();
    if (m->links.listener >= 0)
        close(m->links.listener);
    m->links.listener = -1;
    if (m->upgrade.pid)
        kill(m->upgrade.pid, SIGKILL);
    supervisor_stop(m->supervisor, at_once);
}

static void master_reload(struct master *m)
{
    struct strbuf error = STRBUF_INIT;
    notify_reloading();
    struct config *config = reload_config(m->flags, supervisor_config(m->supervisor), &error);
    if (config && !start_open_log(config, &error))
        config_free(&config);
    if (config) {
        log_info("configuration read again; starting new processes with it");
        supervisor_begin(m->supervisor, config);
        m->phase = SUPERVISOR_REPLACING;
    } else {
        log_error("configuration refused, the old one stays: %s", error.data);
        if (m->phase == SUPERVISOR_READY)
            notify_ready("ready; the last reload was refused");
    }
    strbuf_release(&error);
}

static void master_reopen_log(struct master *m)
{
    struct strbuf error = STRBUF_INIT;
    if (log_reopen(&error))
        log_info("log reopened");
    else
        log_error("%s", error.data);
    strbuf_release(&error);
    supervisor_signal(m->supervisor, SIGUSR1);
}

static void master_upgrade(struct master *m)
{
    struct strbuf error = STRBUF_INIT;
    if (m->upgrade.pid)
        log_warning("an upgrade is under way already");
    else if (upgrade_check(&m->upgrade, m->flags, &error))
        log_info("upgrade: checking the new program");
    else
        log_error("upgrade given up: %s", error.data);
    strbuf_release(&error);
}

static struct handover master_handover(const struct master *m)
{
    struct handover handover = {
        .fds =
            {
                [HANDOVER_LISTENER] = m->links.listener,
                [HANDOVER_LOCK] = m->lock,
                [HANDOVER_MASTER_READ] = m->links.master,
                [HANDOVER_MASTER_WRITE] = m->alive,
                [HANDOVER_OUTPUT_READ] = m->output.read,
                [HANDOVER_OUTPUT_WRITE] = m->output.write,
            },
        .children = STRBUF_INIT,
        .kept = STRBUF_INIT,
        .started = m->links.started,
    };
    supervisor_export(m->supervisor, &handover.children);
    reload_export(supervisor_config(m->supervisor), &handover.kept);
    return handover;
}

/* The check of the new program has ended. Returns only when this program goes on. */
static void master_upgrade_checked(struct master *m, int status)
{
    struct strbuf error = STRBUF_INIT;
    if (upgrade_checked(&m->upgrade, status, &error) && m->links.listener >= 0) {
        struct handover handover = master_handover(m);
        notify_reloading();
        log_info("upgrade: the new program takes over");
        upgrade_exec(m->flags, &handover, &error);
        strbuf_release(&handover.children);
        strbuf_release(&handover.kept);
    }
    log_error("upgrade given up, version %s goes on: %s", VERSION_TEXT, error.data);
    if (m->phase == SUPERVISOR_READY)
        notify_ready("ready; the last upgrade was refused");
    strbuf_release(&error);
}

static void master_reap(struct master *m)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == m->upgrade.pid)
            master_upgrade_checked(m, status);
        else if (!supervisor_reaped(m->supervisor, pid, status))
            log_debug("orphan %ld ended", (long)pid);
    }
}

static void master_signal(struct master *m, int number)
{
    bool stopping = supervisor_phase(m->supervisor) >= SUPERVISOR_STOPPING;
    switch (number) {
    case SIGTERM:
    case SIGINT:
        master_stop(m, false);
        break;
    case SIGQUIT:
        master_stop(m, true);
        break;
    case SIGCHLD:
        master_reap(m);
        break;
    case SIGUSR1:
        master_reopen_log(m);
        break;
    case SIGHUP:
        if (!stopping)
            master_reload(m);
        break;
    case SIGUSR2:
        if (!stopping)
            master_upgrade(m);
        break;
    default:
        break;
    }
}

/* Says what changed since the last turn. */
static void master_note_phase(struct master *m)
{
    enum supervisor_phase phase = supervisor_phase(m->supervisor);
    if (phase == SUPERVISOR_REFUSED) {
        m->status = MASTER_EXIT_REFUSED;
        log_error("the server cannot start; see above");
        master_stop(m, false);
    } else if (phase == SUPERVISOR_READY && m->phase != SUPERVISOR_READY) {
        log_info("ready");
        notify_ready("ready");
        daemon_ready();
    }
    m->phase = supervisor_phase(m->supervisor);
}

static int master_timeout(const struct master *m, uint64_t now, uint64_t next)
{
    if (m->upgrade.pid && m->upgrade.deadline < next)
        next = m->upgrade.deadline;
    if (next == UINT64_MAX)
        return -1;
    uint64_t ms = next > now ? next - now : 0;
    return ms > 3600000 ? 3600000 : (int)ms;
}

static void master_wait(struct master *m, int timeout)
{
    struct pollfd fds[MASTER_POLL_FDS];
    fds[0] = (struct pollfd){.fd = m->signals, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = m->output.read, .events = POLLIN};
    size_t count = 2 + supervisor_poll(m->supervisor, fds + 2, MASTER_POLL_FDS - 2);
    if (poll(fds, count, timeout) <= 0)
        return;
    if (fds[1].revents)
        output_readable(&m->output);
    for (size_t i = 2; i < count; i++) {
        if (fds[i].revents)
            supervisor_readable(m->supervisor, fds[i].fd);
    }
    if (fds[0].revents) {
        for (int number; (number = signals_next(m->signals));)
            master_signal(m, number);
    }
}

static void master_loop(struct master *m)
{
    master_reap(m); /* what ended while one program replaced the other */
    while (supervisor_phase(m->supervisor) != SUPERVISOR_STOPPED) {
        uint64_t now = clock_mono_ms();
        uint64_t next = supervisor_run(m->supervisor, now);
        upgrade_check_time(&m->upgrade, now);
        master_note_phase(m);
        master_wait(m, master_timeout(m, now, next));
    }
}

static bool master_open_pipes(struct master *m, struct strbuf *error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return strbuf_error(error, "cannot make a pipe: %s", strerror(errno));
    m->links.master = ends[0];
    m->alive = ends[1];
    if (!output_open(&m->output, error))
        return false;
    m->links.output = m->output.write;
    return true;
}

/* A start from nothing. */
static int master_begin(struct master *m, struct strbuf *error)
{
    struct start start;
    char name[LISTENER_NAME_SIZE];
    int status = start_prepare(m->flags, &start);
    if (status)
        return status;
    m->lock = start.lock;
    m->links.listener = start.listener;
    m->links.started = clock_mono_ms();
    if (!master_open_pipes(m, error))
        return start_failed(MASTER_EXIT_FAILED, error);
    m->supervisor = supervisor_new(&m->links);
    m->pid_file = mem_strdup(start.config->server_pid_file);
    listener_name(start.listener, name);
    log_info("listening on %s", name);
    notify_status("listening on %s, starting", name);
    supervisor_begin(m->supervisor, start.config);
    return 0;
}

static bool master_import(struct master *m, struct handover *handover, struct strbuf *error)
{
    m->links = (struct child_links){
        .listener = handover->fds[HANDOVER_LISTENER],
        .master = handover->fds[HANDOVER_MASTER_READ],
        .output = handover->fds[HANDOVER_OUTPUT_WRITE],
        .started = handover->started ? handover->started : clock_mono_ms(),
    };
    m->lock = handover->fds[HANDOVER_LOCK];
    m->alive = handover->fds[HANDOVER_MASTER_WRITE];
    m->output =
        (struct output){.read = handover->fds[HANDOVER_OUTPUT_READ], .write = m->links.output, .line = STRBUF_INIT};
    m->supervisor = supervisor_new(&m->links);
    bool imported = true;
    for (char *line = strtok(handover->children.data, "\n"); imported && line; line = strtok(NULL, "\n"))
        imported = supervisor_import(m->supervisor, line, error);
    strbuf_release(&handover->children);
    return imported;
}

/* This program continues the process of another version. Whatever fails here ends the process; its children notice and
 * leave. */
static int master_take_over(struct master *m, struct strbuf *error)
{
    struct handover handover;
    umask(0077);
    struct config *config = config_load(m->flags, error);
    if (!config || !start_open_log(config, error) || !handover_take(&handover, error) ||
        !master_import(m, &handover, error))
        return start_failed(MASTER_EXIT_FAILED, error);
    log_info("verstak-sync-server %s (%s) takes over", VERSION_TEXT, VERSION_COMMIT);
    for (char *line = strtok(handover.kept.data, "\n"); line; line = strtok(NULL, "\n"))
        reload_import(config, line);
    strbuf_release(&handover.kept);
    m->pid_file = mem_strdup(config->server_pid_file);
    m->phase = SUPERVISOR_REPLACING;
    supervisor_begin(m->supervisor, config);
    return 0;
}

static int master_end(struct master *m)
{
    if (m->pid_file && *m->pid_file)
        daemon_remove_pid_file(m->pid_file);
    free(m->pid_file);
    supervisor_free(&m->supervisor);
    output_release(&m->output);
    close(m->signals);
    log_info("stopped");
    close(m->lock);
    return m->status;
}

int master_run(struct config_flags *flags, bool takes_over)
{
    struct strbuf error = STRBUF_INIT;
    struct master m = {.flags = flags, .lock = -1, .alive = -1, .links = {.listener = -1, .master = -1, .output = -1}};
    log_set_process("master");
    m.signals = signals_open(&error);
    int status = m.signals < 0 ? start_failed(MASTER_EXIT_FAILED, &error)
                 : takes_over  ? master_take_over(&m, &error)
                               : master_begin(&m, &error);
    strbuf_release(&error);
    if (status)
        return status;
    title_set("master", "master");
    master_loop(&m);
    return master_end(&m);
}
