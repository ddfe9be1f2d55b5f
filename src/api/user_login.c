/*
 * A person's session, in a worker: POST /api/v1/auth/login, /api/v1/user/logout and /api/v1/user/logout-all. The steps
 * of a login:
 *
 *   user_login_post     read the fields; count the attempt and find the account
 *   user_login_begun    429, or the password to a hashing thread: a dummy hash when there is no such account
 *   user_login_checked  401, or make the session; the one whose cookie came with the login ends
 *   user_login_made     403 for blocked and unconfirmed accounts (only now, after the right password), or the session
 */
#include <string.h>

#include "api/handlers.h"
#include "api/password_check.h"
#include "api/refusals.h"
#include "auth/csrf.h"
#include "auth/tokens.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/json_write.h"
#include "core/mem.h"
#include "db/params.h"
#include "db/result.h"
#include "http/cookies.h"
#include "http/json_fields.h"
#include "http/reply.h"
#include "http/request.h"

#define SESSION_SECONDS 86400
#define USERNAME_MAX 320 /* a name or an address, as for pairing */

struct user_login {
    struct json_text username, password;
    int64_t user_id;           /* 0: no such account */
    const char *password_hash; /* the one that is checked */
    struct token token;
};

enum { BEGUN_WAIT_SECONDS, BEGUN_USER_ID, BEGUN_PASSWORD_HASH }; /* columns of login_begin */
enum { MADE_AUTH, MADE_USER_NAME, MADE_EXPIRES_AT };             /* of user_login */
enum { MADE_OK = 0, MADE_GONE = 1, MADE_BLOCKED = 3, MADE_UNCONFIRMED = 4 };
enum { LOGOUT_ALL_ENDED = 2 }; /* of user_logout_all */

static void user_login_end(void *data)
{
    struct user_login *login = data;
    mem_wipe(&login->token, sizeof(login->token));
}

static void set_cookie(struct http_request *request, const char *value, int64_t max_age)
{
    reply_session_cookie(request, COOKIES_USER_SESSION, "/", value, max_age);
}

static void reply_session(struct http_request *request, const struct user_login *login, const struct db_result *result)
{
    struct strbuf body = STRBUF_INIT;
    char csrf[DIGEST_HEX_SIZE], expires_at[CLOCK_RFC3339_SIZE];

    csrf_token(login->token.text, TOKEN_LENGTH, csrf);
    db_result_time(result, 0, MADE_EXPIRES_AT, expires_at);
    strbuf_append_char(&body, '{');
    json_write_member(&body, "token", login->token.text);
    strbuf_printf(&body, ",\"user_id\":%lld,", (long long)login->user_id);
    json_write_member(&body, "csrf_token", csrf);
    strbuf_append_char(&body, ',');
    json_write_member(&body, "expires_at", expires_at);
    strbuf_append_char(&body, '}');
    set_cookie(request, login->token.text, SESSION_SECONDS);
    reply_json(request, 200, &body);
}

static void user_login_made(struct http_request *request, const struct db_result *result)
{
    const struct user_login *login = http_request_data(request);
    http_request_set_user(request, db_result_text(result, 0, MADE_USER_NAME, NULL));
    switch (db_result_int(result, 0, MADE_AUTH)) {
    case MADE_OK:
        reply_session(request, login, result);
        return;
    case MADE_BLOCKED:
        reply_error_text(request, ERROR_FORBIDDEN, "account blocked");
        return;
    case MADE_UNCONFIRMED:
        reply_error_text(request, ERROR_FORBIDDEN, "email not confirmed");
        return;
    default: /* gone or with another password since it was checked */
        reply_error_text(request, ERROR_UNAUTHORIZED, "invalid login or password");
    }
}

/* $5: the session that the browser had so far; empty for none. Whoever planted it there must not share the new one. */
static void bind_former_session(struct http_request *request, struct db_params *params)
{
    unsigned char hash[DIGEST_SIZE];
    const char *token = http_request_cookie(request, COOKIES_USER_SESSION);
    bool there = token != NULL && token_hash(token, strlen(token), hash);
    db_params_bytes(params, hash, there ? sizeof(hash) : 0);
}

static void user_login_checked(struct http_request *request, bool right)
{
    struct user_login *login = http_request_data(request);
    struct db_params params;

    if (!right) {
        refusals_record(request, "user", login->user_id == 0 ? NULL : login->username.s, "user.login.refused");
        reply_error_text(request, ERROR_UNAUTHORIZED, "invalid login or password");
        return;
    }
    token_make(&login->token);
    http_request_on_end(request, user_login_end, login);
    http_request_params(request, &params);
    db_params_int8(&params, login->user_id);
    db_params_str(&params, login->password_hash);
    db_params_bytes(&params, login->token.hash, sizeof(login->token.hash));
    db_params_int8(&params, INT64_C(1000) * SESSION_SECONDS);
    bind_former_session(request, &params);
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_USER_LOGIN, &params, user_login_made);
}

static void user_login_begun(struct http_request *request, const struct db_result *result)
{
    struct user_login *login = http_request_data(request);
    int64_t wait = db_result_int(result, 0, BEGUN_WAIT_SECONDS);

    if (wait > 0) {
        reply_retry_after(request, ERROR_RATE_LIMITED, wait);
        return;
    }
    login->user_id = db_result_int(result, 0, BEGUN_USER_ID);
    if (!db_result_null(result, 0, BEGUN_PASSWORD_HASH)) {
        size_t len;
        const char *hash = db_result_text(result, 0, BEGUN_PASSWORD_HASH, &len);
        login->password_hash = http_request_strdup(request, hash, len);
    }
    password_check(request, login->password.s, login->password_hash, user_login_checked);
}

/* False: answered. */
static bool user_login_read(struct http_request *request, struct user_login *login)
{
    struct json_object *json = http_request_json(request);
    if (json == NULL || !json_field_text(request, json, "username", USERNAME_MAX, &login->username) ||
        !json_field_text(request, json, "password", SIZE_MAX, &login->password))
        return false;
    if (login->username.len > 0 && login->password.len > 0)
        return true;
    reply_error_text(request, ERROR_INVALID_REQUEST, "username and password are required");
    return false;
}

void user_login_post(struct http_request *request)
{
    const struct attempt_limit limit = attempt_limit(http_request_config(request), ATTEMPT_LOGIN);
    struct user_login *login = http_request_alloc(request, sizeof(*login));
    struct db_params params;

    if (http_request_cross_site(request)) {
        reply_error_text(request, ERROR_CSRF_INVALID, "a login must not come from another site");
        return;
    }
    if (!user_login_read(request, login) || !password_check_possible(request))
        return;
    http_request_set_data(request, login);
    http_request_params(request, &params);
    db_params_text(&params, login->username.s, login->username.len);
    db_params_str(&params, http_request_address(request));
    db_params_int8(&params, limit.limit);
    db_params_int8(&params, limit.window_ms);
    http_request_query(request, STMT_LOGIN_BEGIN, &params, user_login_begun);
}

static void logged_out(struct http_request *request, const struct db_result *result UNUSED)
{
    set_cookie(request, "", 0);
    reply_status(request, "ok");
}

void user_login_logout(struct http_request *request)
{
    struct db_params params;
    http_request_params(request, &params);
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_USER_LOGOUT, &params, logged_out);
}

static void logged_out_all(struct http_request *request, const struct db_result *result)
{
    struct strbuf body = STRBUF_INIT;
    strbuf_printf(&body, "{\"status\":\"ok\",\"ended\":%lld}", (long long)db_result_int(result, 0, LOGOUT_ALL_ENDED));
    set_cookie(request, "", 0);
    reply_json(request, 200, &body);
}

void user_login_logout_all(struct http_request *request)
{
    struct db_params params;
    http_request_params(request, &params);
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_USER_LOGOUT_ALL, &params, logged_out_all);
}
