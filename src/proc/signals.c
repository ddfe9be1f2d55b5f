/*
 * signals: used by the master, by mailer and janitor (proc/service.c), and in each child after fork.
 */
#include "proc/signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int signals_watched[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};

static void signals_mask(int how)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(signals_watched); i++)
        sigaddset(&set, signals_watched[i]);
    sigprocmask(how, &set, NULL);
}

int signals_open(struct strbuf *error)
{
    signals_mask(SIG_BLOCK);
    signal(SIGPIPE, SIG_IGN);
    /* nohup and some shells start us with these ignored: an ignored CHLD would make every child's end invisible. */
    for (size_t i = 0; i < ARRAY_SIZE(signals_watched); i++)
        signal(signals_watched[i], SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(signals_watched); i++)
        sigaddset(&set, signals_watched[i]);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        strbuf_error(error, "cannot make a signalfd: %s", strerror(errno));
    return fd;
}

int signals_next(int fd)
{
    struct signalfd_siginfo info;
    ssize_t n;
    do
        n = read(fd, &info, sizeof(info));
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

void signals_reset_in_child(void)
{
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    signals_mask(SIG_UNBLOCK);
}

void signals_reset_for_exec(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(signals_watched); i++)
        signal(signals_watched[i], SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    signals_mask(SIG_UNBLOCK);
}
