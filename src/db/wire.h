/*
 * db_wire: sends statements on a connected db_conn and collects their answers. Both lanes use libpq's pipeline mode,
 * with one Sync a statement: on the work lane with one statement at a time, which is byte for byte what an unpipelined
 * connection sends, and lets the Parse of a statement's first use travel with it.
 */
#ifndef DB_WIRE_H
#define DB_WIRE_H

#include <stdbool.h>

#include "core/compiler.h"

struct db_conn;
struct db_query;

/* False: the connection is broken and nothing of the statement can have been carried out; the query is still the
 * caller's. */
bool wire_send(struct db_conn *conn, struct db_query *query) WARN_UNUSED;
/* Reads what came and answers the queries that are complete. False: the connection is gone. */
bool wire_receive(struct db_conn *conn) WARN_UNUSED;

#endif
