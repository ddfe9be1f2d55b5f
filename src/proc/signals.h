/*
 * signals: the master's signals (and those of children that block and poll) come through a signalfd, so that no handler
 * runs anywhere.
 */
#ifndef PROC_SIGNALS_H
#define PROC_SIGNALS_H

#include "core/compiler.h"
#include "core/strbuf.h"

/*
 * Blocks TERM, INT, QUIT, HUP, USR1, USR2 and CHLD and returns a non-blocking descriptor that tells of them; -1 with
 * the reason. Those that came before, during a replacement of the binary too, are not lost.
 */
int signals_open(struct strbuf *error) WARN_UNUSED;
/* The next signal, 0 when there is none. */
int signals_next(int fd);
/* In a child after fork: nothing blocked, TERM, INT and QUIT end it; HUP, USR1 and USR2, which it may get before it
 * listens to them, are ignored. */
void signals_reset_in_child(void);
/* The same for a program that is executed: everything at its default. */
void signals_reset_for_exec(void);

#endif
