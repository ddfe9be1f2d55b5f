/*
 * The log: one line an event, `2026-11-22T10:15:00.123Z level process[pid]: message`, written by one write(2),
 * so that lines of several processes never mix. Control bytes in a message are escaped, lines are cut at 4 KiB.
 * Never pass a token, a password or a connection string. Callable from any thread. A target that takes no line without
 * waiting (a full pipe) or at all (disk full) loses it; the number of lost lines is logged when it takes lines again.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"
#include "core/strbuf.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

/* target: "stderr", "syslog" or the path of a file (opened O_APPEND, mode 0640). Keeps the old target on failure. */
bool log_open(const char *target, enum log_level least, struct strbuf *error) WARN_UNUSED;
/* Opens the same target again (after logrotate), under the same descriptor. Keeps the old one on failure. */
bool log_reopen(struct strbuf *error) WARN_UNUSED;
/* Name of this process in each line, such as "worker 1"; copied. */
void log_set_process(const char *name);
/* Descriptor of the log file or of the socket to syslog, or 2. Children keep it over fork. */
int log_fd(void);

void log_debug(const char *format, ...) PRINTF_LIKE(1, 2);
void log_info(const char *format, ...) PRINTF_LIKE(1, 2);
void log_warning(const char *format, ...) PRINTF_LIKE(1, 2);
void log_error(const char *format, ...) PRINTF_LIKE(1, 2);

/*
 * Request lines are many: log_buffered() collects them (at the level info) and log_flush() writes what is collected;
 * the worker calls it at the end of each turn of its loop and when it leaves.
 */
void log_buffered(const char *format, ...) PRINTF_LIKE(1, 2);
void log_flush(void);

#endif
