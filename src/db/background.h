/*
 * background: a detached thread for one blocking call of libc or libpq that cannot be broken off. It owns its argument;
 * nobody waits for it, and the process may leave while it runs.
 */
#ifndef DB_BACKGROUND_H
#define DB_BACKGROUND_H

#include "core/compiler.h"

/* 0, or an errno: then `run` is not called. The thread has all signals blocked. */
int background_start(void *(*run)(void *), void *arg) WARN_UNUSED;

#endif
