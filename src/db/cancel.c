/*
 * db_cancel: see the header. In workers. Through PgBouncer there is no statement_timeout of the server: without this a
 * statement that waits for a lock would go on waiting, and then take it, long after its client got a 503.
 */
#include "db/cancel.h"

#include <stdatomic.h>

#include "core/log.h"
#include "core/thread.h"

#define CANCELS_MAX 8

static atomic_int cancels_running;

static void cancel_ignore(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

/* In this order: PgBouncer knows whose statement is meant only as long as the connection is there. */
static void *cancel_run(void *arg)
{
    PGconn *pg = arg;
    PGcancel *cancel = PQgetCancel(pg);
    char reason[256] = "out of memory";
    if (cancel == NULL || !PQcancel(cancel, reason, sizeof(reason)))
        log_debug("cannot cancel a statement: %s", reason);
    PQfreeCancel(cancel);
    PQfinish(pg);
    atomic_fetch_sub(&cancels_running, 1);
    return NULL;
}

void db_cancel_finish(PGconn *pg)
{
    PQsetNoticeReceiver(pg, cancel_ignore, NULL);
    if (atomic_fetch_add(&cancels_running, 1) < CANCELS_MAX && thread_start(NULL, cancel_run, pg, NULL) == 0)
        return;
    atomic_fetch_sub(&cancels_running, 1);
    PQfinish(pg);
}
