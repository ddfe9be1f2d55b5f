/*
 * POST /api/client/pair, in a worker. The steps:
 *   pair_post        read and check the fields; count the attempt and find the account
 *   pair_begun       429, or the password to a hashing thread: a dummy hash when there is no such account
 *   pair_checked     401, or make token and device
 *   pair_finished    403 for blocked and unconfirmed accounts (only now, after the right password), 409 when there are
 *                    too many devices or vaults, or the device
 */
#include <string.h>

#include "api/handlers.h"
#include "api/password_check.h"
#include "api/refusals.h"
#include "auth/tokens.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/json_write.h"
#include "core/mem.h"
#include "db/params.h"
#include "db/result.h"
#include "http/json_fields.h"
#include "http/reply.h"
#include "http/request.h"

#define LOGIN_MAX 320
#define DEVICE_NAME_MAX 128
#define CLIENT_VERSION_MAX 256
#define VAULT_ID_MAX 256
#define VAULT_RESERVED "legacy:" /* keys of default vaults */

struct pair {
    struct json_text login, password, device_name, client_version, vault_id;
    int64_t user_id;
    const char *password_hash; /* the one that is checked */
    struct token token;
    char device_id[DEVICE_ID_LENGTH + 1];
};

enum { FINISHED_AUTH, FINISHED_USER_NAME, FINISHED_VAULT_ID, FINISHED_SERVER_TIME };
enum {
    FINISHED_OK = 0,
    FINISHED_GONE = 1,
    FINISHED_BLOCKED = 3,
    FINISHED_UNCONFIRMED = 4,
    FINISHED_DEVICES = 5,
    FINISHED_VAULTS = 6
};

static void pair_end(void *data)
{
    struct pair *pair = data;
    mem_wipe(&pair->token, sizeof(pair->token));
}

static void pair_answer(struct http_request *request, const struct pair *pair, const struct db_result *result)
{
    struct strbuf body = STRBUF_INIT;
    char time[CLOCK_RFC3339_SIZE];

    db_result_time(result, 0, FINISHED_SERVER_TIME, time);
    strbuf_printf(&body, "{\"user_id\":%lld,", (long long)pair->user_id);
    json_write_member(&body, "device_id", pair->device_id);
    strbuf_append_char(&body, ',');
    json_write_member(&body, "device_token", pair->token.text);
    strbuf_append_char(&body, ',');
    json_write_member(&body, "server_time", time);
    strbuf_append_str(&body, ",\"initial_sync_cursor\":0}");
    reply_json(request, 200, &body);
}

static void pair_finished(struct http_request *request, const struct db_result *result)
{
    const struct pair *pair = http_request_data(request);
    http_request_set_user(request, db_result_text(result, 0, FINISHED_USER_NAME, NULL));
    switch (db_result_int(result, 0, FINISHED_AUTH)) {
    case FINISHED_OK:
        pair_answer(request, pair, result);
        return;
    case FINISHED_BLOCKED:
        reply_error_text(request, ERROR_FORBIDDEN, "account blocked");
        return;
    case FINISHED_UNCONFIRMED:
        reply_error_text(request, ERROR_FORBIDDEN, "email not confirmed");
        return;
    case FINISHED_DEVICES:
        reply_error_text(request, ERROR_CONFLICT, "too many devices; revoke one that is no longer used");
        return;
    case FINISHED_VAULTS:
        reply_error_text(request, ERROR_CONFLICT, "too many vaults");
        return;
    default: /* gone or with another password since it was checked */
        reply_error_text(request, ERROR_UNAUTHORIZED, "invalid login or password");
    }
}

static void pair_checked(struct http_request *request, bool right)
{
    struct pair *pair = http_request_data(request);
    struct db_params params;

    if (!right) {
        refusals_record(request, "user", pair->user_id == 0 ? NULL : pair->login.s, "pair.refused");
        reply_error_text(request, ERROR_UNAUTHORIZED, "invalid login or password");
        return;
    }
    token_make(&pair->token);
    http_request_on_end(request, pair_end, pair);
    token_device_id(pair->device_id);
    http_request_params(request, &params);
    db_params_int8(&params, pair->user_id);
    db_params_str(&params, pair->password_hash);
    db_params_text(&params, pair->vault_id.s, pair->vault_id.len);
    db_params_str(&params, pair->device_id);
    db_params_bytes(&params, pair->token.hash, sizeof(pair->token.hash));
    db_params_text(&params, pair->token.text, 8);
    db_params_text(&params, pair->token.text + TOKEN_LENGTH - 4, 4);
    db_params_text(&params, pair->device_name.s, pair->device_name.len);
    db_params_text(&params, pair->client_version.s, pair->client_version.len);
    db_params_str(&params, http_request_address(request));
    db_params_bool(&params, http_request_config(request)->mail_device_notice);
    db_params_int8(&params, http_request_config(request)->limits_devices);
    db_params_int8(&params, http_request_config(request)->limits_vaults);
    http_request_query(request, STMT_PAIR_FINISH, &params, pair_finished);
}

static void pair_begun(struct http_request *request, const struct db_result *result)
{
    struct pair *pair = http_request_data(request);
    int64_t wait = db_result_int(result, 0, 0);

    if (wait > 0) {
        reply_retry_after(request, ERROR_RATE_LIMITED, wait);
        return;
    }
    pair->user_id = db_result_int(result, 0, 1);
    if (!db_result_null(result, 0, 2)) {
        size_t len;
        const char *hash = db_result_text(result, 0, 2, &len);
        pair->password_hash = http_request_strdup(request, hash, len);
    }
    password_check(request, pair->password.s, pair->password_hash, pair_checked);
}

/* Reads the fields with their defaults; false: answered. */
static bool pair_read(struct http_request *request, struct json_object *json, struct pair *pair)
{
    static const struct json_text nothing = {"", 0}, unknown = {"unknown", 7};
    *pair = (struct pair){nothing, nothing, nothing, nothing, nothing, 0, NULL, {{0}, {0}}, {0}};
    if (!json_field_text(request, json, "login", LOGIN_MAX, &pair->login) ||
        !json_field_text(request, json, "password", SIZE_MAX, &pair->password) ||
        !json_field_text(request, json, "device_name", DEVICE_NAME_MAX, &pair->device_name) ||
        !json_field_text(request, json, "client_version", CLIENT_VERSION_MAX, &pair->client_version) ||
        !json_field_text(request, json, "vault_id", VAULT_ID_MAX, &pair->vault_id))
        return false;
    pair->vault_id = json_text_trim(pair->vault_id);
    if (json_text_trim(pair->device_name).len == 0)
        pair->device_name = unknown;
    if (pair->login.len == 0 || pair->password.len == 0) {
        reply_error_text(request, ERROR_INVALID_REQUEST, "login and password are required");
        return false;
    }
    if (strncmp(pair->vault_id.s, VAULT_RESERVED, strlen(VAULT_RESERVED)) == 0) {
        reply_error_text(request, ERROR_INVALID_REQUEST, "vault_id must not begin with " VAULT_RESERVED);
        return false;
    }
    return true;
}

void pair_post(struct http_request *request)
{
    const struct attempt_limit limit = attempt_limit(http_request_config(request), ATTEMPT_PAIR);
    struct pair *pair = http_request_alloc(request, sizeof(*pair));
    struct db_params params;
    struct json_object *json = http_request_json(request);

    if (json == NULL || !pair_read(request, json, pair) || !password_check_possible(request))
        return;
    http_request_set_data(request, pair);
    http_request_params(request, &params);
    db_params_text(&params, pair->login.s, pair->login.len);
    db_params_str(&params, http_request_address(request));
    db_params_int8(&params, limit.limit);
    db_params_int8(&params, limit.window_ms);
    http_request_query(request, STMT_PAIR_BEGIN, &params, pair_begun);
}
