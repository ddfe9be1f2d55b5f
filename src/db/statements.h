/*
 * db_statement: the statements of sql/queries/. The enum (db/statements_list.h) and the texts (db/embedded_sql.c) are
 * made from the files at build time: sql/queries/sync_push.sql is STMT_SYNC_PUSH.
 */
#ifndef DB_STATEMENTS_H
#define DB_STATEMENTS_H

#include <stddef.h>

#include "db/statements_list.h"

enum db_lane {
    DB_LANE_READ, /* short indexed reads, pipelined on one or two connections; never writes */
    DB_LANE_WORK, /* transactions; several unpipelined connections, whose commits PostgreSQL groups */
};

struct db_statement_info {
    const char *name; /* file name without .sql; the prepared statement's name, too */
    const char *sql;
    enum db_lane lane; /* from its first line, "-- lane: read" */
};

extern const struct db_statement_info db_statements[STMT_COUNT];

/* Embedded files of sql/migrations (in order of their numbers), sql/functions, and sql/bootstrap.sql. */
struct db_sql_file {
    int version; /* number of a migration, else 0 */
    const char *name;
    const char *sql;
};
extern const struct db_sql_file db_migration_files[];
extern const size_t db_migration_file_count;
extern const struct db_sql_file db_function_files[];
extern const size_t db_function_file_count;
extern const char db_bootstrap_sql[];

#endif
