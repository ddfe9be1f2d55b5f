/*
 * title: what ps shows for a process: "verstak-sync-server: worker 1" in place of the command line, and
 * "verstak-worker" as its short name. The space is that of argv and the environment, as setproctitle(3) of the BSDs
 * uses it.
 */
#ifndef PROC_TITLE_H
#define PROC_TITLE_H

#include "core/compiler.h"

/* First thing in main(): moves the environment to the heap, which also takes its secrets out of /proc/PID/environ. argv
 * stays readable until title_set(). */
void title_init(int argc, char **argv);
/* kind: "worker", for the short name; format: "worker 1". Cut where the space ends. Before title_init() it does
 * nothing. */
void title_set(const char *kind, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
