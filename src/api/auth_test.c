/*
 * POST /api/auth/test, in a worker: is this the right password? The steps:
 *   auth_test_post     read the fields; count the attempt and find the account
 *   auth_test_begun    429, or the password to a hashing thread
 *   auth_test_checked  401, 403 for blocked and unconfirmed accounts, or ok. Nothing is made.
 */
#include "api/handlers.h"
#include "api/password_check.h"
#include "api/refusals.h"
#include "core/config.h"
#include "db/params.h"
#include "db/result.h"
#include "http/json_fields.h"
#include "http/reply.h"
#include "http/request.h"

#define USERNAME_MAX 320 /* a name or an address, as for pairing */

struct auth_test {
    struct json_text username, password;
    bool known, blocked, confirmed;
};

static void auth_test_checked(struct http_request *request, bool right)
{
    const struct auth_test *test = http_request_data(request);
    if (!right) {
        refusals_record(request, "user", test->known ? test->username.s : NULL, "auth.test.refused");
        reply_error_text(request, ERROR_UNAUTHORIZED, "invalid login or password");
        return;
    }
    http_request_set_user(request, test->username.s);
    if (test->blocked)
        reply_error_text(request, ERROR_FORBIDDEN, "account blocked");
    else if (!test->confirmed)
        reply_error_text(request, ERROR_FORBIDDEN, "email not confirmed");
    else
        reply_status(request, "ok");
}

static void auth_test_begun(struct http_request *request, const struct db_result *result)
{
    struct auth_test *test = http_request_data(request);
    int64_t wait = db_result_int(result, 0, 0);

    if (wait > 0) {
        reply_retry_after(request, ERROR_RATE_LIMITED, wait);
        return;
    }
    test->known = !db_result_null(result, 0, 2);
    test->blocked = db_result_bool(result, 0, 3);
    test->confirmed = db_result_bool(result, 0, 4);
    password_check(request, test->password.s, test->known ? db_result_text(result, 0, 2, NULL) : NULL,
                   auth_test_checked);
}

void auth_test_post(struct http_request *request)
{
    const struct attempt_limit limit = attempt_limit(http_request_config(request), ATTEMPT_LOGIN);
    struct auth_test *test = http_request_alloc(request, sizeof(*test));
    struct db_params params;
    struct json_object *json = http_request_json(request);

    if (json == NULL || !json_field_text(request, json, "username", USERNAME_MAX, &test->username) ||
        !json_field_text(request, json, "password", SIZE_MAX, &test->password))
        return;
    if (test->username.len == 0 || test->password.len == 0) {
        reply_error_text(request, ERROR_INVALID_REQUEST, "username and password are required");
        return;
    }
    if (!password_check_possible(request))
        return;
    http_request_set_data(request, test);
    http_request_params(request, &params);
    db_params_text(&params, test->username.s, test->username.len);
    db_params_str(&params, http_request_address(request));
    db_params_int8(&params, limit.limit);
    db_params_int8(&params, limit.window_ms);
    http_request_query(request, STMT_LOGIN_BEGIN, &params, auth_test_begun);
}
