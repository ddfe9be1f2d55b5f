/* db/conninfo.h: which hosts a connection string names, and that no error quotes it. */
#include "db/conninfo.h"

#include <stdlib.h>

#include "core/config.h"
#include "tap.h"

static const struct {
    const char *conninfo;
    const char *endpoints; /* host/hostaddr/port of each, separated by blanks; NULL: refused */
    bool names;
} strings[] = {
    {"", "//", false},
    {"dbname=x", "//", false},
    {"postgresql://u@/db?host=/run/pg&port=5433", "/run/pg//5433", false},
    {"postgresql://u:p@127.0.0.1:6000/db", "127.0.0.1//6000", false},
    {"postgresql://[::1]:6000/db", "::1//6000", false},
    {"postgresql://u:p%40ss@db.example/db", "db.example//", true},
    {"host=@abstract", "@abstract//", false},
    {"host=a,b,c port=1", "a//1 b//1 c//1", true},
    {"host=a,/run/pg port=1,2", "a//1 /run/pg//2", true},
    {"host=a,b hostaddr=127.0.0.1,127.0.0.2 port=7", "a/127.0.0.1/7 b/127.0.0.2/7", false},
    {"hostaddr=127.0.0.1", "/127.0.0.1/", false},
    {"postgresql://h1:1,h2:2,h3/db", "h1//1 h2//2 h3//", true},
    {"host=a,b hostaddr=127.0.0.1", NULL, false},
    {"host=a,b,c port=1,2", NULL, false},
    {"host=a port=hunter2", NULL, false},
    {"host=a port=0", NULL, false},
    {"host=a port=65536", NULL, false},
    {"postgresql://u:hunter2@x@host/db", NULL, false},
    {"postgresql://u:hunter2:x@host:p/db", NULL, false},
    {"host=a password=hunter2 nonsense", NULL, false},
    {"host=a hunter2=1", NULL, false},
};

static void describe(const struct db_endpoints *e, struct strbuf *out, bool *names_r)
{
    *names_r = false;
    for (size_t i = 0; i < e->count; i++) {
        strbuf_printf(out, "%s%s/%s/%s", i > 0 ? " " : "", e->items[i].host, e->items[i].hostaddr, e->items[i].port);
        *names_r = *names_r || db_endpoint_is_name(&e->items[i]);
    }
}

static void test_strings(const struct config *config)
{
    for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
        struct strbuf error = STRBUF_INIT, found = STRBUF_INIT;
        bool names = false;
        struct db_conninfo *c = db_conninfo_parse(strings[i].conninfo, config, &error);
        if (c != NULL)
            describe(db_conninfo_endpoints(c), &found, &names);
        is_str(c == NULL ? NULL : found.data, strings[i].endpoints, "'%s'", strings[i].conninfo);
        ok(names == strings[i].names, "has names to look up, or not");
        ok((c == NULL) == (error.len > 0) && strstr(error.data, "hunter2") == NULL,
           "an error says why without quoting");
        db_conninfo_free(&c);
        strbuf_release(&error);
        strbuf_release(&found);
    }
}

static const char *value_of(struct db_connect_params p, const char *keyword)
{
    const char *found = NULL;
    for (size_t i = 0; p.keywords[i] != NULL; i++)
        if (strcmp(p.keywords[i], keyword) == 0)
            found = found == NULL ? p.values[i] : "twice";
    return found;
}

static void test_params(struct config *config)
{
    struct db_conninfo *c =
        db_conninfo_parse("host=a,b user=u password=secret options='-c x.y=1' keepalives_idle=7", config, NULL);
    const struct db_endpoints *e = db_conninfo_endpoints(c);
    struct db_connect_params p = db_conninfo_params(c, &e->items[1]);
    is_str(value_of(p, "host"), "b", "one host of several");
    is_str(value_of(p, "password"), "secret", "password");
    is_str(value_of(p, "keepalives_idle"), "7", "what the operator set stays");
    is_str(value_of(p, "keepalives_count"), "3", "what is open has our default");
    is_str(value_of(p, "client_encoding"), "UTF8", "encoding");
    is_str(value_of(p, "target_session_attrs"), "read-write", "of several hosts the one that takes writes");
    ok(strstr(value_of(p, "options"), "-c statement_timeout=1234 ") != NULL, "the server's timeout");
    ok(strstr(value_of(p, "options"), "-c x.y=1") != NULL, "beside the operator's options");
    db_conninfo_free(&c);
    config->database_prepared_statements = false;
    c = db_conninfo_parse("host=a target_session_attrs=any", config, NULL);
    p = db_conninfo_params(c, &db_conninfo_endpoints(c)->items[0]);
    is_str(value_of(p, "options"), NULL, "through PgBouncer no options");
    is_str(value_of(p, "target_session_attrs"), "any", "what the operator wants");
    db_conninfo_free(&c);
}

int main(void)
{
    struct config config = {.database_prepared_statements = true, .database_statement_timeout = 1234};
    /* libpq's own variables would fill what is left open */
    unsetenv("PGHOST");
    unsetenv("PGHOSTADDR");
    unsetenv("PGPORT");
    unsetenv("PGOPTIONS");
    unsetenv("PGTARGETSESSIONATTRS");
    test_strings(&config);
    test_params(&config);
    return tap_done();
}
