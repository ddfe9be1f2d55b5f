/*
 * What an admin does that sets a user's password, in a worker: POST /admin/api/users/create and
 * /admin/api/users/{id}/reset-password. The steps:
 *
 *   admin_passwords_create   read the fields, check the session (nobody else may make us hash)
 *   create_allowed           hash the password in a thread
 *   create_hashed            make the account
 *   create_done              409, 400, or its id
 *
 *   admin_passwords_reset    check the session
 *   reset_allowed            make a password, hash it in a thread
 *   reset_hashed             set it; the user's sessions end
 *   reset_done               404, or the password, shown this once
 */
#include <string.h>

#include "api/admin_input.h"
#include "api/handlers.h"
#include "api/password_hash.h"
#include "api/row_json.h"
#include "api/statement_error.h"
#include "auth/accounts.h"
#include "auth/passwords.h"
#include "core/json_write.h"
#include "core/mem.h"
#include "db/params.h"
#include "db/result.h"
#include "http/reply.h"
#include "http/request.h"

struct create {
    const char *username, *email, *password;
};

enum { CREATE_ERROR_CODE = 2, CREATE_USER_ID = 4 };

static void create_done(struct http_request *request, const struct db_result *result)
{
    struct strbuf body = STRBUF_INIT;
    if (statement_error_answered(request, result, CREATE_ERROR_CODE))
        return;
    strbuf_append_str(&body, "{\"status\":\"ok\"");
    row_json_int(&body, "user_id", result, 0, CREATE_USER_ID);
    strbuf_append_char(&body, '}');
    reply_json(request, 200, &body);
}

static void create_hashed(struct http_request *request, const char *hash)
{
    const struct create *create = http_request_data(request);
    struct db_params params;
    http_request_params(request, &params);
    db_params_str(&params, create->username);
    db_params_str(&params, create->email);
    db_params_str(&params, hash);
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_ADMIN_USER_CREATE, &params, create_done);
}

static void create_allowed(struct http_request *request, const struct db_result *result UNUSED)
{
    const struct create *create = http_request_data(request);
    const char *fault = accounts_name_fault(create->username, strlen(create->username));

    if (fault == NULL)
        fault = accounts_email_fault(create->email, strlen(create->email));
    if (fault == NULL)
        fault = accounts_password_fault(create->password, strlen(create->password));
    if (fault != NULL)
        reply_error_text(request, ERROR_INVALID_REQUEST, "%s", fault);
    else
        password_hash(request, create->password, create_hashed);
}

static void check_session(struct http_request *request, http_query_step *step)
{
    struct db_params params;
    http_request_params(request, &params);
    http_request_query(request, STMT_ADMIN_SESSION_CHECK, &params, step);
}

void admin_passwords_create(struct http_request *request)
{
    struct create *create = http_request_alloc(request, sizeof(*create));

    create->username = create->email = create->password = "";
    if (!http_request_form(request) || !http_request_form_field(request, "username", &create->username) ||
        !http_request_form_field(request, "email", &create->email) ||
        !http_request_form_field(request, "password", &create->password))
        return;
    http_request_set_data(request, create);
    check_session(request, create_allowed);
}

struct reset {
    char password[PASSWORDS_RANDOM_LENGTH + 1];
};

static void reset_end(void *data)
{
    struct reset *reset = data;
    mem_wipe(reset->password, sizeof(reset->password));
}

enum { RESET_FOUND = 2 };

static void reset_done(struct http_request *request, const struct db_result *result)
{
    const struct reset *reset = http_request_data(request);
    struct strbuf body = STRBUF_INIT;
    if (!db_result_bool(result, 0, RESET_FOUND)) {
        reply_error_text(request, ERROR_NOT_FOUND, "user not found");
        return;
    }
    strbuf_append_str(&body, "{\"status\":\"ok\",");
    json_write_member(&body, "new_password", reset->password);
    strbuf_append_char(&body, '}');
    reply_json(request, 200, &body);
}

static void reset_hashed(struct http_request *request, const char *hash)
{
    struct db_params params;
    http_request_params(request, &params);
    db_params_int8(&params, admin_input_id(request));
    db_params_str(&params, hash);
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_ADMIN_USER_SET_PASSWORD, &params, reset_done);
}

static void reset_allowed(struct http_request *request, const struct db_result *result UNUSED)
{
    struct reset *reset = http_request_alloc(request, sizeof(*reset));
    http_request_set_data(request, reset);
    http_request_on_end(request, reset_end, reset);
    passwords_random(reset->password);
    password_hash(request, reset->password, reset_hashed);
}

void admin_passwords_reset(struct http_request *request)
{
    check_session(request, reset_allowed);
}
