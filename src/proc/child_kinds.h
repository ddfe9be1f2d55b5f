/*
 * child_kinds: THE table of what the master runs.
 */
#ifndef PROC_CHILD_KINDS_H
#define PROC_CHILD_KINDS_H

#include <stdbool.h>

struct config;
struct heritage;

enum child_restart {
    CHILD_ONCE,    /* runs to its end; exit status 0 = done, else started again with back-off; the kinds after it in the table wait for it */
    CHILD_ALWAYS,  /* started again with back-off whenever it ends */
};

struct child_kind {
    const char *name;                                /* in the log and in the process title */
    int (*main)(struct heritage *heritage);          /* runs in the child; its return value is the exit status */
    unsigned (*count)(const struct config *config);  /* how many; 0 = not with this configuration */
    enum child_restart restart;
    bool listens;                                    /* inherits the listener */
    bool outlives_reload;                            /* not replaced by SIGHUP and SIGUSR2 (postgres) */
    unsigned ready_seconds;                          /* killed when not ready by then */
    unsigned stop_seconds;                           /* SIGKILL that long after it was asked to stop; 0: server.shutdown_timeout */
    int stop_signal;                                 /* SIGTERM; SIGINT for postgres (fast shutdown) */
};

/* In starting order; stopped in the reverse order. Ends with an entry whose name is NULL. */
extern const struct child_kind child_kinds[];

#endif
