/*
 * db_cancel: gives up a connection with a statement that takes too long: asks PostgreSQL to break the statement off,
 * then closes. PQcancel() blocks, so a detached thread does both; at most a few at a time, more are only closed.
 */
#ifndef DB_CANCEL_H
#define DB_CANCEL_H

#include <libpq-fe.h>

/* Takes the connection over. */
void db_cancel_finish(PGconn *pg);

#endif
