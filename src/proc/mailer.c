/*
 * mailer: main of the process of e-mail. The work is that of mail/dispatch.c; here are its end and the waiting: for
 * signals, the master's death, the database's notifications, and the threads that speak SMTP.
 */
#include "proc/mailer.h"

#include <poll.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/log.h"
#include "mail/dispatch.h"
#include "proc/heritage.h"
#include "proc/service.h"

#define MAILER_GRACE_MS 7000 /* for mails under way at the end; child_kinds.c gives three seconds more */
#define MAILER_LAST_MS 2000  /* for breaking them off and writing that down */
#define MAILER_STEP_MS 50

/* What is under way may end; what is not begun is given back at once. */
static void mailer_leave(struct dispatch *dispatch)
{
    uint64_t start = clock_mono_ms(), now = start;
    struct pollfd fd = {.fd = dispatch_fd(dispatch), .events = POLLIN};
    while (!dispatch_leave(dispatch, now >= start + MAILER_GRACE_MS) &&
           now < start + MAILER_GRACE_MS + MAILER_LAST_MS) {
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
    mailer_leave(dispatch);
    dispatch_free(&dispatch);
    return EXIT_SUCCESS;
}
