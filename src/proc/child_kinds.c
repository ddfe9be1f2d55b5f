/*
 * child_kinds: the table. Read by the supervisor; whoever wants to know what runs begins here.
 */
#include "proc/child_kinds.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "core/config.h"
#include "core/machine.h"
#include "db/cluster.h"
#include "proc/janitor.h"
#include "proc/mailer.h"
#include "proc/migrate.h"
#include "proc/postgres.h"
#include "proc/worker.h"

static unsigned child_kinds_one(const struct config *config)
{
    (void)config;
    return 1;
}

static unsigned child_kinds_postgres(const struct config *config)
{
    return db_cluster_wanted(config) ? 1 : 0;
}

static unsigned child_kinds_workers(const struct config *config)
{
    return config->server_workers ? (unsigned)config->server_workers : machine_processors();
}

/* clang-format off */
const struct child_kind child_kinds[] = {
    {.name = "postgres", .main = postgres_main, .count = child_kinds_postgres, .is_ready = db_cluster_ready,
     .restart = CHILD_ALWAYS, .outlives_reload = true,
     .stop_seconds = 60, .stop_signal = SIGINT, .last_signal = SIGQUIT},
    {.name = "migrate", .main = migrate_main, .count = child_kinds_one,
     .restart = CHILD_ONCE,
     .stop_seconds = 5, .stop_signal = SIGTERM, .last_signal = SIGKILL},
    {.name = "worker", .main = worker_main, .count = child_kinds_workers,
     .restart = CHILD_ALWAYS, .several = true, .listens = true,
     .ready_seconds = 60, .stop_signal = SIGTERM, .last_signal = SIGKILL},
    {.name = "mailer", .main = mailer_main, .count = child_kinds_one,
     .restart = CHILD_ALWAYS,
     .ready_seconds = 30, .stop_signal = SIGTERM, .last_signal = SIGKILL},
    {.name = "janitor", .main = janitor_main, .count = child_kinds_one,
     .restart = CHILD_ALWAYS,
     .ready_seconds = 30, .stop_seconds = 10, .stop_signal = SIGTERM, .last_signal = SIGKILL},
    {.name = NULL},
};
/* clang-format on */

const struct child_kind *child_kinds_find(const char *name)
{
    for (const struct child_kind *kind = child_kinds; kind->name; kind++) {
        if (strcmp(kind->name, name) == 0)
            return kind;
    }
    return NULL;
}
