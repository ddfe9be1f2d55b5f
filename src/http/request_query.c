/*
 * A request's database calls, in a worker: binds the credential, submits, and looks at the outcome and the verdict on
 * the caller before the handler's step sees the result.
 */
#include <assert.h>
#include <string.h>

#include "auth/admins.h"
#include "auth/caller.h"
#include "core/log.h"
#include "db/pool.h"
#include "http/reply.h"
#include "http/request_private.h"

void http_request_params(struct http_request *request, struct db_params *params_r)
{
    db_params_init(params_r);
    if (request->route->who == CALLER_ANYONE)
        return;
    assert(request->has_credential);
    db_params_bytes(params_r, request->credential, sizeof(request->credential));
    memcpy(&params_r->owner, request->credential, sizeof(params_r->owner));
    if (request->route->who == CALLER_ADMIN)
        admins_bind(request->context->config, params_r);
}

/* PostgreSQL rolled it back for a reason that may be over when the client asks again. */
static bool failure_passes(const struct db_result *result)
{
    static const char *const states[] = {
        "57014", /* query_canceled: database.statement_timeout */
        "55P03", /* lock_not_available */
        "40001", /* serialization_failure, for the second time */
        "40P01", /* deadlock_detected, for the second time */
    };
    for (size_t i = 0; i < ARRAY_SIZE(states); ++i)
        if (strcmp(result->sqlstate, states[i]) == 0)
            return true;
    return false;
}

static void answer_failure(struct http_request *request, const struct db_result *result)
{
    switch (result->outcome) {
    case DB_FAILED:
        if (!failure_passes(result)) {
            reply_internal(request, "statement failed with %s: %s", result->sqlstate, result->message);
            return;
        }
        log_warning("request %s: statement ended with %s: %s", request->id, result->sqlstate, result->message);
        break;
    case DB_UNKNOWN:
        log_warning("request %s: connection to the database lost, unknown whether it was written: %s", request->id,
                    result->message);
        break;
    case DB_UNAVAILABLE:
        log_warning("request %s: database unavailable: %s", request->id, result->message);
        break;
    case DB_OK:
        break;
    }
    reply_retry_after(request, ERROR_UNAVAILABLE, 2);
}

static void answer_verdict(struct http_request *request, enum auth_verdict verdict)
{
    switch (verdict) {
    case AUTH_UNKNOWN:
        reply_error(request, ERROR_UNAUTHORIZED);
        return;
    case AUTH_REVOKED:
        reply_error_text(request, ERROR_UNAUTHORIZED, "device revoked");
        return;
    case AUTH_BLOCKED:
        reply_error_text(request, ERROR_FORBIDDEN, "account blocked");
        return;
    case AUTH_OK:
        break;
    }
    reply_internal(request, "statement returned the unknown verdict %d on its caller", (int)verdict);
}

/* last_seen is over a minute old: noted besides, nobody waits for it. */
static void touch_device(struct http_request *request)
{
    struct db_params params;
    request->touched = true;
    db_params_init(&params);
    db_params_bytes(&params, request->credential, sizeof(request->credential));
    db_params_str(&params, request->address);
    (void)db_pool_submit(request->context->db, STMT_DEVICE_TOUCH, &params, request->deadline, NULL, NULL);
}

/* Columns: auth int4, user_name text, and for devices touch bool. False: answered. */
static bool admit_caller(struct http_request *request, const struct db_result *result)
{
    if (request->route->who == CALLER_ANYONE)
        return true;
    if (db_result_rows(result) < 1) {
        reply_internal(request, "statement returned no verdict on its caller");
        return false;
    }
    size_t len;
    const char *name = db_result_text(result, 0, 1, &len);
    if (len > 0)
        request->user = http_request_strdup(request, name, len);
    enum auth_verdict verdict = (enum auth_verdict)db_result_int(result, 0, 0);
    if (verdict != AUTH_OK) {
        answer_verdict(request, verdict);
        return false;
    }
    if (request->route->who == CALLER_DEVICE && !request->touched && db_result_bool(result, 0, 2))
        touch_device(request);
    return true;
}

static void query_done(void *arg, const struct db_result *result)
{
    struct http_request *request = arg;
    request->query = NULL;
    http_request_set_state(request, HTTP_REQUEST_RUNNING);
    if (result->outcome != DB_OK)
        answer_failure(request, result);
    else if (admit_caller(request, result))
        request->query_step(request, result);
    http_request_release(request);
}

void http_request_query(struct http_request *request, enum db_statement statement, struct db_params *params,
                        http_query_step *step)
{
    http_request_reference(request);
    http_request_set_state(request, HTTP_REQUEST_QUERY);
    request->query_step = step;
    request->query = db_pool_submit(request->context->db, statement, params, request->deadline, query_done, request);
}

void http_request_cancel_query(struct http_request *request)
{
    if (request->query == NULL)
        return;
    db_pool_cancel(&request->query);
    request->query = NULL;
    http_request_release(request);
}
