/*
 * master: the process that everything belongs to. It opens the listener, drops privileges, keeps the children running
 * and obeys signals; it speaks no HTTP and no SQL, has no threads, and lives until it is told to stop.
 */
#ifndef PROC_MASTER_H
#define PROC_MASTER_H

#include <stdbool.h>

struct config_flags;

/* Exit statuses of the program. */
enum master_exit {
    MASTER_EXIT_STOPPED = 0, /* it was told to stop and did */
    MASTER_EXIT_FAILED = 1,  /* it could not start; the same start may succeed later */
    MASTER_EXIT_USAGE = 2,   /* command line or configuration are wrong */
    MASTER_EXIT_REFUSED = 3, /* a person has to do something first: another version's data, missing programs */
};

/* Runs the server. flags are completed (the data directory's real path). takes_over: this binary continues a master's
 * process. */
int master_run(struct config_flags *flags, bool takes_over);

#endif
