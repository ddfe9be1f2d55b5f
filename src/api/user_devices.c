/*
 * A person's devices, in a worker: GET /api/v1/user/devices, POST /api/v1/user/devices/{}/revoke. The steps of revoke:
 *
 *   user_devices_revoke  read the password, have it checked (api/user_password.c)
 *   revoke_allowed       revoke
 *   revoke_done          404 for a device of nobody or somebody else, or done
 */
#include "api/handlers.h"
#include "api/row_json.h"
#include "api/user_password.h"
#include "db/params.h"
#include "db/result.h"
#include "http/reply.h"
#include "http/request.h"

enum { /* columns of user_devices */
       DEVICES_ID = 2,
       DEVICES_NAME,
       DEVICES_CLIENT_VERSION,
       DEVICES_LAST_SEEN,
       DEVICES_REVOKED_AT,
       DEVICES_CREATED_AT
};
enum { REVOKE_REVOKED = 2 }; /* of user_device_revoke */

static void write_device(struct strbuf *out, const struct db_result *result, int row)
{
    strbuf_append_str(out, row == 0 ? "{" : ",{");
    row_json_text(out, "id", result, row, DEVICES_ID);
    row_json_text(out, "name", result, row, DEVICES_NAME);
    row_json_text(out, "client_version", result, row, DEVICES_CLIENT_VERSION);
    row_json_time(out, "last_seen", result, row, DEVICES_LAST_SEEN);
    row_json_time(out, "revoked_at", result, row, DEVICES_REVOKED_AT);
    row_json_time(out, "created_at", result, row, DEVICES_CREATED_AT);
    strbuf_append_char(out, '}');
}

static void devices_listed(struct http_request *request, const struct db_result *result)
{
    struct strbuf body = STRBUF_INIT;
    int rows = db_result_null(result, 0, DEVICES_ID) ? 0 : db_result_rows(result);

    strbuf_append_char(&body, '[');
    for (int row = 0; row < rows; row++)
        write_device(&body, result, row);
    strbuf_append_char(&body, ']');
    reply_json(request, 200, &body);
}

void user_devices_get(struct http_request *request)
{
    struct db_params params;
    http_request_params(request, &params);
    http_request_query(request, STMT_USER_DEVICES, &params, devices_listed);
}

static void revoke_done(struct http_request *request, const struct db_result *result)
{
    if (db_result_bool(result, 0, REVOKE_REVOKED))
        reply_status(request, "revoked");
    else
        reply_error_text(request, ERROR_NOT_FOUND, "device not found");
}

static void revoke_allowed(struct http_request *request, const char *hash)
{
    struct db_params params;
    http_request_params(request, &params);
    db_params_str(&params, http_request_arg(request));
    db_params_str(&params, hash);
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_USER_DEVICE_REVOKE, &params, revoke_done);
}

void user_devices_revoke(struct http_request *request)
{
    struct user_password *asked = http_request_alloc(request, sizeof(*asked));
    struct json_object *json = http_request_json(request);

    if (json == NULL || !json_field_text(request, json, "password", SIZE_MAX, &asked->given))
        return;
    asked->refused = "device.revoke.refused";
    http_request_set_data(request, asked);
    user_password_ask(request, revoke_allowed);
}
