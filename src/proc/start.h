/*
 * start: what the master does once, in this order: configuration, user, background, log, data directory and lock,
 * admin, listener, pid file, drop of privileges, look at the private cluster. Everything that can be wrong with a start
 * is said here, before a child runs.
 */
#ifndef PROC_START_H
#define PROC_START_H

#include <stdbool.h>

#include "core/compiler.h"
#include "core/log.h"

struct config;
struct config_flags;

struct start {
    struct config *config;
    int lock;
    int listener;
};

/* Returns 0, or the exit status of the program (proc/master.h) after it told why. */
int start_prepare(struct config_flags *flags, struct start *start_r) WARN_UNUSED;
/* Opens the log that the configuration names. */
bool start_open_log(const struct config *config, struct strbuf *error) WARN_UNUSED;
/* Tells a failure to whoever looks: in the log, and on standard error when the log is elsewhere. Returns status. */
int start_failed(int status, const struct strbuf *error);

#endif
