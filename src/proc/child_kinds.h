/*
 * child_kinds: THE table of what the master runs.
 */
#ifndef PROC_CHILD_KINDS_H
#define PROC_CHILD_KINDS_H

#include <stdbool.h>
#include <sys/types.h>

struct config;
struct heritage;

/*
 * Exit status of a child that cannot serve until a person did something (a newer schema, a cluster of another major
 * version): the start ends with it; a reload is given up. Any other failure is tried again with back-off.
 */
#define CHILD_EXIT_REFUSED 3

enum child_restart {
    CHILD_ONCE,   /* runs when the kinds before it are ready; the kinds after it wait until it exits with 0 */
    CHILD_ALWAYS, /* started again with back-off whenever it ends */
};

struct child_kind {
    const char *name;                               /* in the log and in the process title */
    int (*main)(struct heritage *heritage);         /* runs in the child; its return value is the exit status */
    unsigned (*count)(const struct config *config); /* how many; 0 = not with this configuration */
    /* For a program that knows nothing of heritage_ready(): asked by the master every 100 ms. NULL: the ready pipe
     * tells. */
    bool (*is_ready)(const struct config *config, pid_t pid);
    enum child_restart restart;
    bool several;           /* numbered from 1 in the log and in titles */
    bool listens;           /* inherits the listener */
    bool outlives_reload;   /* not replaced by SIGHUP and SIGUSR2, and stopped after all others (postgres) */
    unsigned ready_seconds; /* killed when not ready by then; 0: takes as long as it takes */
    unsigned
        stop_seconds; /* gets last_signal that long after it was asked to stop; 0: server.shutdown_timeout and 2 s */
    int stop_signal;  /* SIGTERM; SIGINT for postgres (fast shutdown) */
    int last_signal;  /* SIGKILL; SIGQUIT for postgres (immediate shutdown: its own children leave, too) */
};

/* In starting order; asked to stop in the reverse order. Ends with an entry whose name is NULL. */
extern const struct child_kind child_kinds[];

/* NULL when there is no such kind. */
const struct child_kind *child_kinds_find(const char *name);

#endif
