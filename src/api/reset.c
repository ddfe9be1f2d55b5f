/*
 * POST /api/v1/auth/reset, in a worker: a new password with the token of an e-mail, as JSON or from the form of the
 * page /reset. The steps:
 *
 *   reset_post    read and check the fields; count the attempt, look at the token
 *   reset_begun   429, 400, or the password to a hashing thread
 *   reset_hashed  set it; this ends the user's sessions
 *   reset_done    done, or 400 when the token was used in between
 *
 * A browser gets pages.
 */
#include <string.h>

#include "api/handlers.h"
#include "api/password_check.h"
#include "api/password_hash.h"
#include "auth/accounts.h"
#include "auth/tokens.h"
#include "db/params.h"
#include "db/result.h"
#include "http/reply.h"
#include "http/request.h"
#include "web/pages.h"

struct reset {
    const char *token, *new_password;
    unsigned char hash[DIGEST_SIZE]; /* of the token */
};

enum { BEGUN_WAIT_SECONDS, BEGUN_VALID }; /* columns of reset_begin */
enum { DONE_DONE, DONE_USER_NAME };       /* of reset_finish */

static void refuse(struct http_request *request)
{
    if (http_request_wants_html(request))
        pages_notice(request, PAGES_AT_AUTH, PAGES_RESET_REFUSED);
    else
        reply_error_text(request, ERROR_INVALID_REQUEST, "unknown, used or expired token");
}

static void reset_done(struct http_request *request, const struct db_result *result)
{
    if (!db_result_bool(result, 0, DONE_DONE)) {
        refuse(request);
        return;
    }
    http_request_set_user(request, db_result_text(result, 0, DONE_USER_NAME, NULL));
    if (http_request_wants_html(request))
        pages_notice(request, PAGES_AT_AUTH, PAGES_RESET_DONE);
    else
        reply_status(request, "password reset");
}

static void reset_hashed(struct http_request *request, const char *hash)
{
    const struct reset *reset = http_request_data(request);
    struct db_params params;

    http_request_params(request, &params);
    db_params_bytes(&params, reset->hash, sizeof(reset->hash));
    db_params_str(&params, hash);
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_RESET_FINISH, &params, reset_done);
}

static void reset_begun(struct http_request *request, const struct db_result *result)
{
    const struct reset *reset = http_request_data(request);
    int64_t wait = db_result_int(result, 0, BEGUN_WAIT_SECONDS);

    if (wait > 0 && http_request_wants_html(request))
        pages_wait(request, PAGES_AT_AUTH, wait);
    else if (wait > 0)
        reply_retry_after(request, ERROR_RATE_LIMITED, wait);
    else if (!db_result_bool(result, 0, BEGUN_VALID))
        refuse(request); /* not hashed first: nobody guesses 256 bits, so there is nothing that the time could tell */
    else
        password_hash(request, reset->new_password, reset_hashed);
}

/* False: answered. */
static bool reset_read(struct http_request *request, struct reset *reset)
{
    reset->token = reset->new_password = "";
    if (!http_request_form(request) || !http_request_form_field(request, "token", &reset->token) ||
        !http_request_form_field(request, "new_password", &reset->new_password))
        return false;
    if (*reset->token == '\0' && !http_request_wants_html(request)) {
        reply_error_text(request, ERROR_INVALID_REQUEST, "token is required");
        return false;
    }
    if (!token_hash(reset->token, strlen(reset->token), reset->hash)) {
        refuse(request);
        return false;
    }
    const char *fault = accounts_password_fault(reset->new_password, strlen(reset->new_password));
    if (fault == NULL)
        return true;
    if (http_request_wants_html(request))
        pages_reset(request, PAGES_AT_AUTH, reset->token, fault);
    else
        reply_error_text(request, ERROR_INVALID_REQUEST, "%s", fault);
    return false;
}

void reset_post(struct http_request *request)
{
    const struct attempt_limit limit = attempt_limit(http_request_config(request), ATTEMPT_RESET);
    struct reset *reset = http_request_alloc(request, sizeof(*reset));
    struct db_params params;

    if (!reset_read(request, reset) || !password_check_possible(request))
        return;
    http_request_set_data(request, reset);
    http_request_params(request, &params);
    db_params_bytes(&params, reset->hash, sizeof(reset->hash));
    db_params_str(&params, http_request_address(request));
    db_params_int8(&params, limit.limit);
    db_params_int8(&params, limit.window_ms);
    http_request_query(request, STMT_RESET_BEGIN, &params, reset_begun);
}
