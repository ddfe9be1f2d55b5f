/*
 * service: what the processes share that block and wait (mailer, janitor): signals, the master's death, a pause.
 */
#ifndef PROC_SERVICE_H
#define PROC_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct heritage;

struct service {
    struct heritage *heritage;
    int signals;
    bool leaving;
};

enum service_event {
    SERVICE_TIME,  /* the pause is over */
    SERVICE_INPUT, /* the descriptor is readable */
    SERVICE_LEAVE, /* TERM, or the master died */
};

bool service_begin(struct service *service, struct heritage *heritage, struct strbuf *error) WARN_UNUSED;
/* Waits for ms (UINT64_MAX: no end), or until fd is readable (-1: none). USR1 reopens the log meanwhile. */
enum service_event service_wait(struct service *service, uint64_t ms, int fd);
/* Between two steps of a longer work: should it stop here? */
bool service_leaving(struct service *service);

#endif
