/*
 * The password before a change, in a worker. The steps:
 *
 *   user_password_ask      count the attempt, get the hash
 *   user_password_begun    429, or the password to a hashing thread
 *   user_password_checked  403, or the handler's step
 */
#include "api/user_password.h"

#include "api/password_check.h"
#include "api/refusals.h"
#include "auth/attempts.h"
#include "db/params.h"
#include "db/result.h"
#include "http/reply.h"
#include "http/request.h"

enum { BEGUN_WAIT_SECONDS = 2, BEGUN_USER_ID, BEGUN_PASSWORD_HASH }; /* columns of user_password_begin */

void user_password_refuse(struct http_request *request)
{
    reply_error_text(request, ERROR_FORBIDDEN, "wrong password");
}

static void user_password_checked(struct http_request *request, bool right)
{
    const struct user_password *asked = http_request_data(request);
    if (right) {
        asked->step(request, asked->hash);
        return;
    }
    refusals_record(request, "user", http_request_user(request), asked->refused);
    user_password_refuse(request);
}

static void user_password_begun(struct http_request *request, const struct db_result *result)
{
    struct user_password *asked = http_request_data(request);
    int64_t wait = db_result_int(result, 0, BEGUN_WAIT_SECONDS);
    size_t len;

    if (wait > 0) {
        reply_retry_after(request, ERROR_RATE_LIMITED, wait);
        return;
    }
    const char *hash = db_result_text(result, 0, BEGUN_PASSWORD_HASH, &len);
    asked->hash = http_request_strdup(request, hash, len);
    password_check(request, asked->given.s, asked->hash, user_password_checked);
}

void user_password_ask(struct http_request *request, user_password_step *step)
{
    const struct attempt_limit limit = attempt_limit(http_request_config(request), ATTEMPT_LOGIN);
    struct user_password *asked = http_request_data(request);
    struct db_params params;

    if (asked->given.len == 0) {
        reply_error_text(request, ERROR_INVALID_REQUEST, "password is required");
        return;
    }
    if (!password_check_possible(request))
        return;
    asked->step = step;
    http_request_params(request, &params);
    db_params_str(&params, http_request_address(request));
    db_params_int8(&params, limit.limit);
    db_params_int8(&params, limit.window_ms);
    http_request_query(request, STMT_USER_PASSWORD_BEGIN, &params, user_password_begun);
}
