/*
 * supervisor: keeps the children of child_kinds running. A generation is all children of one configuration; while a new
 * one starts, the old one serves, and it is retired when every child of the new one is ready.
 */
#ifndef PROC_SUPERVISOR_H
#define PROC_SUPERVISOR_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/compiler.h"
#include "core/strbuf.h"
#include "proc/child.h"

struct config;
struct supervisor;

enum supervisor_phase {
    SUPERVISOR_STARTING,  /* nothing serves yet */
    SUPERVISOR_READY,     /* one generation, all of it was ready */
    SUPERVISOR_REPLACING, /* an old generation serves while a new one starts */
    SUPERVISOR_REFUSED,   /* a child of the first generation exited with CHILD_EXIT_REFUSED: stop it */
    SUPERVISOR_STOPPING,
    SUPERVISOR_STOPPED, /* no child is left */
};

/* links: borrowed; a listener of -1 means that no worker is started any more. */
struct supervisor *supervisor_new(const struct child_links *links);
void supervisor_free(struct supervisor **supervisor);
/* Begins a generation with this configuration (owned from now on); one that was not ready yet is given up for it. */
void supervisor_begin(struct supervisor *supervisor, struct config *config);
/* The configuration of the generation that serves, else of the one that starts; NULL after an upgrade until the first
 * begin. */
const struct config *supervisor_config(const struct supervisor *supervisor);
enum supervisor_phase supervisor_phase(const struct supervisor *supervisor);

/* Appends the ready pipes to fds, which has room for `room`; returns how many. After poll() each readable one goes to
 * supervisor_readable(). */
size_t supervisor_poll(const struct supervisor *supervisor, struct pollfd *fds, size_t room);
void supervisor_readable(struct supervisor *supervisor, int fd);
/* waitpid() returned this process. False: it is none of ours (an orphan that process 1 inherits). */
bool supervisor_reaped(struct supervisor *supervisor, pid_t pid, int status);
/* Does what is due at this time; returns when it wants to be called again (clock_mono_ms()), UINT64_MAX when nothing is
 * timed. */
uint64_t supervisor_run(struct supervisor *supervisor, uint64_t now);

/* Stops all: first everything but what outlives a reload, then that. at_once: SIGKILL (postgres: SIGQUIT). */
void supervisor_stop(struct supervisor *supervisor, bool at_once);
/* To every process but those that outlive a reload. */
void supervisor_signal(const struct supervisor *supervisor, int number);

/* For an upgrade in place: the children as text lines, and the same back in the new binary, as a generation that
 * serves. */
void supervisor_export(const struct supervisor *supervisor, struct strbuf *lines);
bool supervisor_import(struct supervisor *supervisor, const char *line, struct strbuf *error) WARN_UNUSED;

#endif
