/*
 * db_cluster: the private PostgreSQL under <data>/postgres. Runs in the postgres child (prepare, then exec) and, to find out where it is, everywhere.
 */
#ifndef DB_CLUSTER_H
#define DB_CLUSTER_H

#include <stdbool.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct config;

/* True when no database.url is set. */
bool db_cluster_wanted(const struct config *config);
/* Heap string: libpq connection string of the private cluster. */
char *db_cluster_conninfo(const struct config *config);
/*
 * Finds the programs, checks the version, runs initdb on the first start, writes our settings, waits (at most 60 s) for an earlier postmaster of this
 * directory to end, and replaces this process by postgres. Returns only on failure.
 */
void db_cluster_exec(const struct config *config, struct strbuf *error);
/* True when a postmaster runs on this directory. */
bool db_cluster_running(const struct config *config);

#endif
