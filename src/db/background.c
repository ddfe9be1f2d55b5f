/* background: see the header. In workers; used by db/resolver.c and db/cancel.c. */
#include "db/background.h"

#include <pthread.h>
#include <signal.h>

int background_start(void *(*run)(void *), void *arg)
{
    /* signals are for the process's signalfd */
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int failed = pthread_create(&thread, &attributes, run, arg);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}
