/*
 * cluster_visit: the database for a command that an operator runs beside the server. A shared database, or the private
 * one of a running server, is just connected to; the private one of a server that does not run is started for the
 * duration, under the data directory's lock.
 */
#ifndef PROC_CLUSTER_VISIT_H
#define PROC_CLUSTER_VISIT_H

#include "core/compiler.h"
#include "core/strbuf.h"

struct cluster_visit;
struct config;
struct config_flags;
struct db_session;

/* Returns a visit whose session is connected; NULL with the reason. config and flags get the data directory's real
 * path. */
struct cluster_visit *cluster_visit_begin(struct config *config, struct config_flags *flags,
                                          struct strbuf *error) WARN_UNUSED;
struct db_session *cluster_visit_session(struct cluster_visit *visit);
/* Closes the session and stops what was started. Nothing for NULL. */
void cluster_visit_end(struct cluster_visit **visit);

#endif
