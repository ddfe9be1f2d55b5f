/*
 * POST /api/v1/sync/pull, in a worker. The steps:
 *   sync_pull_post  read the cursor and the page's limit, one statement: sql/queries/sync_pull.sql
 *   pulled          write the page straight from the rows
 */
#include "api/handlers.h"
#include "core/config.h"
#include "core/json_write.h"
#include "db/params.h"
#include "db/result.h"
#include "http/json_fields.h"
#include "http/reply.h"
#include "http/request.h"

enum { /* columns */
       PULLED_SERVER_SEQUENCE = 3,
       PULLED_OP_ID,
       PULLED_SEQUENCE,
       PULLED_DEVICE_ID,
       PULLED_ENTITY_TYPE,
       PULLED_ENTITY_ID,
       PULLED_OP_TYPE,
       PULLED_PAYLOAD,
       PULLED_CREATED_AT
};

/* Where the cursor is kept between the steps. */
struct pull {
    int64_t since;
};

static void write_text(struct strbuf *out, const char *name, const struct db_result *result, int row, int column)
{
    size_t len;
    const char *text = db_result_text(result, row, column, &len);
    strbuf_append_str(out, name);
    json_write_string(out, text, len);
}

static void write_operation(struct strbuf *out, const struct db_result *result, int row)
{
    write_text(out, "{\"op_id\":", result, row, PULLED_OP_ID);
    strbuf_append_str(out, ",\"server_sequence\":");
    json_write_int(out, db_result_int(result, row, PULLED_SEQUENCE));
    write_text(out, ",\"device_id\":", result, row, PULLED_DEVICE_ID);
    write_text(out, ",\"entity_type\":", result, row, PULLED_ENTITY_TYPE);
    write_text(out, ",\"entity_id\":", result, row, PULLED_ENTITY_ID);
    write_text(out, ",\"op_type\":", result, row, PULLED_OP_TYPE);
    write_text(out, ",\"payload_json\":", result, row, PULLED_PAYLOAD);
    write_text(out, ",\"created_at\":", result, row, PULLED_CREATED_AT);
    strbuf_append_char(out, '}');
}

/* What the page will take: texts, escapes for a payload that is JSON itself, names. */
static size_t page_size(const struct db_result *result, int rows)
{
    size_t size = 256;
    for (int row = 0; row < rows; row++) {
        size_t payload, entity, created;
        db_result_text(result, row, PULLED_PAYLOAD, &payload);
        db_result_text(result, row, PULLED_ENTITY_ID, &entity);
        db_result_text(result, row, PULLED_CREATED_AT, &created);
        size += 400 + entity + created + payload + payload / 8;
    }
    return size;
}

static void pulled(struct http_request *request, const struct db_result *result)
{
    const struct pull *pull = http_request_data(request);
    struct strbuf page = STRBUF_INIT;
    int rows = db_result_null(result, 0, PULLED_OP_ID) ? 0 : db_result_rows(result);
    int64_t server = db_result_int(result, 0, PULLED_SERVER_SEQUENCE);
    int64_t last = rows == 0 ? pull->since : db_result_int(result, rows - 1, PULLED_SEQUENCE);

    strbuf_reserve(&page, page_size(result, rows));
    strbuf_append_str(&page, "{\"server_sequence\":");
    json_write_int(&page, server);
    strbuf_append_str(&page, ",\"page_last_sequence\":");
    json_write_int(&page, last);
    strbuf_append_str(&page, last < server ? ",\"has_more\":true,\"ops\":[" : ",\"has_more\":false,\"ops\":[");
    for (int row = 0; row < rows; row++) {
        if (row > 0)
            strbuf_append_char(&page, ',');
        write_operation(&page, result, row);
    }
    strbuf_append_str(&page, "]}");
    reply_json(request, 200, &page);
}

void sync_pull_post(struct http_request *request)
{
    const struct config *config = http_request_config(request);
    struct pull *pull = http_request_alloc(request, sizeof(*pull));
    struct db_params params;
    int64_t limit = 0;
    struct json_object *json = http_request_json(request);

    if (json == NULL || !json_field_int(request, json, "since_sequence", &pull->since) ||
        !json_field_int(request, json, "page_limit", &limit))
        return;
    if (pull->since < 0 || limit < 0) {
        reply_error_text(request, ERROR_INVALID_REQUEST, "since_sequence and page_limit must not be negative");
        return;
    }
    if (limit == 0 || limit > config->limits_pull_operations)
        limit = config->limits_pull_operations;
    http_request_set_data(request, pull);
    http_request_params(request, &params);
    db_params_int8(&params, pull->since);
    db_params_int4(&params, (int32_t)limit);
    db_params_int8(&params, config->limits_pull_bytes);
    http_request_query(request, STMT_SYNC_PULL, &params, pulled);
}
