/*
 * heritage: everything that a child inherits from the master over fork. Every other descriptor is closed in the child,
 * so what is not named here is not there (standard input is /dev/null; standard output and error are the master's, and
 * so is the log's descriptor).
 */
#ifndef PROC_HERITAGE_H
#define PROC_HERITAGE_H

#include <stdbool.h>
#include <stdint.h>

struct config;
struct child_kind;

struct heritage {
    const struct config *config;   /* of this generation; read only */
    const struct child_kind *kind; /* what this child is */
    unsigned index;                /* which of its kind, from 0 */
    unsigned generation;           /* counts reloads and upgrades */
    uint64_t started;              /* clock_mono_ms() when the master started; reloads and upgrades keep it */
    int listener; /* bound and listening TCP socket, non-blocking; shared by all workers; -1 where the kind needs none
                   */
    int ready;    /* write end: heritage_ready() tells the master "I serve" */
    int master;   /* read end of a pipe whose write end only the master holds: end of file = the master died */
    int output;   /* write end of a pipe whose lines the master logs, for programs that know nothing of our log; else -1
                   */
};

/* Tells the master that this child is ready (once; closes heritage->ready). */
void heritage_ready(struct heritage *heritage);
/* True when the master is gone. */
bool heritage_orphaned(const struct heritage *heritage);
/* Right after fork: closes every descriptor but these, the log's and 0 to 2. */
void heritage_close_others(const struct heritage *heritage);

#endif
