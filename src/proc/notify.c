/*
 * notify: sd_notify(3) through libsystemd. Called by the master only.
 */
#include "proc/notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "core/clock.h"

#ifdef HAVE_LIBSYSTEMD
#include <systemd/sd-daemon.h>

static void notify_send(const char *state)
{
    sd_notify(0, state);
}
#else
static void notify_send(const char *state)
{
    (void)state;
}
#endif

void notify_ready(const char *status)
{
    char state[256];
    snprintf(state, sizeof(state), "READY=1\nMAINPID=%ld\nSTATUS=%s", (long)getpid(), status);
    notify_send(state);
}

void notify_reloading(void)
{
    char state[128];
    snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading",
             (unsigned long long)clock_mono_us());
    notify_send(state);
}

void notify_stopping(void)
{
    notify_send("STOPPING=1\nSTATUS=stopping");
}

void notify_status(const char *format, ...)
{
    char status[200], state[256];
    va_list args;
    va_start(args, format);
    vsnprintf(status, sizeof(status), format, args);
    va_end(args);
    snprintf(state, sizeof(state), "STATUS=%s", status);
    notify_send(state);
}
