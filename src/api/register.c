/*
 * POST /api/v1/auth/register, in a worker: an account that somebody makes for themselves. The steps:
 *
 *   register_post    read and check the fields; count the attempt
 *   register_begun   429, 403 when registration is closed, or the password to a hashing thread. It is hashed before
 *                    anybody knows whether the name is taken, so that the time does not tell
 *   register_hashed  make the account, its token and the e-mail that carries it
 *   register_done    409, 400, or "confirmation_sent"
 */
#include "api/handlers.h"
#include "api/password_check.h"
#include "api/password_hash.h"
#include "api/statement_error.h"
#include "auth/accounts.h"
#include "auth/tokens.h"
#include "core/config.h"
#include "core/mem.h"
#include "db/params.h"
#include "db/result.h"
#include "http/json_fields.h"
#include "http/reply.h"
#include "http/request.h"
#include "mail/locale.h"

struct registration {
    struct json_text username, email, password;
    struct token token;
};

enum { BEGUN_WAIT_SECONDS, BEGUN_IS_OPEN }; /* columns of register_begin */
enum { DONE_ERROR_CODE };                   /* of register_finish */

static void registration_end(void *data)
{
    struct registration *registration = data;
    mem_wipe(&registration->token, sizeof(registration->token));
}

/* '' where an admin's setting decides. */
static const char *fixed_registration(struct http_request *request)
{
    const struct config *config = http_request_config(request);
    return config_is_set(config, "server.registration") ? config->server_registration : "";
}

static void register_done(struct http_request *request, const struct db_result *result)
{
    const struct registration *registration = http_request_data(request);
    if (statement_error_answered(request, result, DONE_ERROR_CODE))
        return;
    http_request_set_user(request, registration->username.s);
    reply_status(request, "confirmation_sent");
}

static void register_hashed(struct http_request *request, const char *hash)
{
    struct registration *registration = http_request_data(request);
    struct db_params params;

    token_make(&registration->token);
    http_request_on_end(request, registration_end, registration);
    http_request_params(request, &params);
    db_params_text(&params, registration->username.s, registration->username.len);
    db_params_text(&params, registration->email.s, registration->email.len);
    db_params_str(&params, hash);
    db_params_str(&params, locale_pick(http_request_header(request, "accept-language")));
    db_params_bytes(&params, registration->token.hash, sizeof(registration->token.hash));
    db_params_str(&params, registration->token.text);
    db_params_str(&params, http_request_address(request));
    db_params_str(&params, fixed_registration(request));
    http_request_query(request, STMT_REGISTER_FINISH, &params, register_done);
}

static void register_begun(struct http_request *request, const struct db_result *result)
{
    const struct registration *registration = http_request_data(request);
    int64_t wait = db_result_int(result, 0, BEGUN_WAIT_SECONDS);

    if (wait > 0)
        reply_retry_after(request, ERROR_RATE_LIMITED, wait);
    else if (!db_result_bool(result, 0, BEGUN_IS_OPEN))
        reply_error_text(request, ERROR_FORBIDDEN, "registration is closed");
    else
        password_hash(request, registration->password.s, register_hashed);
}

/* False: answered. */
static bool register_read(struct http_request *request, struct registration *registration)
{
    struct json_object *json = http_request_json(request);
    if (json == NULL || !json_field_text(request, json, "username", SIZE_MAX, &registration->username) ||
        !json_field_text(request, json, "email", SIZE_MAX, &registration->email) ||
        !json_field_text(request, json, "password", SIZE_MAX, &registration->password))
        return false;
    const char *fault = accounts_name_fault(registration->username.s, registration->username.len);
    if (fault == NULL)
        fault = accounts_email_fault(registration->email.s, registration->email.len);
    if (fault == NULL)
        fault = accounts_password_fault(registration->password.s, registration->password.len);
    if (fault != NULL)
        reply_error_text(request, ERROR_INVALID_REQUEST, "%s", fault);
    return fault == NULL;
}

void register_post(struct http_request *request)
{
    const struct attempt_limit limit = attempt_limit(http_request_config(request), ATTEMPT_REGISTER);
    struct registration *registration = http_request_alloc(request, sizeof(*registration));
    struct db_params params;

    if (!register_read(request, registration) || !password_check_possible(request))
        return;
    http_request_set_data(request, registration);
    http_request_params(request, &params);
    db_params_text(&params, registration->username.s, registration->username.len);
    db_params_text(&params, registration->email.s, registration->email.len);
    db_params_str(&params, http_request_address(request));
    db_params_int8(&params, limit.limit);
    db_params_int8(&params, limit.window_ms);
    db_params_str(&params, fixed_registration(request));
    http_request_query(request, STMT_REGISTER_BEGIN, &params, register_begun);
}
