/* What the files of proc/supervisor*.c share. */
#ifndef PROC_SUPERVISOR_PRIVATE_H
#define PROC_SUPERVISOR_PRIVATE_H

#include "proc/supervisor.h"

struct generation {
    unsigned number; /* 0: there is none */
    struct config
        *config; /* NULL for one that came over an upgrade: its binary is gone, its children are not started again */
};

struct supervisor {
    const struct child_links *links;
    struct child *children; /* in the order of the table, older generations first */
    struct generation serving, starting;
    unsigned last_number;
    uint64_t stop_ms; /* server.shutdown_timeout of the newest configuration */
    bool refused, stopping;
};

/* Puts a child into the list, at its kind's place. */
void supervisor_add(struct supervisor *supervisor, struct child *child);
/* Asks it to leave; one without a process is removed. */
void supervisor_retire(struct supervisor *supervisor, struct child *child);

#endif
