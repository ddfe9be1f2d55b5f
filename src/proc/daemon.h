/*
 * daemon: --daemon (the starting process returns when the server is ready, or with its exit status when it could not
 * start) and --pid-file.
 */
#ifndef PROC_DAEMON_H
#define PROC_DAEMON_H

#include <stdbool.h>

#include "core/compiler.h"
#include "core/strbuf.h"

/*
 * Goes into the background: returns in the new process only. The starting process waits for daemon_ready() or for the
 * end, 60 s at most, and exits. Standard error stays as it is until daemon_ready(), for the messages of a start that
 * fails.
 */
bool daemon_begin(struct strbuf *error) WARN_UNUSED;
/* Lets the starting process exit with 0, and lets go of the terminal: standard input, output and error become
 * /dev/null, or the log file. */
void daemon_ready(void);

/* Atomically; made by whoever starts the server, so that the server's user cannot change what root's scripts read. */
bool daemon_write_pid_file(const char *path, struct strbuf *error) WARN_UNUSED;
/* Best effort: after the drop of privileges the directory may not be ours. Only when it still names this process. */
void daemon_remove_pid_file(const char *path);

#endif
