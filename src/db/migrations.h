/*
 * db_migrations: brings the schema up to what this binary knows, forward only, each file in one transaction under an
 * advisory lock, then applies the functions whose text changed. Runs in the migrate process.
 */
#ifndef DB_MIGRATIONS_H
#define DB_MIGRATIONS_H

#include <stdbool.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct db_session;

enum db_migrate_outcome {
    DB_MIGRATE_DONE,
    DB_MIGRATE_UNREACHABLE, /* try again */
    DB_MIGRATE_REFUSED,     /* newer schema, changed migration, failed SQL: error says what to do */
};

enum db_migrate_outcome db_migrations_apply(struct db_session *session, struct strbuf *error) WARN_UNUSED;

#endif
