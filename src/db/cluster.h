/*
 * db_cluster: the private PostgreSQL under <data>/postgres, its socket in <data>/run. Runs in the postgres child
 * (prepare, then exec) and, to find out where it is and whether it runs, everywhere. Only one process at a time may
 * prepare and exec: whoever holds the data directory's lock.
 *
 * Local connections are trusted: the socket's directory is open to the service user only (0700), and there is no TCP.
 * Asking for the same user once more (peer) would keep nobody out and would need a map of names that changes when the
 * data moves to another host.
 */
#ifndef DB_CLUSTER_H
#define DB_CLUSTER_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct config;

/* True when no database.url is set. */
bool db_cluster_wanted(const struct config *config);
/* Heap string: libpq connection string of the private cluster. */
char *db_cluster_conninfo(const struct config *config);
/*
 * What only a person can mend: programs that are missing or too old, a cluster of another major version, a socket path
 * that is too long. Changes nothing.
 */
bool db_cluster_check(const struct config *config, struct strbuf *error) WARN_UNUSED;
/*
 * Runs initdb on the first start (or after one that was interrupted), writes our settings, and waits, at most 60 s, for
 * an earlier postmaster of this directory to end. output: descriptor for what the programs print.
 */
bool db_cluster_prepare(const struct config *config, int output, struct strbuf *error) WARN_UNUSED;
/* Replaces this process by postgres, which writes to output. Returns only on failure. */
void db_cluster_exec(const struct config *config, int output, struct strbuf *error);
/* How many connections the private cluster takes when it is started with this configuration. */
unsigned db_cluster_connections(const struct config *config);
/* True when a postmaster runs on this directory, be it starting, serving or stopping. */
bool db_cluster_running(const struct config *config);
/* True when the postmaster of this process id takes connections. */
bool db_cluster_ready(const struct config *config, pid_t pid);

#endif
