/*
 * db_result: what one statement answered. Valid until the callback that got it returns (async), or until db_session_*
 * is called again (blocking). All columns are in PostgreSQL's binary format; an accessor for the wrong type is our own
 * bug and asserts.
 */
#ifndef DB_RESULT_H
#define DB_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/compiler.h"

enum db_outcome {
    DB_OK,
    DB_FAILED,      /* PostgreSQL refused it: nothing was written; sqlstate and message say why */
    DB_UNAVAILABLE, /* nothing was written: it was never sent (no connection, queue full, deadline), or it was a read
                       whose connection was lost, or the database takes no writes */
    DB_UNKNOWN,     /* it was sent and the connection was lost before the answer: unknown whether it was written */
};

struct pg_result;

struct db_result {
    enum db_outcome outcome;
    char sqlstate[6];     /* with DB_FAILED */
    const char *message;  /* for the log, with everything but DB_OK; never NULL */
    struct pg_result *pg; /* NULL but with DB_OK */
};

int db_result_rows(const struct db_result *r);
bool db_result_null(const struct db_result *r, int row, int column);
/* text and varchar; not of zero bytes free in general, but PostgreSQL's text has none: terminated. NULL column: "" and
 * length 0. */
const char *db_result_text(const struct db_result *r, int row, int column, size_t *len_r);
const void *db_result_bytes(const struct db_result *r, int row, int column, size_t *len_r);
int64_t db_result_int(const struct db_result *r, int row, int column); /* int2, int4, int8; NULL: 0 */
bool db_result_bool(const struct db_result *r, int row, int column);   /* NULL: false */
/* timestamptz as RFC 3339 with seconds and Z in UTC; NULL column: the empty string. out_r holds CLOCK_RFC3339_SIZE
 * bytes. */
void db_result_time(const struct db_result *r, int row, int column, char *out_r);
/* Number of rows that an INSERT, UPDATE or DELETE touched. */
int64_t db_result_affected(const struct db_result *r);

#endif
