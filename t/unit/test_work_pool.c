/* core/work_pool.h: threads, bounds, and that nothing is lost or done twice */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/work_pool.h"
#include "tap.h"

struct job {
    struct work work;
    struct gate *gate;       /* run() waits for it */
    struct work_pool *again; /* done() submits itself here, so often */
    unsigned rounds;
    atomic_uint runs;
    unsigned dones;
    pthread_t thread;
    int nice;
    bool signals_blocked;
};

/* Holds threads of the pool until the test opens it, and lets the test wait until they stand before it. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned standing;
    bool open;
};

#define GATE_INIT                                                     \
    {                                                                 \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false \
    }

static void gate_pass(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->standing++;
    pthread_cond_broadcast(&g->changed);
    while (!g->open)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

static void gate_await(struct gate *g, unsigned standing)
{
    pthread_mutex_lock(&g->lock);
    while (g->standing < standing)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

static void gate_open(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static void job_run(struct work *work)
{
    struct job *job = (struct job *)work;
    sigset_t mask;
    if (job->gate)
        gate_pass(job->gate);
    job->thread = pthread_self();
    job->nice = getpriority(PRIO_PROCESS, (id_t)gettid());
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    job->signals_blocked = sigismember(&mask, SIGTERM) == 1;
    job->runs++;
}

static void job_done(struct work *work)
{
    struct job *job = (struct job *)work;
    job->dones++;
    if (job->again && job->dones < job->rounds && !work_pool_submit(job->again, work))
        ok(false, "a done work is submitted again");
}

static struct job *jobs_new(size_t count, struct gate *gate)
{
    struct job *jobs = mem_zalloc(count * sizeof(*jobs));
    for (size_t i = 0; i < count; i++)
        jobs[i] = (struct job){.work = {.run = job_run, .done = job_done}, .gate = gate};
    return jobs;
}

/* Reaps until the descriptor stays silent and `dones` works were done; fails the test after ten seconds. */
static void reap(struct work_pool *pool, const struct job *jobs, size_t count, unsigned dones)
{
    struct pollfd p = {.fd = work_pool_fd(pool), .events = POLLIN};
    for (;;) {
        unsigned sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += jobs[i].dones;
        if (sum >= dones)
            return;
        if (poll(&p, 1, 10000) != 1) {
            ok(false, "the descriptor becomes readable (%u of %u done)", sum, dones);
            return;
        }
        work_pool_reap(pool);
    }
}

static void test_many(void)
{
    enum { COUNT = 5000 };
    struct work_pool *pool = work_pool_new("a name that is too long", 4, COUNT, 3);
    struct job *jobs = jobs_new(COUNT, NULL);
    unsigned taken = 0, once = 0, elsewhere = 0, nice = 0, blocked = 0;
    for (int i = 0; i < COUNT; i++)
        taken += work_pool_submit(pool, &jobs[i].work);
    is_int(taken, COUNT, "as many as the queue holds are taken");
    reap(pool, jobs, COUNT, COUNT);
    for (int i = 0; i < COUNT; i++) {
        once += jobs[i].runs == 1 && jobs[i].dones == 1;
        elsewhere += !pthread_equal(jobs[i].thread, pthread_self());
        nice += jobs[i].nice == getpriority(PRIO_PROCESS, (id_t)gettid()) + 3;
        blocked += jobs[i].signals_blocked;
    }
    is_int(once, COUNT, "each runs once and is done once");
    is_int(elsewhere, COUNT, "none on this thread");
    is_int(nice, COUNT, "all with less priority");
    is_int(blocked, COUNT, "all with signals blocked");
    is_int(work_pool_depth(pool), 0, "nothing is left");
    work_pool_free(&pool);
    ok(!pool, "the pointer is cleared");
    work_pool_free(&pool);
    free(jobs);
}

static void test_bound(void)
{
    struct gate gate = GATE_INIT;
    struct work_pool *pool = work_pool_new("bound", 1, 2, 0);
    struct job *jobs = jobs_new(6, &gate);
    ok(work_pool_submit(pool, &jobs[0].work), "the first one is taken");
    gate_await(&gate, 1);
    ok(work_pool_submit(pool, &jobs[1].work) && work_pool_submit(pool, &jobs[2].work), "two wait while it runs");
    ok(!work_pool_submit(pool, &jobs[3].work), "a third is refused");
    is_int(work_pool_depth(pool), 3, "two wait and one runs");
    work_pool_add(pool, &jobs[5].work);
    is_int(work_pool_depth(pool), 4, "but for what must be done");
    work_pool_skip(pool, &jobs[2].work); /* from the middle */
    work_pool_skip(pool, &jobs[2].work);
    work_pool_skip(pool, &jobs[0].work); /* runs */
    is_int(work_pool_depth(pool), 3, "one of those that wait is not needed any more");
    work_pool_skip(pool, &jobs[5].work); /* the last one */
    work_pool_add(pool, &jobs[4].work);
    is_int(work_pool_depth(pool), 3, "the queue goes on behind it");
    is_int(jobs[0].dones, 0, "nothing is done before it is reaped");
    gate_open(&gate);
    reap(pool, jobs, 6, 5);
    ok(jobs[0].runs && jobs[1].runs && jobs[4].runs && !jobs[2].runs && !jobs[5].runs,
       "those that were needed have run");
    is_int(jobs[3].runs + jobs[3].dones, 0, "what was not taken is not run");
    ok(work_pool_submit(pool, &jobs[3].work), "then there is room again");
    reap(pool, jobs, 6, 6);
    work_pool_reap(pool);
    is_int(jobs[0].dones, 1, "reaping without need does nothing");
    work_pool_free(&pool);
    free(jobs);
}

static void test_again(void)
{
    struct work_pool *pool = work_pool_new("again", 2, 8, 0);
    struct job *jobs = jobs_new(2, NULL);
    for (int i = 0; i < 2; i++) {
        jobs[i].again = pool;
        jobs[i].rounds = 500;
        ok(work_pool_submit(pool, &jobs[i].work), "work %d is taken", i);
    }
    reap(pool, jobs, 2, 1000);
    ok(jobs[0].runs == 500 && jobs[1].runs == 500, "works that are submitted again when they are done");
    work_pool_free(&pool);
    free(jobs);
}

static void *free_pool(void *arg)
{
    struct work_pool *pool = arg;
    work_pool_free(&pool);
    return NULL;
}

/* What runs is waited for, what waits is dropped: neither is done. */
static void test_free(void)
{
    struct gate gate = GATE_INIT;
    struct work_pool *pool = work_pool_new("free", 1, 8, 0);
    struct job *jobs = jobs_new(3, &gate);
    pthread_t thread;
    unsigned taken = 0;
    for (int i = 0; i < 3; i++)
        taken += work_pool_submit(pool, &jobs[i].work);
    is_int(taken, 3, "three works");
    gate_await(&gate, 1);
    pthread_create(&thread, NULL, free_pool, pool);
    gate_open(&gate);
    pthread_join(thread, NULL);
    ok(jobs[0].runs == 1, "what runs is finished");
    is_int(jobs[0].dones + jobs[1].dones + jobs[2].dones, 0, "nothing is done any more");
    free(jobs);
}

int main(void)
{
    test_many();
    test_bound();
    test_again();
    test_free();
    return tap_done();
}
