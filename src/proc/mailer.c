/*
 * mailer: main of the process of e-mail. The work is that of mail/dispatch.c; here are its end and the waiting: for
 * signals, the master's death, the database's notifications, and the threads that speak SMTP.
 */
#include "proc/mailer.h"

#include <poll.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/log.h"
#include "mail/dispatch.h"
#include "proc/heritage.h"
#include "proc/service.h"

#define MAILER_LAST_MS 2000 /* of server.shutdown_timeout for breaking mails off and writing that down */
#define MAILER_STEP_MS 50

/*
 * What is under way may end: a mail that is broken off while the server looks at it is sent again. What is not begun is
 * given back at once.
 */
static void mailer_leave(struct dispatch *dispatch, int64_t timeout)
{
    uint64_t now = clock_mono_ms(), grace = timeout > MAILER_LAST_MS ? (uint64_t)timeout - MAILER_LAST_MS : 0;
    uint64_t last = now + grace, end = last + MAILER_LAST_MS;
    struct pollfd fd = {.fd = dispatch_fd(dispatch), .events = POLLIN};
    while (!dispatch_leave(dispatch, now >= last) && now < end) {
        poll(&fd, 1, MAILER_STEP_MS);
        now = clock_mono_ms();
    }
}

int mailer_main(struct heritage *heritage)
{
    struct strbuf error = STRBUF_INIT;
    struct service service;
    struct dispatch *dispatch = NULL;
    if (service_begin(&service, heritage, &error))
        dispatch = dispatch_new(heritage->config, &error);
    if (!dispatch) {
        log_error("%s", error.data);
        return EXIT_FAILURE;
    }
    heritage_ready(heritage);
    uint64_t wait;
    do
        wait = dispatch_turn(dispatch);
    while (service_wait(&service, wait, dispatch_fd(dispatch)) != SERVICE_LEAVE);
    mailer_leave(dispatch, heritage->config->server_shutdown_timeout);
    dispatch_free(&dispatch);
    return EXIT_SUCCESS;
}
