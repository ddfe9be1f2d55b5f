/*
 * db_cancel: see the header. In workers. Through PgBouncer there is no statement_timeout of the server: without this a statement that
 * waits for a lock would go on waiting, and then take it, long after its client got a 503.
 */
#include "db/cancel.h"

#include <stdatomic.h>

#include "core/log.h"
#include "db/background.h"

#define CANCELS_MAX 8

static atomic_int cancels_running;

static void *cancel_run(void *arg)
{
    PGcancel *cancel = arg;
    char reason[256];
    if (!PQcancel(cancel, reason, sizeof(reason)))
        log_debug("cannot cancel a statement: %s", reason);
    PQfreeCancel(cancel);
    atomic_fetch_sub(&cancels_running, 1);
    return NULL;
}

void db_cancel_send(PGconn *pg)
{
    PGcancel *cancel = PQgetCancel(pg);
    if (cancel == NULL)
        return;
    if (atomic_fetch_add(&cancels_running, 1) < CANCELS_MAX && background_start(cancel_run, cancel) == 0)
        return;
    atomic_fetch_sub(&cancels_running, 1);
    PQfreeCancel(cancel);
}
