/*
 * work_pool: threads of a worker process for what would block its loop. Two queues under one lock: works that wait for
 * a thread and works that wait for the loop; an eventfd wakes the loop for the second.
 */
#include "core/work_pool.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"

struct work_queue {
    struct work *first, **last; /* last: where the next one is hung in */
};

struct work_pool {
    pthread_mutex_t lock;
    pthread_cond_t wake; /* a work waits, or the pool ends */
    struct work_queue waiting, finished;
    unsigned waiting_count, running, limit;
    bool ending;
    int fd; /* eventfd: the finished queue is not empty */
    int nice;
    unsigned thread_count;
    pthread_t threads[];
};

static void work_queue_init(struct work_queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}

static void work_queue_put(struct work_queue *q, struct work *work)
{
    work->next = NULL;
    *q->last = work;
    q->last = &work->next;
}

static struct work *work_queue_take(struct work_queue *q)
{
    struct work *work = q->first;
    if (!work)
        return NULL;
    q->first = work->next;
    if (!q->first)
        q->last = &q->first;
    return work;
}

static bool work_queue_remove(struct work_queue *q, const struct work *work)
{
    struct work **at = &q->first;
    while (*at && *at != work)
        at = &(*at)->next;
    if (!*at)
        return false;
    *at = work->next;
    if (!*at)
        q->last = at;
    return true;
}

/* An eventfd's counter does not fill up: the loop is woken once for the first work of an empty queue. */
static void work_pool_finish(struct work_pool *pool, struct work *work)
{
    bool first = !pool->finished.first;
    work_queue_put(&pool->finished, work);
    uint64_t one = 1;
    if (first && write(pool->fd, &one, sizeof(one)) < 0)
        log_error("cannot wake the loop: %s", strerror(errno));
}

static void *work_pool_thread(void *arg)
{
    struct work_pool *pool = arg;
    /* On Linux the priority is the thread's own. Without it the work is done all the same. */
    if (pool->nice && setpriority(PRIO_PROCESS, (id_t)gettid(), pool->nice) < 0)
        log_warning("cannot lower a thread's priority: %s", strerror(errno));
    pthread_mutex_lock(&pool->lock);
    while (!pool->ending) {
        struct work *work = work_queue_take(&pool->waiting);
        if (!work) {
            pthread_cond_wait(&pool->wake, &pool->lock);
            continue;
        }
        pool->waiting_count--;
        pool->running++;
        pthread_mutex_unlock(&pool->lock);
        work->run(work);
        pthread_mutex_lock(&pool->lock);
        pool->running--;
        work_pool_finish(pool, work);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void work_pool_require(int error, const char *what)
{
    if (!error)
        return;
    log_error("cannot make %s: %s", what, strerror(error));
    _exit(EX_OSERR);
}

struct work_pool *work_pool_new(const char *name, unsigned threads, unsigned queue_limit, int nice)
{
    struct work_pool *pool = mem_zalloc(sizeof(*pool) + threads * sizeof(pool->threads[0]));
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    work_queue_init(&pool->waiting);
    work_queue_init(&pool->finished);
    pool->limit = queue_limit;
    pool->nice = nice;
    pool->thread_count = threads;
    pool->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    work_pool_require(pool->fd < 0 ? errno : 0, "an eventfd");
    for (unsigned i = 0; i < threads; i++)
        work_pool_require(thread_start(name, work_pool_thread, pool, &pool->threads[i]), "a thread");
    return pool;
}

void work_pool_free(struct work_pool **pool)
{
    struct work_pool *p = *pool;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->thread_count; i++)
        pthread_join(p->threads[i], NULL);
    close(p->fd);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p);
    *pool = NULL;
}

static bool work_pool_put(struct work_pool *pool, struct work *work, unsigned limit)
{
    pthread_mutex_lock(&pool->lock);
    bool taken = pool->waiting_count < limit;
    if (taken) {
        work_queue_put(&pool->waiting, work);
        pool->waiting_count++;
        pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    return taken;
}

bool work_pool_submit(struct work_pool *pool, struct work *work)
{
    return work_pool_put(pool, work, pool->limit);
}

void work_pool_add(struct work_pool *pool, struct work *work)
{
    (void)work_pool_put(pool, work, UINT_MAX);
}

void work_pool_skip(struct work_pool *pool, struct work *work)
{
    pthread_mutex_lock(&pool->lock);
    if (work_queue_remove(&pool->waiting, work)) {
        pool->waiting_count--;
        work_pool_finish(pool, work);
    }
    pthread_mutex_unlock(&pool->lock);
}

int work_pool_fd(const struct work_pool *pool)
{
    return pool->fd;
}

void work_pool_reap(struct work_pool *pool)
{
    uint64_t count;
    pthread_mutex_lock(&pool->lock);
    ssize_t n = read(pool->fd, &count, sizeof(count));
    (void)n; /* EAGAIN: called without need */
    struct work *work = pool->finished.first;
    work_queue_init(&pool->finished);
    pthread_mutex_unlock(&pool->lock);
    while (work) {
        struct work *next = work->next; /* done() may free it, or submit it again */
        work->done(work);
        work = next;
    }
}

unsigned work_pool_depth(const struct work_pool *pool)
{
    struct work_pool *p = (struct work_pool *)pool; /* only for the lock */
    pthread_mutex_lock(&p->lock);
    unsigned depth = p->waiting_count + p->running;
    pthread_mutex_unlock(&p->lock);
    return depth;
}
