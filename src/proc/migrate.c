/*
 * migrate: main of the short-lived child that waits for the database and brings the schema up to date; workers start
 * when it is done.
 */
#include "proc/migrate.h"

#include <stdlib.h>

#include "core/config.h"
#include "core/log.h"
#include "db/migrations.h"
#include "db/session.h"
#include "proc/child_kinds.h"
#include "proc/heritage.h"
#include "proc/service.h"

#define MIGRATE_PAUSE_FIRST_MS 100
#define MIGRATE_PAUSE_MOST_MS 2000
#define MIGRATE_REMIND_MS 60000

/* Says that it waits: the first time, and again once a minute. */
static void migrate_say(uint64_t waited, uint64_t pause, const char *reason)
{
    if (waited == 0)
        log_info("waiting for the database: %s", reason);
    else if (waited / MIGRATE_REMIND_MS != (waited + pause) / MIGRATE_REMIND_MS)
        log_warning("still waiting for the database, for %u s now: %s", (unsigned)((waited + pause) / 1000), reason);
}

/* Until it is done or refused, or told to leave (DB_MIGRATE_UNREACHABLE then). */
static enum db_migrate_outcome migrate_loop(struct service *service, struct db_session *session, struct strbuf *error)
{
    uint64_t pause = MIGRATE_PAUSE_FIRST_MS;
    for (uint64_t waited = 0;; waited += pause) {
        strbuf_reset(error);
        enum db_migrate_outcome outcome = db_migrations_apply(session, error);
        if (outcome != DB_MIGRATE_UNREACHABLE)
            return outcome;
        migrate_say(waited, pause, error->data);
        if (service_wait(service, pause, -1) == SERVICE_LEAVE)
            return outcome;
        pause = pause * 2 < MIGRATE_PAUSE_MOST_MS ? pause * 2 : MIGRATE_PAUSE_MOST_MS;
    }
}

int migrate_main(struct heritage *heritage)
{
    struct strbuf error = STRBUF_INIT;
    struct service service;
    int status = EXIT_FAILURE;
    if (!service_begin(&service, heritage, &error)) {
        log_error("%s", error.data);
        return status;
    }
    char *conninfo = db_conninfo(heritage->config);
    struct db_session *session = db_session_new(heritage->config, conninfo);
    free(conninfo);
    switch (migrate_loop(&service, session, &error)) {
    case DB_MIGRATE_DONE:
        status = EXIT_SUCCESS;
        break;
    case DB_MIGRATE_REFUSED:
        log_error("the database cannot be used: %s", error.data);
        status = CHILD_EXIT_REFUSED;
        break;
    case DB_MIGRATE_UNREACHABLE:
        break;
    }
    db_session_free(&session);
    strbuf_release(&error);
    return status;
}
