/* GET /admin/api/stats, in a worker: one statement counts, one table names its columns. */
#include "api/handlers.h"
#include "core/clock.h"
#include "core/compiler.h"
#include "core/json_write.h"
#include "db/params.h"
#include "db/result.h"
#include "http/reply.h"
#include "http/request.h"

#define STATS_FIRST 2 /* behind auth and the admin's name */

/* In the order of the statement's columns; last_sync_activity follows them. */
static const char *const counts[] = {
    "users",           "active_users", "blocked_users", "unconfirmed_users", "active_devices",
    "revoked_devices", "vaults",       "operations",    "operations_24h",    "blobs",
    "blob_references", "orphan_blobs", "audit_events",  "database_bytes",    "blob_bytes",
};
#define STATS_OPERATIONS (STATS_FIRST + 7)

static void stats_counted(struct http_request *request, const struct db_result *result)
{
    struct strbuf body = STRBUF_INIT;
    char time[CLOCK_RFC3339_SIZE];

    strbuf_printf(&body, "{\"ops\":%lld,", (long long)db_result_int(result, 0, STATS_OPERATIONS));
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        json_write_name(&body, counts[i]);
        json_write_int(&body, db_result_int(result, 0, STATS_FIRST + (int)i));
        strbuf_append_char(&body, ',');
    }
    db_result_time(result, 0, STATS_FIRST + (int)ARRAY_SIZE(counts), time);
    json_write_member(&body, "last_sync_activity", time);
    strbuf_append_char(&body, '}');
    reply_json(request, 200, &body);
}

void admin_stats_get(struct http_request *request)
{
    struct db_params params;
    http_request_params(request, &params);
    http_request_query(request, STMT_ADMIN_STATS, &params, stats_counted);
}
