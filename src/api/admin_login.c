/*
 * The admin's session, in a worker: POST /admin/login, GET /admin/api/session, POST /admin/logout. Admins and their
 * hashes stand in the configuration, sessions in the database. The steps of a login:
 *
 *   admin_login_post     read the form; count the attempt
 *   admin_login_begun    429, or the password to a hashing thread
 *   admin_login_checked  401, or make the session
 *   admin_login_made     the cookie; a browser is sent on, a program gets the CSRF token that later changes must carry
 */
#include <string.h>

#include "api/handlers.h"
#include "api/password_check.h"
#include "api/refusals.h"
#include "auth/admins.h"
#include "auth/csrf.h"
#include "auth/tokens.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/json_write.h"
#include "core/mem.h"
#include "db/params.h"
#include "db/result.h"
#include "http/cookies.h"
#include "http/reply.h"
#include "http/request.h"

#define SESSION_SECONDS 86400
#define USERNAME_MAX 320

struct admin_login {
    const char *username, *password;
    const char *password_hash; /* NULL: no such admin */
    struct token token;
};

static void admin_login_end(void *data)
{
    struct admin_login *login = data;
    mem_wipe(&login->token, sizeof(login->token));
}

/* {"status"?, "username", "csrf_token", "expires_at"} */
static void reply_session(struct http_request *request, const char *status, const char *username, const char *session,
                          const char *expires_at)
{
    struct strbuf body = STRBUF_INIT;
    char csrf[DIGEST_HEX_SIZE];

    csrf_token(session, strlen(session), csrf);
    strbuf_append_char(&body, '{');
    if (status != NULL) {
        json_write_member(&body, "status", status);
        strbuf_append_char(&body, ',');
    }
    json_write_member(&body, "username", username);
    strbuf_append_char(&body, ',');
    json_write_member(&body, "csrf_token", csrf);
    strbuf_append_char(&body, ',');
    json_write_member(&body, "expires_at", expires_at);
    strbuf_append_char(&body, '}');
    reply_json(request, 200, &body);
}

static void admin_login_made(struct http_request *request, const struct db_result *result)
{
    const struct admin_login *login = http_request_data(request);
    char expires_at[CLOCK_RFC3339_SIZE];

    http_request_set_user(request, login->username);
    db_result_time(result, 0, 0, expires_at);
    reply_session_cookie(request, COOKIES_ADMIN_SESSION, "/admin", login->token.text, SESSION_SECONDS);
    if (http_request_wants_html(request))
        reply_redirect(request, "/admin/dashboard");
    else
        reply_session(request, "ok", login->username, login->token.text, expires_at);
}

/* The session that this browser had before ends with its cookie, which the new one replaces. */
static void bind_former_session(struct http_request *request, struct db_params *params)
{
    const char *cookie = http_request_cookie(request, COOKIES_ADMIN_SESSION);
    unsigned char hash[DIGEST_SIZE];
    bool found = cookie != NULL && token_hash(cookie, strlen(cookie), hash);
    db_params_bytes(params, hash, found ? sizeof(hash) : 0);
}

static void admin_login_checked(struct http_request *request, bool right)
{
    struct admin_login *login = http_request_data(request);
    struct db_params params;
    char stamp[ADMINS_STAMP_SIZE];

    if (!right) {
        refusals_record(request, "admin", login->password_hash == NULL ? NULL : login->username, "admin.login.refused");
        reply_error_text(request, ERROR_UNAUTHORIZED, "invalid username or password");
        return;
    }
    token_make(&login->token);
    http_request_on_end(request, admin_login_end, login);
    admins_stamp(login->password_hash, stamp);
    http_request_params(request, &params);
    db_params_bytes(&params, login->token.hash, sizeof(login->token.hash));
    db_params_str(&params, login->username);
    db_params_str(&params, stamp);
    db_params_int8(&params, INT64_C(1000) * SESSION_SECONDS);
    db_params_str(&params, http_request_address(request));
    bind_former_session(request, &params);
    http_request_query(request, STMT_ADMIN_SESSION_CREATE, &params, admin_login_made);
}

static void admin_login_begun(struct http_request *request, const struct db_result *result)
{
    const struct admin_login *login = http_request_data(request);
    int64_t wait = db_result_int(result, 0, 0);

    if (wait > 0)
        reply_retry_after(request, ERROR_RATE_LIMITED, wait);
    else
        password_check(request, login->password, login->password_hash, admin_login_checked);
}

void admin_login_post(struct http_request *request)
{
    const struct attempt_limit limit = attempt_limit(http_request_config(request), ATTEMPT_ADMIN);
    struct admin_login *login = http_request_alloc(request, sizeof(*login));
    struct db_params params;

    if (http_request_cross_site(request)) {
        reply_error_text(request, ERROR_CSRF_INVALID, "a page of another site may not log in here");
        return;
    }
    if (!http_request_form(request) || !http_request_form_field(request, "username", &login->username) ||
        !http_request_form_field(request, "password", &login->password))
        return;
    if (login->username == NULL || *login->username == '\0' || login->password == NULL || *login->password == '\0') {
        reply_error_text(request, ERROR_INVALID_REQUEST, "username and password are required");
        return;
    }
    if (strlen(login->username) > USERNAME_MAX) {
        reply_error_text(request, ERROR_FIELD_TOO_LONG, "username is too long");
        return;
    }
    if (!password_check_possible(request))
        return;
    login->password_hash = admins_password_hash(http_request_config(request), login->username);
    http_request_set_data(request, login);
    http_request_params(request, &params);
    db_params_str(&params, login->username);
    db_params_str(&params, http_request_address(request));
    db_params_int8(&params, limit.limit);
    db_params_int8(&params, limit.window_ms);
    http_request_query(request, STMT_ADMIN_LOGIN_BEGIN, &params, admin_login_begun);
}

static void session_checked(struct http_request *request, const struct db_result *result)
{
    char expires_at[CLOCK_RFC3339_SIZE];
    db_result_time(result, 0, 2, expires_at);
    reply_session(request, NULL, db_result_text(result, 0, 1, NULL), http_request_session(request), expires_at);
}

void admin_login_session(struct http_request *request)
{
    struct db_params params;
    http_request_params(request, &params);
    http_request_query(request, STMT_ADMIN_SESSION_CHECK, &params, session_checked);
}

static void session_deleted(struct http_request *request, const struct db_result *result UNUSED)
{
    reply_session_cookie(request, COOKIES_ADMIN_SESSION, "/admin", "", 0);
    reply_status(request, "ok");
}

void admin_login_logout(struct http_request *request)
{
    struct db_params params;
    http_request_params(request, &params);
    http_request_query(request, STMT_ADMIN_SESSION_DELETE, &params, session_deleted);
}
