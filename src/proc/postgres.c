/*
 * postgres: main of the child that becomes the private PostgreSQL: makes the cluster on the first start, waits for an
 * earlier postmaster, execs. The master's death reaches it as SIGINT (fast shutdown); the new master waits until it is
 * gone.
 */
#include "proc/postgres.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "core/log.h"
#include "db/cluster.h"
#include "proc/child_kinds.h"
#include "proc/heritage.h"

int postgres_main(struct heritage *heritage)
{
    struct strbuf error = STRBUF_INIT;
    int status = EXIT_FAILURE;
    prctl(PR_SET_PDEATHSIG, SIGINT);
    if (heritage_orphaned(heritage)) /* it died before that call: no signal will come */
        return EXIT_FAILURE;
    if (!db_cluster_check(heritage->config, &error))
        status = CHILD_EXIT_REFUSED;
    else if (db_cluster_prepare(heritage->config, heritage->output, &error))
        db_cluster_exec(heritage->config, heritage->output, &error);
    log_error("cannot run the private PostgreSQL: %s", error.data);
    strbuf_release(&error);
    return status;
}
