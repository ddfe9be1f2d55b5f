/*
 * thread: starts a thread that takes no signals (those are the loop's: a thread that took one would run its handler
 * beside it). In workers and the mailer.
 */
#ifndef CORE_THREAD_H
#define CORE_THREAD_H

#include <pthread.h>

#include "core/compiler.h"

/*
 * 0, or an errno: then `run` is not called. The thread wants pthread_join(); its name is what `top -H` shows, 15
 * characters of it. With thread_r NULL nobody waits for it, it has no name of its own, and the process may leave while
 * it runs: for a blocking call of a library that cannot be broken off.
 */
int thread_start(const char *name, void *(*run)(void *), void *arg, pthread_t *thread_r) WARN_UNUSED;

#endif
