/*
 * child: one place in the supervisor's list: a process of some kind that should run, whether it does at the moment or
 * not.
 */
#ifndef PROC_CHILD_H
#define PROC_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/compiler.h"
#include "core/strbuf.h"
#include "proc/child_kinds.h"

struct config;

enum child_state {
    CHILD_PLANNED,  /* no process; starts when `at` has come and what it waits for is there */
    CHILD_STARTING, /* not ready yet; killed at `at` */
    CHILD_READY,
    CHILD_STOPPING, /* was asked to leave; gets last_signal at `at` */
    CHILD_DONE,     /* CHILD_ONCE, did its work */
};

/* What children inherit from the master; never closed by them here. */
struct child_links {
    int listener;     /* -1 once it is closed */
    int master;       /* read end of the master's pipe */
    int output;       /* where postgres writes what it has to say (proc/output.h) */
    uint64_t started; /* clock_mono_ms() of the master's start */
};

struct child {
    struct child *next;
    const struct child_kind *kind;
    unsigned index;
    unsigned generation;
    enum child_state state;
    pid_t pid;         /* 0 without a process */
    int ready;         /* read end of its ready pipe, -1 */
    uint64_t at;       /* clock_mono_ms(); 0: now (planned) or never */
    unsigned failures; /* in a row */
    bool retired;      /* not started again */
    bool killed;       /* last_signal was sent */
};

#define CHILD_NAME_SIZE 40

struct child *child_new(const struct child_kind *kind, unsigned index, unsigned generation);
void child_free(struct child **child);
/* "worker 1", "postgres". */
void child_name(const struct child *child, char name_r[CHILD_NAME_SIZE]);
/* Forks it: CHILD_STARTING, or planned again with back-off when that fails. Only the master returns. */
void child_start(struct child *child, const struct config *config, const struct child_links *links);
/* Asks it to leave; it has ms before it is killed. A planned child becomes retired at once. */
void child_stop(struct child *child, uint64_t ms);
/* Sends last_signal, and SIGKILL when called again; `at` is 5 s from now. */
void child_kill(struct child *child);
/* Its ready pipe is readable: true when it is ready now. */
bool child_read_ready(struct child *child);
void child_set_ready(struct child *child);
void child_set_done(struct child *child);
/* Plans the next start: 2 s after the first failure in a row, twice as long after each further one, 60 s at most.
 * Returns the pause in ms. */
uint64_t child_back_off(struct child *child);
/* Its process has ended: forgets it (the state stays). */
void child_ended(struct child *child);
/* "was killed by signal 9 (Killed)", "exited with status 1", "left". */
void child_describe_end(int status, struct strbuf *words);

#endif
