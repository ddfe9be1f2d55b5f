/*
 * The admin's users, in a worker: GET /admin/api/users, POST /admin/api/users/{id}/block and /edit, DELETE
 * /admin/api/users/{id}. What sets a password is in api/admin_passwords.c.
 */
#include <string.h>

#include "api/admin_input.h"
#include "api/handlers.h"
#include "api/row_json.h"
#include "api/statement_error.h"
#include "auth/accounts.h"
#include "db/params.h"
#include "db/result.h"
#include "http/reply.h"
#include "http/request.h"

#define PER_PAGE_DEFAULT 20
#define PER_PAGE_MAX 100
#define FILTER_MAX 320

enum { /* columns of admin_users */
       USERS_TOTAL = 2,
       USERS_ID,
       USERS_USERNAME,
       USERS_EMAIL,
       USERS_CONFIRMED,
       USERS_BLOCKED,
       USERS_LAST_SEEN,
       USERS_CREATED_AT,
       USERS_DEVICES
};

struct user_list {
    int page, per_page;
};

static void write_user(struct strbuf *out, const struct db_result *result, int row)
{
    strbuf_append_char(out, '{');
    row_json_int(out, "id", result, row, USERS_ID);
    row_json_text(out, "username", result, row, USERS_USERNAME);
    row_json_text(out, "email", result, row, USERS_EMAIL);
    row_json_flag(out, "confirmed", result, row, USERS_CONFIRMED);
    row_json_flag(out, "blocked", result, row, USERS_BLOCKED);
    row_json_time(out, "last_seen", result, row, USERS_LAST_SEEN);
    row_json_time(out, "created_at", result, row, USERS_CREATED_AT);
    row_json_int(out, "devices", result, row, USERS_DEVICES);
    strbuf_append_char(out, '}');
}

static void users_listed(struct http_request *request, const struct db_result *result)
{
    const struct user_list *list = http_request_data(request);
    struct strbuf body = STRBUF_INIT;
    int rows = db_result_null(result, 0, USERS_ID) ? 0 : db_result_rows(result);

    strbuf_append_str(&body, "{\"users\":[");
    for (int row = 0; row < rows; row++) {
        if (row > 0)
            strbuf_append_char(&body, ',');
        write_user(&body, result, row);
    }
    strbuf_printf(&body, "],\"total\":%lld,\"page\":%d,\"per_page\":%d}",
                  (long long)db_result_int(result, 0, USERS_TOTAL), list->page, list->per_page);
    reply_json(request, 200, &body);
}

void admin_users_get(struct http_request *request)
{
    struct user_list *list = http_request_alloc(request, sizeof(*list));
    const char *filter = http_request_parameter(request, "filter");
    struct db_params params;

    if (filter != NULL && strlen(filter) > FILTER_MAX) {
        reply_error_text(request, ERROR_FIELD_TOO_LONG, "filter is too long");
        return;
    }
    list->page = (int)admin_input_number(request, "page", 1, INT32_MAX);
    list->per_page = (int)admin_input_number(request, "per_page", PER_PAGE_DEFAULT, PER_PAGE_MAX);
    http_request_set_data(request, list);
    http_request_params(request, &params);
    admin_input_bind(request, "filter", &params);
    admin_input_bind(request, "sort", &params);
    admin_input_bind(request, "order", &params);
    db_params_int4(&params, list->page);
    db_params_int4(&params, list->per_page);
    http_request_query(request, STMT_ADMIN_USERS, &params, users_listed);
}

enum { USER_FOUND = 2, USER_BLOCKED, USER_ERROR_CODE = 3 }; /* columns of what is done to one user */

/* False: answered. */
static bool user_found(struct http_request *request, const struct db_result *result)
{
    if (db_result_bool(result, 0, USER_FOUND))
        return true;
    reply_error_text(request, ERROR_NOT_FOUND, "user not found");
    return false;
}

static void user_blocked(struct http_request *request, const struct db_result *result)
{
    struct strbuf body = STRBUF_INIT;
    if (!user_found(request, result))
        return;
    strbuf_append_str(&body, "{\"status\":\"ok\"");
    row_json_flag(&body, "blocked", result, 0, USER_BLOCKED);
    strbuf_append_char(&body, '}');
    reply_json(request, 200, &body);
}

void admin_users_block(struct http_request *request)
{
    struct db_params params;
    http_request_params(request, &params);
    db_params_int8(&params, admin_input_id(request));
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_ADMIN_USER_BLOCK, &params, user_blocked);
}

static void user_edited(struct http_request *request, const struct db_result *result)
{
    if (user_found(request, result) && !statement_error_answered(request, result, USER_ERROR_CODE))
        reply_status(request, "ok");
}

/* Both fields must be there; an empty address means none, as a user has whom an operator made without. */
static const char *edit_fault(const char *username, const char *email)
{
    const char *fault = accounts_name_fault(username, strlen(username));
    if (fault == NULL && email == NULL)
        fault = "email is required";
    if (fault == NULL && *email != '\0')
        fault = accounts_email_fault(email, strlen(email));
    return fault;
}

void admin_users_edit(struct http_request *request)
{
    const char *username = "", *email = NULL;
    struct db_params params;

    if (!http_request_form(request) || !http_request_form_field(request, "username", &username) ||
        !http_request_form_field(request, "email", &email))
        return;
    const char *fault = edit_fault(username, email);
    if (fault != NULL) {
        reply_error_text(request, ERROR_INVALID_REQUEST, "%s", fault);
        return;
    }
    http_request_params(request, &params);
    db_params_int8(&params, admin_input_id(request));
    db_params_str(&params, username);
    db_params_str(&params, email);
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_ADMIN_USER_EDIT, &params, user_edited);
}

static void user_deleted(struct http_request *request, const struct db_result *result)
{
    if (user_found(request, result))
        reply_status(request, "deleted");
}

void admin_users_delete(struct http_request *request)
{
    struct db_params params;
    http_request_params(request, &params);
    db_params_int8(&params, admin_input_id(request));
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_ADMIN_USER_DELETE, &params, user_deleted);
}
