/*
 * mailer: main of the process of e-mail. Nothing writes mails yet and no SMTP server can be configured, so it needs no
 * database: it says so once and waits to be told to leave.
 */
#include "proc/mailer.h"

#include <stdlib.h>

#include "core/log.h"
#include "proc/heritage.h"
#include "proc/service.h"

int mailer_main(struct heritage *heritage)
{
    struct strbuf error = STRBUF_INIT;
    struct service service;
    if (!service_begin(&service, heritage, &error)) {
        log_error("%s", error.data);
        return EXIT_FAILURE;
    }
    log_info("no SMTP server is configured: no e-mail is sent");
    heritage_ready(heritage);
    while (service_wait(&service, UINT64_MAX, -1) != SERVICE_LEAVE)
        ;
    return EXIT_SUCCESS;
}
