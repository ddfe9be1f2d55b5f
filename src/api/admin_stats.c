/*
 * GET /admin/api/stats, in a worker: the settings say whether e-mails can be sent; then one statement counts, and one
 * table names its columns.
 */
#include "api/handlers.h"
#include "api/row_json.h"
#include "api/settings.h"
#include "core/compiler.h"
#include "db/params.h"
#include "db/result.h"
#include "http/reply.h"
#include "http/request.h"

#define STATS_FIRST 2 /* behind auth and the admin's name */

/* In the order of the statement's columns; last_sync_activity and the counts of mails follow them. */
static const char *const counts[] = {
    "users",           "active_users", "blocked_users", "unconfirmed_users", "active_devices",
    "revoked_devices", "vaults",       "operations",    "operations_24h",    "blobs",
    "blob_references", "orphan_blobs", "audit_events",  "database_bytes",    "blob_bytes",
};
#define STATS_OPERATIONS (STATS_FIRST + 7)

enum { STATS_LAST_SYNC_ACTIVITY = STATS_FIRST + (int)ARRAY_SIZE(counts), STATS_MAILS_WAITING, STATS_MAILS_FAILED };

static void stats_counted(struct http_request *request, const struct db_result *result)
{
    const struct settings *settings = http_request_data(request);
    struct strbuf body = STRBUF_INIT;

    strbuf_append_char(&body, '{');
    row_json_int(&body, "ops", result, 0, STATS_OPERATIONS);
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
        row_json_int(&body, counts[i], result, 0, STATS_FIRST + (int)i);
    row_json_time(&body, "last_sync_activity", result, 0, STATS_LAST_SYNC_ACTIVITY);
    row_json_int(&body, "mails_waiting", result, 0, STATS_MAILS_WAITING);
    row_json_int(&body, "mails_failed", result, 0, STATS_MAILS_FAILED);
    strbuf_printf(&body, ",\"smtp_configured\":%s", settings->mail.configured ? "true" : "false");
    strbuf_append_char(&body, '}');
    reply_json(request, 200, &body);
}

static void stats_settings(struct http_request *request, const struct db_result *result)
{
    struct db_params params;
    http_request_set_data(request, settings_read(request, result));
    http_request_params(request, &params);
    http_request_query(request, STMT_ADMIN_STATS, &params, stats_counted);
}

void admin_stats_get(struct http_request *request)
{
    struct db_params params;
    http_request_params(request, &params);
    http_request_query(request, STMT_ADMIN_SETTINGS, &params, stats_settings);
}
