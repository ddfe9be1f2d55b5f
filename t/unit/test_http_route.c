/* http/route.h, http/router.h: the table's check and the limits that are known before a body comes. */
#include "core/config.h"
#include "http/router.h"
#include "tap.h"

static void handler(struct http_request *request)
{
    (void)request;
}

#define ROW(method, path)                                             \
    {                                                                 \
        method, path, CALLER_ANYONE, BODY_JSON, ATTEMPT_NONE, handler \
    }

static const struct {
    const char *name;
    struct route rows[2];
    bool good;
} tables[] = {
    {"two paths", {ROW("GET", "/a"), ROW("GET", "/b")}, true},
    {"two methods of one path", {ROW("GET", "/a"), ROW("POST", "/a")}, true},
    {"a path with and without slash at its end", {ROW("GET", "/a"), ROW("GET", "/a/")}, true},
    {"an argument and its parent", {ROW("GET", "/a/{}"), ROW("GET", "/a/")}, true},
    {"arguments of different depth", {ROW("GET", "/a/{}"), ROW("GET", "/a/{}/b")}, true},
    {"the same row twice", {ROW("GET", "/a"), ROW("GET", "/a")}, false},
    {"a literal in the place of an argument", {ROW("GET", "/a/{}"), ROW("GET", "/a/b")}, false},
    {"two arguments that meet", {ROW("GET", "/a/{}/c"), ROW("GET", "/a/b/c")}, false},
    {"no method", {ROW(NULL, "/a"), ROW("GET", "/b")}, false},
    {"HEAD is GET", {ROW("HEAD", "/a"), ROW("GET", "/b")}, false},
    {"no path", {ROW("GET", NULL), ROW("GET", "/b")}, false},
    {"no slash at the beginning", {ROW("GET", "a"), ROW("GET", "/b")}, false},
    {"two arguments in a path", {ROW("GET", "/{}/{}"), ROW("GET", "/b")}, false},
    {"an argument that is no whole segment", {ROW("GET", "/a{}"), ROW("GET", "/b")}, false},
    {"nobody may call", {{"GET", "/a", CALLER_UNSET, BODY_NONE, ATTEMPT_NONE, handler}, ROW("GET", "/b")}, false},
    {"no handler", {{"GET", "/a", CALLER_ANYONE, BODY_NONE, ATTEMPT_NONE, NULL}, ROW("GET", "/b")}, false},
};

static const struct route limit_rows[] = {
    {"GET", "/json", CALLER_ANYONE, BODY_NONE, ATTEMPT_NONE, handler},
    {"POST", "/json", CALLER_ANYONE, BODY_JSON, ATTEMPT_NONE, handler},
    {"POST", "/push", CALLER_ANYONE, BODY_PUSH, ATTEMPT_NONE, handler},
    {"POST", "/up/{}/load", CALLER_ANYONE, BODY_UPLOAD, ATTEMPT_NONE, handler},
};

static const struct {
    const char *method, *target;
    size_t limit;
    bool upload;
} limits[] = {
    {"POST", "/json", 1000, false},
    {"POST", "/json?a=/up/x/load", 1000, false},
    {"POST", "/push", 2000, false},
    {"POST", "/push?x", 2000, false},
    {"POST", "/up/x/load", 3000 + 65536, true},
    {"POST", "/up/x/load?a", 3000 + 65536, true},
    {"GET", "/up/x/load", 1000, false},
    {"POST", "/up//load", 1000, false},
    {"POST", "/up/x/y/load", 1000, false},
    {"POST", "/nowhere", 1000, false},
    {"PUT", "/push", 1000, false},
    {"POST", "/p%75sh", 2000, false},
    {"POST", "/up/%75/l%6fad", 3000 + 65536, true},
    {"POST", "/x/../push", 2000, false},
    {"POST", "/x/../up/./x/load", 3000 + 65536, true},
    {"POST", "http://h/push", 2000, false},
    {"POST", "http://h/up/x/load", 3000 + 65536, true},
    {"POST", "nonsense", 1000, false},
    {"POST", "*", 1000, false},
};

static void test_limits(void)
{
    static const struct route_table table = {limit_rows, ARRAY_SIZE(limit_rows)};
    const struct config config = {.limits_json_body = 1000, .limits_push_body = 2000, .limits_blob_size = 3000};
    struct http_router *router = http_router_new(&table);
    ok(router != NULL, "a router of a good table");
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        bool upload;
        size_t limit =
            http_router_body_limit(router, &config, h2o_iovec_init(limits[i].method, strlen(limits[i].method)),
                                   h2o_iovec_init(limits[i].target, strlen(limits[i].target)), &upload);
        is_int((intmax_t)limit, (intmax_t)limits[i].limit, "greatest body of %s %s", limits[i].method,
               limits[i].target);
        is_int(upload, limits[i].upload, "%s %s is an upload or not", limits[i].method, limits[i].target);
    }
    is_int((intmax_t)http_router_greatest_body(router, &config), 2000, "the greatest that is buffered");
    http_router_free(&router);
    ok(router == NULL, "freed");
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        struct route_table table = {tables[i].rows, 2};
        is_int(route_table_check(&table), tables[i].good, "%s", tables[i].name);
        struct http_router *router = http_router_new(&table);
        ok((router != NULL) == tables[i].good, "%s: a router only of a good table", tables[i].name);
        http_router_free(&router);
    }
    test_limits();
    return tap_done();
}
