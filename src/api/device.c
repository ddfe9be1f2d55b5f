/*
 * The device behind the token, in a worker: GET /api/client/me, POST /api/client/revoke-current and revoke-device. The
 * steps of revoke-device:
 *
 *   device_revoke           read the fields; count the attempt, find the device
 *   device_revoke_begun     429, or the password to a hashing thread
 *   device_revoke_checked   403 for a wrong password, 404 for a device of nobody or somebody else, or revoke
 *   device_revoke_finished  404 when it went in between, or done
 */
#include "api/handlers.h"
#include "api/password_check.h"
#include "api/refusals.h"
#include "api/row_json.h"
#include "core/config.h"
#include "db/params.h"
#include "db/result.h"
#include "http/json_fields.h"
#include "http/reply.h"
#include "http/request.h"

#define DEVICE_ID_MAX 128

enum { /* columns of device_me */
       ME_USER_NAME = 1,
       ME_DEVICE_ID = 3,
       ME_USER_ID,
       ME_DEVICE_NAME,
       ME_CLIENT_VERSION,
       ME_LAST_SEEN,
       ME_REVOKED_AT,
       ME_CREATED_AT,
       ME_VAULT_ID
};

static void me_found(struct http_request *request, const struct db_result *result)
{
    struct strbuf body = STRBUF_INIT;
    strbuf_append_char(&body, '{');
    row_json_int(&body, "user_id", result, 0, ME_USER_ID);
    row_json_text(&body, "device_id", result, 0, ME_DEVICE_ID);
    row_json_text(&body, "username", result, 0, ME_USER_NAME);
    row_json_text(&body, "device_name", result, 0, ME_DEVICE_NAME);
    row_json_text(&body, "client_version", result, 0, ME_CLIENT_VERSION);
    row_json_text(&body, "vault_id", result, 0, ME_VAULT_ID);
    row_json_time(&body, "last_seen", result, 0, ME_LAST_SEEN);
    row_json_time(&body, "revoked_at", result, 0, ME_REVOKED_AT);
    row_json_time(&body, "created_at", result, 0, ME_CREATED_AT);
    strbuf_append_char(&body, '}');
    reply_json(request, 200, &body);
}

void device_me(struct http_request *request)
{
    struct db_params params;
    http_request_params(request, &params);
    http_request_query(request, STMT_DEVICE_ME, &params, me_found);
}

static void revoked(struct http_request *request, const struct db_result *result UNUSED)
{
    reply_status(request, "revoked");
}

void device_revoke_current(struct http_request *request)
{
    struct db_params params;
    http_request_params(request, &params);
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_DEVICE_REVOKE_CURRENT, &params, revoked);
}

struct revoke {
    struct json_text device_id, password;
    const char *password_hash;
    bool found;
};

enum { REVOKE_WAIT_SECONDS = 3, REVOKE_FOUND, REVOKE_PASSWORD_HASH }; /* columns of device_revoke_begin */
enum { REVOKE_REVOKED = 3 };                                          /* of device_revoke_finish */

static void device_revoke_finished(struct http_request *request, const struct db_result *result)
{
    if (db_result_bool(result, 0, REVOKE_REVOKED))
        reply_status(request, "revoked");
    else
        reply_error_text(request, ERROR_NOT_FOUND, "device not found");
}

static void device_revoke_checked(struct http_request *request, bool right)
{
    const struct revoke *revoke = http_request_data(request);
    struct db_params params;

    if (!right) {
        refusals_record(request, "user", http_request_user(request), "device.revoke.refused");
        reply_error_text(request, ERROR_FORBIDDEN, "wrong password");
        return;
    }
    if (!revoke->found) {
        reply_error_text(request, ERROR_NOT_FOUND, "device not found");
        return;
    }
    http_request_params(request, &params);
    db_params_text(&params, revoke->device_id.s, revoke->device_id.len);
    db_params_str(&params, revoke->password_hash);
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_DEVICE_REVOKE_FINISH, &params, device_revoke_finished);
}

static void device_revoke_begun(struct http_request *request, const struct db_result *result)
{
    struct revoke *revoke = http_request_data(request);
    int64_t wait = db_result_int(result, 0, REVOKE_WAIT_SECONDS);
    size_t len;

    if (wait > 0) {
        reply_retry_after(request, ERROR_RATE_LIMITED, wait);
        return;
    }
    const char *hash = db_result_text(result, 0, REVOKE_PASSWORD_HASH, &len);
    revoke->password_hash = http_request_strdup(request, hash, len);
    revoke->found = db_result_bool(result, 0, REVOKE_FOUND);
    password_check(request, revoke->password.s, revoke->password_hash, device_revoke_checked);
}

void device_revoke(struct http_request *request)
{
    const struct attempt_limit limit = attempt_limit(http_request_config(request), ATTEMPT_LOGIN);
    struct revoke *revoke = http_request_alloc(request, sizeof(*revoke));
    struct db_params params;
    struct json_object *json = http_request_json(request);

    if (json == NULL || !json_field_text(request, json, "device_id", DEVICE_ID_MAX, &revoke->device_id) ||
        !json_field_text(request, json, "password", SIZE_MAX, &revoke->password))
        return;
    if (revoke->device_id.len == 0 || revoke->password.len == 0) {
        reply_error_text(request, ERROR_INVALID_REQUEST, "device_id and password are required");
        return;
    }
    if (!password_check_possible(request))
        return;
    http_request_set_data(request, revoke);
    http_request_params(request, &params);
    db_params_text(&params, revoke->device_id.s, revoke->device_id.len);
    db_params_str(&params, http_request_address(request));
    db_params_int8(&params, limit.limit);
    db_params_int8(&params, limit.window_ms);
    http_request_query(request, STMT_DEVICE_REVOKE_BEGIN, &params, device_revoke_begun);
}
