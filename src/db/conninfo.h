/*
 * db_conninfo: a libpq connection string taken apart into the hosts that it names and all the rest. The pool tries
 * hosts one by one itself: libpq's connect_timeout does not exist in asynchronous mode, so one host that swallows
 * packets would keep libpq from ever getting to the next; and libpq looks names up with a blocking call.
 */
#ifndef DB_CONNINFO_H
#define DB_CONNINFO_H

#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct config;

/* One place to connect to; empty strings are libpq's defaults. */
struct db_endpoint {
    char *host;     /* name, address, or directory of a Unix socket */
    char *hostaddr; /* numeric address; then host is only what certificates are checked against */
    char *port;
};

/* Shared by reference; never changed once made. At least one item. */
struct db_endpoints {
    unsigned references;
    size_t count;
    struct db_endpoint *items;
};

struct db_conninfo;

/*
 * Adds what each of our connections has: name, encoding, keep-alives, and with database.prepared_statements the
 * session's settings. The reason never quotes the string, which may hold a password.
 */
struct db_conninfo *db_conninfo_parse(const char *text, const struct config *config, struct strbuf *error) WARN_UNUSED;
void db_conninfo_free(struct db_conninfo **conninfo);

/* The hosts as they are written; borrowed. */
struct db_endpoints *db_conninfo_endpoints(const struct db_conninfo *conninfo);

/* Keywords and values for PQconnectStartParams() to one place; both arrays end with NULL and are good until the next
 * call. */
struct db_connect_params {
    const char **keywords;
    const char **values;
};
struct db_connect_params db_conninfo_params(struct db_conninfo *conninfo, const struct db_endpoint *endpoint);

struct db_endpoints *db_endpoints_new(void);
void db_endpoints_add(struct db_endpoints *e, const char *host, const char *hostaddr, const char *port);
struct db_endpoints *db_endpoints_share(struct db_endpoints *e);
void db_endpoints_drop(struct db_endpoints **e);
bool db_endpoints_equal(const struct db_endpoints *a, const struct db_endpoints *b);
/* True when a host is a name that only a look-up turns into addresses. */
bool db_endpoint_is_name(const struct db_endpoint *endpoint);
/* Appends "host 'db1' port 5432", for the log. */
void db_endpoint_describe(const struct db_endpoint *endpoint, struct strbuf *out);

#endif
