/*
 * upgrade: SIGUSR2. The file that the server was started from is asked first (--check-config) whether it is a server
 * that can take over with this configuration; then it replaces the master's program in place: same process, same
 * listener, same children.
 */
#ifndef PROC_UPGRADE_H
#define PROC_UPGRADE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/compiler.h"
#include "core/strbuf.h"
#include "proc/handover.h"

struct config_flags;

struct upgrade {
    pid_t pid;         /* of the check; 0: none runs */
    int output;        /* what it prints */
    uint64_t deadline; /* clock_mono_ms() */
};

/* First thing in main(): remembers which file this is, as an absolute path that a new version will be put at. */
void upgrade_remember_program(const char *argv0);
/* Starts the check. */
bool upgrade_check(struct upgrade *upgrade, const struct config_flags *flags, struct strbuf *error) WARN_UNUSED;
/* The check's process ended: true when the new file may take over, else what it said goes to error. */
bool upgrade_checked(struct upgrade *upgrade, int status, struct strbuf *error) WARN_UNUSED;
/* Kills a check that takes longer than its deadline. */
void upgrade_check_time(struct upgrade *upgrade, uint64_t now);
/* Becomes the new file. Returns only on failure; nothing has changed then. */
void upgrade_exec(const struct config_flags *flags, const struct handover *handover, struct strbuf *error);

#endif
