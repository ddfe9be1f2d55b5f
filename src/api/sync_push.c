/*
 * POST /api/v1/sync/push, in a worker. The steps:
 *   sync_push_post  parse and check the body (api/push_parse.h), one statement: sql/functions/60_sync_push.sql
 *   pushed          the answer that the statement made, or its refusal
 */
#include "api/handlers.h"
#include "api/push_parse.h"
#include "api/statement_error.h"
#include "core/config.h"
#include "db/params.h"
#include "db/result.h"
#include "http/reply.h"
#include "http/request.h"

enum { PUSHED_ERROR_CODE = 3, PUSHED_ANSWER = 5 }; /* columns */

static void pushed(struct http_request *request, const struct db_result *result)
{
    struct strbuf answer = STRBUF_INIT;
    size_t len;

    if (statement_error_answered(request, result, PUSHED_ERROR_CODE))
        return;
    const char *text = db_result_text(result, 0, PUSHED_ANSWER, &len);
    strbuf_append(&answer, text, len);
    reply_json(request, 200, &answer);
}

static void bind_texts(struct db_params *params, const struct push *push, size_t member)
{
    db_params_array_begin(params, DB_ARRAY_TEXT, push->count);
    for (size_t i = 0; i < push->count; i++) {
        const struct push_text *text = (const struct push_text *)((const char *)&push->operations[i] + member);
        db_params_array_element(params, text->s, text->len);
    }
    db_params_array_end(params);
}

static void bind_numbers(struct db_params *params, const struct push *push, size_t member)
{
    db_params_array_begin(params, DB_ARRAY_INT8, push->count);
    for (size_t i = 0; i < push->count; i++)
        db_params_array_int8(params, *(const int64_t *)((const char *)&push->operations[i] + member));
    db_params_array_end(params);
}

static void bind_blobs(struct db_params *params, const struct push *push)
{
    db_params_array_begin(params, DB_ARRAY_BYTEA, push->blob_count);
    for (size_t i = 0; i < push->blob_count; i++)
        db_params_array_element(params, push->blobs[i].sha256, DIGEST_SIZE);
    db_params_array_end(params);
    db_params_array_begin(params, DB_ARRAY_INT8, push->blob_count);
    for (size_t i = 0; i < push->blob_count; i++)
        db_params_array_int8(params, push->blobs[i].size);
    db_params_array_end(params);
}

/* $2 to $12. */
static void bind(struct db_params *params, const struct push *push)
{
    db_params_text(params, push->idempotency_key.s, push->idempotency_key.len);
    bind_texts(params, push, offsetof(struct push_operation, op_id));
    bind_texts(params, push, offsetof(struct push_operation, entity_type));
    bind_texts(params, push, offsetof(struct push_operation, entity_id));
    bind_texts(params, push, offsetof(struct push_operation, op_type));
    bind_texts(params, push, offsetof(struct push_operation, payload));
    bind_numbers(params, push, offsetof(struct push_operation, client_sequence));
    bind_numbers(params, push, offsetof(struct push_operation, last_seen));
    bind_texts(params, push, offsetof(struct push_operation, created_at));
    bind_blobs(params, push);
}

void sync_push_post(struct http_request *request)
{
    const struct config *config = http_request_config(request);
    const struct push_limits limits = {
        .operations = (size_t)config->limits_push_operations,
        .payload = (size_t)config->limits_push_payload,
    };
    struct strbuf error = STRBUF_INIT;
    struct db_params params;
    struct push push;
    enum error_code code;
    size_t len;
    const char *body = http_request_body(request, &len);

    if (!push_parse(body, len, &limits, &push, &code, &error)) {
        reply_error_text(request, code, "%s", error.data);
        strbuf_release(&error);
        return;
    }
    http_request_params(request, &params);
    bind(&params, &push);
    push_release(&push);
    http_request_query(request, STMT_SYNC_PUSH, &params, pushed);
}
