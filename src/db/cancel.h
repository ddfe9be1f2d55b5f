/*
 * db_cancel: asks PostgreSQL to break off what a connection runs, before that connection is given up. PQcancel() blocks, so a
 * detached thread does it; at most a few at a time, more are left out.
 */
#ifndef DB_CANCEL_H
#define DB_CANCEL_H

#include <libpq-fe.h>

void db_cancel_send(PGconn *pg);

#endif
