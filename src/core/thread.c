/* thread: see the header. */
#include "core/thread.h"

#include <signal.h>
#include <stdio.h>

#define NAME_SIZE 16 /* what the kernel keeps */

int thread_start(const char *name, void *(*run)(void *), void *arg, pthread_t *thread_r)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, thread_r == NULL ? PTHREAD_CREATE_DETACHED : PTHREAD_CREATE_JOINABLE);
    int failed = pthread_create(&thread, &attributes, run, arg);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0 || thread_r == NULL)
        return failed;
    char short_name[NAME_SIZE];
    snprintf(short_name, sizeof(short_name), "%s", name);
    (void)pthread_setname_np(thread, short_name);
    *thread_r = thread;
    return 0;
}
