/*
 * notify: tells the service manager (systemd, Type=notify) how the start, a reload and the stop go. Does nothing
 * elsewhere. Only the master speaks; children lose NOTIFY_SOCKET, since PostgreSQL would speak for itself.
 */
#ifndef PROC_NOTIFY_H
#define PROC_NOTIFY_H

#include "core/compiler.h"

void notify_ready(const char *status);
void notify_reloading(void);
void notify_stopping(void);
void notify_status(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
