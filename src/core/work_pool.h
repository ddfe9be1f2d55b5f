/*
 * work_pool: a few threads that do what must not block the event loop (password hashing, hashing and syncing of files).
 * Belongs to one worker process; made after fork. Knows nothing of libh2o: the loop watches work_pool_fd().
 */
#ifndef CORE_WORK_POOL_H
#define CORE_WORK_POOL_H

#include <stdbool.h>

#include "core/compiler.h"

struct work_pool;

/* Embedded in the caller's object, which stays valid until done() was called. */
struct work {
    void (*run)(struct work *work);  /* in a thread of the pool: touches nothing that the loop touches */
    void (*done)(struct work *work); /* on the loop's thread, from work_pool_reap(), exactly once */
    struct work *next;               /* the pool's */
};

/* nice: added to the threads' priority (0 to 19). Ends the process when threads cannot be made. */
struct work_pool *work_pool_new(const char *name, unsigned threads, unsigned queue_limit, int nice);
/*
 * Waits for what runs; drops what waits, and what finished and was not reaped, without calling done(). The works
 * themselves stay their owners'.
 */
void work_pool_free(struct work_pool **pool);
/* False when queue_limit works wait already: nothing was taken. Never runs done() before it returns. */
bool work_pool_submit(struct work_pool *pool, struct work *work) WARN_UNUSED;
/* The same for what must be done: takes it however many wait. The caller sees to it that they do not become many. */
void work_pool_add(struct work_pool *pool, struct work *work);
/* For a work that nobody needs any more: when no thread has begun with it, none will, and done() comes without run(). */
void work_pool_skip(struct work_pool *pool, struct work *work);
/* Readable while finished works wait for work_pool_reap(). The pool's: not to be closed. */
int work_pool_fd(const struct work_pool *pool);
void work_pool_reap(struct work_pool *pool);
/* Works that wait and run. */
unsigned work_pool_depth(const struct work_pool *pool);

#endif
