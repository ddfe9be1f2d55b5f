/*
 * db_conninfo: see the header. Used by the pool (workers) and by the blocking session (migrate, mailer, janitor,
 * command line).
 */
#include "db/conninfo.h"

#include <libpq-fe.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/config.h"
#include "core/mem.h"

#define EXTRA_MAX 8 /* keywords that db_conninfo_params() sets beside those that were written */

struct db_conninfo {
    PQconninfoOption *options;
    struct db_endpoints *endpoints;
    char *session_options; /* the operator's `options` and ours */
    bool several_hosts;
    const char **keywords, **values;
};

/* For what the operator leaves open. */
static const struct {
    const char *keyword, *value;
} conninfo_defaults[] = {
    {"fallback_application_name", "verstak-sync-server"},
    {"keepalives_idle", "30"}, /* a database host that vanished is noticed within a minute on idle connections, too */
    {"keepalives_interval", "10"},
    {"keepalives_count", "3"},
};

struct db_endpoints *db_endpoints_new(void)
{
    struct db_endpoints *e = mem_zalloc(sizeof(*e));
    e->references = 1;
    return e;
}

void db_endpoints_add(struct db_endpoints *e, const char *host, const char *hostaddr, const char *port)
{
    e->items = mem_realloc(e->items, (e->count + 1) * sizeof(*e->items));
    struct db_endpoint *item = &e->items[e->count++];
    item->host = mem_strdup(host);
    item->hostaddr = mem_strdup(hostaddr);
    item->port = mem_strdup(port);
}

struct db_endpoints *db_endpoints_share(struct db_endpoints *e)
{
    e->references++;
    return e;
}

void db_endpoints_drop(struct db_endpoints **e)
{
    struct db_endpoints *gone = *e;
    *e = NULL;
    if (gone == NULL || --gone->references > 0)
        return;
    for (size_t i = 0; i < gone->count; i++) {
        free(gone->items[i].host);
        free(gone->items[i].hostaddr);
        free(gone->items[i].port);
    }
    free(gone->items);
    free(gone);
}

bool db_endpoints_equal(const struct db_endpoints *a, const struct db_endpoints *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct db_endpoint *x = &a->items[i], *y = &b->items[i];
        if (strcmp(x->host, y->host) != 0 || strcmp(x->hostaddr, y->hostaddr) != 0 || strcmp(x->port, y->port) != 0)
            return false;
    }
    return true;
}

bool db_endpoint_is_name(const struct db_endpoint *endpoint)
{
    /* '/' begins a socket directory, '@' an abstract socket */
    char first = endpoint->host[0];
    if (endpoint->hostaddr[0] != '\0' || first == '\0' || first == '/' || first == '@')
        return false;
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    if (getaddrinfo(endpoint->host, NULL, &hints, &found) != 0)
        return true;
    freeaddrinfo(found);
    return false;
}

void db_endpoint_describe(const struct db_endpoint *endpoint, struct strbuf *out)
{
    if (endpoint->host[0] != '\0')
        strbuf_printf(out, "host '%s'", endpoint->host);
    else
        strbuf_append_str(out, endpoint->hostaddr[0] == '\0' ? "the default socket" : "host");
    if (endpoint->hostaddr[0] != '\0')
        strbuf_printf(out, " (%s)", endpoint->hostaddr);
    if (endpoint->port[0] != '\0')
        strbuf_printf(out, " port %s", endpoint->port);
}

/* The value of a keyword: written, or from libpq's environment variable; "" when neither. */
static const char *conninfo_value(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        if (strcmp(o->keyword, keyword) != 0)
            continue;
        if (o->val != NULL)
            return o->val;
        const char *inherited = o->envvar == NULL ? NULL : getenv(o->envvar);
        return inherited == NULL ? "" : inherited;
    }
    return "";
}

static size_t list_length(const char *list)
{
    size_t commas = 0;
    for (const char *p = list; *p != '\0'; p++)
        commas += *p == ',';
    return commas + 1;
}

/* Item i of a comma separated list; lists of one item go for every i. Heap. */
static char *list_item(const char *list, size_t i)
{
    if (list_length(list) == 1)
        return mem_strdup(list);
    for (; i > 0; i--)
        list = strchr(list, ',') + 1;
    return mem_strndup(list, strcspn(list, ","));
}

static bool port_valid(const char *port)
{
    size_t len = strlen(port);
    if (len == 0)
        return true;
    long number = strtol(port, NULL, 10);
    return len <= 5 && strspn(port, "0123456789") == len && number >= 1 && number <= 65535;
}

static bool conninfo_add_endpoint(struct db_conninfo *c, const char *hosts, const char *addrs, const char *ports,
                                  size_t i, struct strbuf *error)
{
    char *host = list_item(hosts, i), *addr = list_item(addrs, i), *port = list_item(ports, i);
    bool valid = port_valid(port);
    if (valid)
        db_endpoints_add(c->endpoints, host, addr, port);
    free(host);
    free(addr);
    free(port);
    return valid ||
           strbuf_error(error, "database.url: a port is no number from 1 to 65535 (write ':', '@' and '/' in a "
                               "password as %%3A, %%40 and %%2F)");
}

static bool conninfo_split_hosts(struct db_conninfo *c, struct strbuf *error)
{
    const char *hosts = conninfo_value(c->options, "host");
    const char *addrs = conninfo_value(c->options, "hostaddr");
    const char *ports = conninfo_value(c->options, "port");
    size_t count = list_length(addrs[0] != '\0' ? addrs : hosts);
    if (addrs[0] != '\0' && hosts[0] != '\0' && list_length(hosts) != count)
        return strbuf_error(error, "database.url names %zu hosts and %zu addresses: give each host one",
                            list_length(hosts), count);
    if (list_length(ports) != 1 && list_length(ports) != count)
        return strbuf_error(error, "database.url names %zu hosts and %zu ports: give one port, or one each", count,
                            list_length(ports));
    c->endpoints = db_endpoints_new();
    c->several_hosts = count > 1;
    for (size_t i = 0; i < count; i++)
        if (!conninfo_add_endpoint(c, hosts, addrs, ports, i, error))
            return false;
    return true;
}

/*
 * Settings of the session go into the start-up packet, so that they cost no round trip. The server ends a statement a
 * moment before we would give its connection up: then it is certain that nothing was written. PgBouncer refuses such
 * settings. Statements are prepared to be planned once: a page of a pull looks cheaper to PostgreSQL with its limit
 * known, and it would plan each one anew, which takes as long as the page itself.
 */
static void conninfo_session_options(struct db_conninfo *c, const struct config *config)
{
    const char *written = conninfo_value(c->options, "options");
    if (config->database_prepared_statements)
        c->session_options =
            mem_printf("-c statement_timeout=%lld -c lock_timeout=%lld -c idle_in_transaction_session_timeout=%lld "
                       "-c default_transaction_isolation=read\\ committed "
                       "-c plan_cache_mode=force_generic_plan %s",
                       (long long)config->database_statement_timeout, (long long)config->database_statement_timeout / 4,
                       (long long)config->database_statement_timeout * 3, written);
    else
        c->session_options = mem_strdup(written);
}

static size_t options_count(const PQconninfoOption *options)
{
    size_t n = 0;
    while (options[n].keyword != NULL)
        n++;
    return n;
}

/* An unescaped '@' in a password makes libpq take the rest of the password for a host, and would put it into our log.
 */
static bool uri_is_ambiguous(const char *text)
{
    const char *authority = strstr(text, "://");
    if (authority == NULL || (strncmp(text, "postgresql:", 11) != 0 && strncmp(text, "postgres:", 9) != 0))
        return false;
    authority += 3;
    const char *end = authority + strcspn(authority, "/?");
    const char *at = memchr(authority, '@', (size_t)(end - authority));
    return at != NULL && memchr(at + 1, '@', (size_t)(end - at - 1)) != NULL;
}

struct db_conninfo *db_conninfo_parse(const char *text, const struct config *config, struct strbuf *error)
{
    struct db_conninfo *c = mem_zalloc(sizeof(*c));
    if (!uri_is_ambiguous(text))
        c->options = PQconninfoParse(text, NULL);
    if (c->options == NULL) {
        strbuf_error(
            error,
            "database.url is no libpq connection string or URI (write '@', ':' and '/' in a password as %%40, %%3A "
            "and %%2F)");
        db_conninfo_free(&c);
        return NULL;
    }
    if (!conninfo_split_hosts(c, error)) {
        db_conninfo_free(&c);
        return NULL;
    }
    conninfo_session_options(c, config);
    size_t room = options_count(c->options) + ARRAY_SIZE(conninfo_defaults) + EXTRA_MAX + 1;
    c->keywords = mem_zalloc(room * sizeof(*c->keywords));
    c->values = mem_zalloc(room * sizeof(*c->values));
    return c;
}

void db_conninfo_free(struct db_conninfo **conninfo)
{
    struct db_conninfo *c = *conninfo;
    *conninfo = NULL;
    if (c == NULL)
        return;
    for (PQconninfoOption *o = c->options; o != NULL && o->keyword != NULL; o++)
        if (o->val != NULL)
            mem_wipe(o->val, strlen(o->val));
    PQconninfoFree(c->options);
    db_endpoints_drop(&c->endpoints);
    free(c->session_options);
    free(c->keywords);
    free(c->values);
    free(c);
}

struct db_endpoints *db_conninfo_endpoints(const struct db_conninfo *conninfo)
{
    return conninfo->endpoints;
}

/* What db_conninfo_params() sets itself. */
static bool keyword_is_ours(const char *keyword)
{
    static const char *const ours[] = {"host",           "hostaddr", "port", "options", "target_session_attrs",
                                       "client_encoding"};
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        if (strcmp(keyword, ours[i]) == 0)
            return true;
    return false;
}

static void params_set(struct db_conninfo *c, size_t *n, const char *keyword, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    c->keywords[*n] = keyword;
    c->values[(*n)++] = value;
    c->keywords[*n] = c->values[*n] = NULL;
}

struct db_connect_params db_conninfo_params(struct db_conninfo *conninfo, const struct db_endpoint *endpoint)
{
    size_t n = 0;
    for (const PQconninfoOption *o = conninfo->options; o->keyword != NULL; o++)
        if (!keyword_is_ours(o->keyword))
            params_set(conninfo, &n, o->keyword, o->val);
    for (size_t i = 0; i < ARRAY_SIZE(conninfo_defaults); i++)
        if (conninfo_value(conninfo->options, conninfo_defaults[i].keyword)[0] == '\0')
            params_set(conninfo, &n, conninfo_defaults[i].keyword, conninfo_defaults[i].value);
    params_set(conninfo, &n, "host", endpoint->host);
    params_set(conninfo, &n, "hostaddr", endpoint->hostaddr);
    params_set(conninfo, &n, "port", endpoint->port);
    params_set(conninfo, &n, "options", conninfo->session_options);
    params_set(conninfo, &n, "client_encoding", "UTF8");
    /* Of several hosts the one that takes writes is meant, unless the operator says otherwise. */
    const char *target = conninfo_value(conninfo->options, "target_session_attrs");
    params_set(conninfo, &n, "target_session_attrs",
               target[0] == '\0' && conninfo->several_hosts ? "read-write" : target);
    return (struct db_connect_params){conninfo->keywords, conninfo->values};
}
