/*
 * handover: what a master gives to the binary that replaces it in the same process (SIGUSR2): its descriptors and its
 * children. It travels in a memory file whose descriptor is named by the environment variable VERSTAK_HANDOVER. Lines
 * of words; unknown ones are skipped, so that an older and a newer version understand each other.
 */
#ifndef PROC_HANDOVER_H
#define PROC_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/compiler.h"
#include "core/strbuf.h"

/* What --check-config prints when it is asked by a master: the new file is a server that can take over. */
#define HANDOVER_ANSWER "ready for handover 1"

enum handover_start {
    HANDOVER_NONE,  /* a start like any other */
    HANDOVER_CHECK, /* --check-config before a handover */
    HANDOVER_TAKE,  /* this binary takes over */
};

enum handover_descriptor {
    HANDOVER_LISTENER,
    HANDOVER_LOCK,
    HANDOVER_MASTER_READ,
    HANDOVER_MASTER_WRITE,
    HANDOVER_OUTPUT_READ,
    HANDOVER_OUTPUT_WRITE,
    HANDOVER_DESCRIPTORS,
};

struct handover {
    int fds[HANDOVER_DESCRIPTORS];
    struct strbuf children; /* lines of supervisor_export() */
    struct strbuf kept;     /* lines of reload_export() */
    uint64_t started;       /* clock_mono_ms() of the master's start; 0: the former version did not say */
};

/* In the process that runs --check-config of the new file. */
void handover_announce_check(void);
/* Before exec: writes the memory file, names it in the environment and keeps all descriptors over exec.
 * handover_cancel() undoes that. */
bool handover_give(const struct handover *handover, struct strbuf *error) WARN_UNUSED;
void handover_cancel(const struct handover *handover);

/* At the start of main(): how is this process started? Takes the variable out of the environment. */
enum handover_start handover_begin(void);
/* After HANDOVER_TAKE, once. children and kept of *handover_r: the caller releases. */
bool handover_take(struct handover *handover_r, struct strbuf *error) WARN_UNUSED;

#endif
