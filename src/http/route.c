/*
 * What the rows of a route table mean. Called by the router and, at start, by the check of the table.
 */
#include "http/route.h"

#include <stdbool.h>
#include <string.h>

#include "core/config.h"

size_t route_body_limit(const struct config *config, enum body_class body)
{
    switch (body) {
    case BODY_PUSH:
        return (size_t)config->limits_push_body;
    case BODY_UPLOAD:
        return (size_t)config->limits_blob_size + ROUTE_UPLOAD_FRAMING;
    case BODY_NONE:
    case BODY_JSON:
    case BODY_FORM:
        break;
    }
    return (size_t)config->limits_json_body;
}

static bool path_complete(const char *path)
{
    const char *argument = strstr(path, "{}");
    if (path[0] != '/' || (argument != NULL && strstr(argument + 2, "{}") != NULL))
        return false;
    return argument == NULL || (argument[-1] == '/' && (argument[2] == '/' || argument[2] == '\0'));
}

static bool row_complete(const struct route *row)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    bool known = false;
    for (size_t i = 0; row->method != NULL && i < sizeof(methods) / sizeof(methods[0]); ++i)
        known = known || strcmp(row->method, methods[i]) == 0;
    return known && row->path != NULL && path_complete(row->path) && row->who != CALLER_UNSET && row->handler != NULL;
}

/* Could one request path match both? Segment by segment; {} meets every segment. */
static bool paths_meet(const char *a, const char *b)
{
    for (;;) {
        size_t a_len = strcspn(a, "/"), b_len = strcspn(b, "/");
        bool a_any = a_len == 2 && memcmp(a, "{}", 2) == 0, b_any = b_len == 2 && memcmp(b, "{}", 2) == 0;
        bool same = a_len == b_len && memcmp(a, b, a_len) == 0;
        if (!same && !(a_any && b_len > 0) && !(b_any && a_len > 0))
            return false;
        a += a_len;
        b += b_len;
        if (*a != *b)
            return false;
        if (*a == '\0')
            return true;
        ++a;
        ++b;
    }
}

_Bool route_table_check(const struct route_table *table)
{
    for (size_t i = 0; i < table->count; ++i) {
        if (!row_complete(&table->rows[i]))
            return false;
        for (size_t j = 0; j < i; ++j)
            if (strcmp(table->rows[i].method, table->rows[j].method) == 0 &&
                paths_meet(table->rows[i].path, table->rows[j].path))
                return false;
    }
    return true;
}
