/*
 * db_resolver: looks up the host names of a connection string in a thread, because libpq would do it with a blocking
 * call on the event loop. A look-up cannot be broken off, so the thread is detached and owns what it needs: freeing the
 * resolver, or leaving the process, never waits for it.
 */
#ifndef DB_RESOLVER_H
#define DB_RESOLVER_H

#include <h2o.h>

#include "db/conninfo.h"

struct db_resolver;

/* found has an item for each address of each name, and is the callee's; NULL when no name was found: error says why. */
typedef void (*db_resolver_cb)(void *arg, struct db_endpoints *found, const char *error);

/* NULL when `written` names nothing to look up: connect to it as it is. */
struct db_resolver *db_resolver_new(h2o_loop_t *loop, const struct db_endpoints *written, db_resolver_cb cb, void *arg);
void db_resolver_free(struct db_resolver **resolver);
/* Begins a look-up unless one runs; cb is called from the loop, never before this returns. */
void db_resolver_start(struct db_resolver *resolver);

/* The look-up itself; blocks. The same results as cb gets. */
struct db_endpoints *db_resolve(const struct db_endpoints *written, struct strbuf *error);

#endif
