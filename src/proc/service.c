/*
 * service: runs in mailer and janitor.
 */
#include "proc/service.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>

#include "core/clock.h"
#include "core/log.h"
#include "proc/heritage.h"
#include "proc/signals.h"

bool service_begin(struct service *service, struct heritage *heritage, struct strbuf *error)
{
    *service = (struct service){.heritage = heritage};
    service->signals = signals_open(error);
    return service->signals >= 0;
}

static void service_signals(struct service *service)
{
    struct strbuf error = STRBUF_INIT;
    for (int number; (number = signals_next(service->signals));) {
        if (number == SIGTERM || number == SIGINT || number == SIGQUIT)
            service->leaving = true;
        else if (number == SIGUSR1 && !log_reopen(&error))
            log_error("%s", error.data);
    }
    strbuf_release(&error);
}

static int service_timeout(uint64_t deadline)
{
    uint64_t now = clock_mono_ms();
    if (deadline == UINT64_MAX)
        return -1;
    if (deadline <= now)
        return 0;
    return deadline - now > 3600000 ? 3600000 : (int)(deadline - now);
}

enum service_event service_wait(struct service *service, uint64_t ms, int fd)
{
    uint64_t now = clock_mono_ms();
    uint64_t deadline = ms > UINT64_MAX - now ? UINT64_MAX : now + ms;
    /* Said between two steps: the signal was taken then and wakes no poll. */
    if (service->leaving)
        return SERVICE_LEAVE;
    for (;;) {
        struct pollfd fds[] = {
            {.fd = service->signals, .events = POLLIN},
            {.fd = service->heritage->master, .events = POLLIN},
            {.fd = fd, .events = POLLIN}, /* poll(2) skips a negative one */
        };
        int n = poll(fds, ARRAY_SIZE(fds), service_timeout(deadline));
        if (n > 0 && fds[0].revents)
            service_signals(service);
        if (n > 0 && fds[1].revents) {
            log_warning("the master is gone: leaving");
            service->leaving = true;
        }
        if (service->leaving)
            return SERVICE_LEAVE;
        if (n > 0 && fds[2].revents)
            return SERVICE_INPUT;
        if (clock_mono_ms() >= deadline)
            return SERVICE_TIME;
    }
}

bool service_leaving(struct service *service)
{
    return service->leaving || service_wait(service, 0, -1) == SERVICE_LEAVE;
}
