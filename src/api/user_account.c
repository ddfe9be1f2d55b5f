/*
 * A person's own account, in a worker: GET /api/v1/user/me, POST /api/v1/user/password, /email and /delete. Each change
 * begins with the password (api/user_password.c); the steps after it:
 *
 *   password  password_allowed (hash the new one), password_hashed (set it, end the other sessions), password_changed
 *   email     email_allowed (token and e-mail to the new address), email_asked (429: it got too many)
 *   delete    delete_allowed (the account and what it owns; blobs go with the janitor), account_deleted
 */
#include <string.h>

#include "api/handlers.h"
#include "api/password_hash.h"
#include "api/row_json.h"
#include "api/statement_error.h"
#include "api/user_password.h"
#include "auth/accounts.h"
#include "auth/attempts.h"
#include "auth/csrf.h"
#include "auth/tokens.h"
#include "core/json_write.h"
#include "core/mem.h"
#include "db/params.h"
#include "db/result.h"
#include "http/cookies.h"
#include "http/reply.h"
#include "http/request.h"

enum { /* columns of user_me */
       ME_USER_NAME = 1,
       ME_USER_ID,
       ME_EMAIL,
       ME_NEW_EMAIL,
       ME_LOCALE,
       ME_CREATED_AT,
       ME_EXPIRES_AT
};
enum { PASSWORD_CHANGED = 2 };                     /* of user_password_change */
enum { EMAIL_WAIT_SECONDS = 2, EMAIL_ERROR_CODE }; /* of user_email_change */
enum { DELETE_DELETED = 2 };                       /* of user_delete_self */

struct change {
    struct user_password asked; /* first: user_password.h */
    struct json_text text;      /* the new password or address */
    struct token token;
};

static void me_found(struct http_request *request, const struct db_result *result)
{
    struct strbuf body = STRBUF_INIT;
    const char *session = http_request_session(request);
    char csrf[DIGEST_HEX_SIZE];

    csrf_token(session, strlen(session), csrf);
    strbuf_append_char(&body, '{');
    row_json_int(&body, "user_id", result, 0, ME_USER_ID);
    row_json_text(&body, "username", result, 0, ME_USER_NAME);
    row_json_text(&body, "email", result, 0, ME_EMAIL);
    row_json_text(&body, "new_email", result, 0, ME_NEW_EMAIL);
    row_json_text(&body, "locale", result, 0, ME_LOCALE);
    row_json_time(&body, "created_at", result, 0, ME_CREATED_AT);
    row_json_time(&body, "expires_at", result, 0, ME_EXPIRES_AT);
    strbuf_append_char(&body, ',');
    json_write_member(&body, "csrf_token", csrf);
    strbuf_append_char(&body, '}');
    reply_json(request, 200, &body);
}

void user_account_me(struct http_request *request)
{
    struct db_params params;
    http_request_params(request, &params);
    http_request_query(request, STMT_USER_ME, &params, me_found);
}

static void change_end(void *data)
{
    struct change *change = data;
    mem_wipe(&change->token, sizeof(change->token));
}

/* The fields `password` and, when it is named, `field`. NULL: answered. */
static struct change *change_read(struct http_request *request, const char *field, const char *refused)
{
    struct change *change = http_request_alloc(request, sizeof(*change));
    struct json_object *json = http_request_json(request);

    if (json == NULL || !json_field_text(request, json, "password", SIZE_MAX, &change->asked.given) ||
        (field != NULL && !json_field_text(request, json, field, SIZE_MAX, &change->text)))
        return NULL;
    change->asked.refused = refused;
    http_request_set_data(request, change);
    return change;
}

static void password_changed(struct http_request *request, const struct db_result *result)
{
    if (db_result_bool(result, 0, PASSWORD_CHANGED))
        reply_status(request, "password changed");
    else
        user_password_refuse(request);
}

static void password_hashed(struct http_request *request, const char *hash)
{
    const struct change *change = http_request_data(request);
    struct db_params params;

    http_request_params(request, &params);
    db_params_str(&params, change->asked.hash);
    db_params_str(&params, hash);
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_USER_PASSWORD_CHANGE, &params, password_changed);
}

static void password_allowed(struct http_request *request, const char *hash UNUSED)
{
    const struct change *change = http_request_data(request);
    password_hash(request, change->text.s, password_hashed);
}

void user_account_password(struct http_request *request)
{
    struct change *change = change_read(request, "new_password", "user.password.refused");
    if (change == NULL)
        return;
    const char *fault = accounts_password_fault(change->text.s, change->text.len);
    if (fault != NULL)
        reply_error_text(request, ERROR_INVALID_REQUEST, "%s", fault);
    else
        user_password_ask(request, password_allowed);
}

static void email_asked(struct http_request *request, const struct db_result *result)
{
    int64_t wait = db_result_int(result, 0, EMAIL_WAIT_SECONDS);
    if (wait > 0)
        reply_retry_after(request, ERROR_RATE_LIMITED, wait);
    else if (!statement_error_answered(request, result, EMAIL_ERROR_CODE))
        reply_status(request, "confirmation_sent");
}

static void email_allowed(struct http_request *request, const char *hash)
{
    const struct attempt_limit limit = attempt_limit(http_request_config(request), ATTEMPT_REGISTER);
    struct change *change = http_request_data(request);
    struct db_params params;

    token_make(&change->token);
    http_request_on_end(request, change_end, change);
    http_request_params(request, &params);
    db_params_str(&params, hash);
    db_params_text(&params, change->text.s, change->text.len);
    db_params_bytes(&params, change->token.hash, sizeof(change->token.hash));
    db_params_str(&params, change->token.text);
    db_params_str(&params, http_request_address(request));
    db_params_int8(&params, limit.limit);
    db_params_int8(&params, limit.window_ms);
    http_request_query(request, STMT_USER_EMAIL_CHANGE, &params, email_asked);
}

void user_account_email(struct http_request *request)
{
    struct change *change = change_read(request, "email", "user.email.refused");
    if (change == NULL)
        return;
    const char *fault = accounts_email_fault(change->text.s, change->text.len);
    if (fault != NULL)
        reply_error_text(request, ERROR_INVALID_REQUEST, "%s", fault);
    else
        user_password_ask(request, email_allowed);
}

static void account_deleted(struct http_request *request, const struct db_result *result)
{
    if (!db_result_bool(result, 0, DELETE_DELETED)) {
        user_password_refuse(request);
        return;
    }
    reply_session_cookie(request, COOKIES_USER_SESSION, "/", "", 0);
    reply_status(request, "deleted");
}

static void delete_allowed(struct http_request *request, const char *hash)
{
    struct db_params params;
    http_request_params(request, &params);
    db_params_str(&params, hash);
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_USER_DELETE_SELF, &params, account_deleted);
}

void user_account_delete(struct http_request *request)
{
    if (change_read(request, NULL, "user.delete.refused") != NULL)
        user_password_ask(request, delete_allowed);
}
