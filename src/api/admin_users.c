/*
 * The admin's users, in a worker: GET /admin/api/users, POST /admin/api/users/create, POST /admin/api/users/{id}/block.
 * The steps of create:
 *
 *   admin_users_create   read the fields, check the session (nobody else may make us hash)
 *   create_allowed       hash the password in a thread
 *   create_hashed        make the account
 *   create_done          409, 400, or its id
 */
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "auth/accounts.h"
#include "auth/passwords.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/json_write.h"
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

static void write_time(struct strbuf *out, const char *name, const struct db_result *result, int row, int column)
{
    char time[CLOCK_RFC3339_SIZE];
    db_result_time(result, row, column, time);
    json_write_member(out, name, time);
}

static void write_user(struct strbuf *out, const struct db_result *result, int row)
{
    strbuf_printf(out, "{\"id\":%lld,", (long long)db_result_int(result, row, USERS_ID));
    json_write_member(out, "username", db_result_text(result, row, USERS_USERNAME, NULL));
    strbuf_append_char(out, ',');
    json_write_member(out, "email", db_result_text(result, row, USERS_EMAIL, NULL));
    strbuf_printf(out, ",\"confirmed\":%d,\"blocked\":%d,", db_result_bool(result, row, USERS_CONFIRMED),
                  db_result_bool(result, row, USERS_BLOCKED));
    write_time(out, "last_seen", result, row, USERS_LAST_SEEN);
    strbuf_append_char(out, ',');
    write_time(out, "created_at", result, row, USERS_CREATED_AT);
    strbuf_printf(out, ",\"devices\":%lld}", (long long)db_result_int(result, row, USERS_DEVICES));
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

/* A parameter of the query string; NULL and nonsense: the default; beyond the range: its end. */
static int number_parameter(struct http_request *request, const char *name, int otherwise, int max)
{
    const char *text = http_request_parameter(request, name);
    char *end;
    if (text == NULL || *text < '0' || *text > '9')
        return otherwise;
    unsigned long value = strtoul(text, &end, 10);
    if (*end != '\0' || value == 0)
        return otherwise;
    return value > (unsigned long)max ? max : (int)value;
}

static void text_parameter(struct http_request *request, struct db_params *params, const char *name)
{
    const char *text = http_request_parameter(request, name);
    db_params_str(params, text == NULL ? "" : text);
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
    list->page = number_parameter(request, "page", 1, INT32_MAX);
    list->per_page = number_parameter(request, "per_page", PER_PAGE_DEFAULT, PER_PAGE_MAX);
    http_request_set_data(request, list);
    http_request_params(request, &params);
    text_parameter(request, &params, "filter");
    text_parameter(request, &params, "sort");
    text_parameter(request, &params, "order");
    db_params_int4(&params, list->page);
    db_params_int4(&params, list->per_page);
    http_request_query(request, STMT_ADMIN_USERS, &params, users_listed);
}

struct create {
    const char *username, *email, *password;
    int cost;
    bool hashed;
    char hash[PASSWORDS_HASH_SIZE];
};

enum { CREATE_ERROR_CODE = 2, CREATE_ERROR_DETAIL, CREATE_USER_ID };

static void create_done(struct http_request *request, const struct db_result *result)
{
    struct strbuf body = STRBUF_INIT;
    if (!db_result_null(result, 0, CREATE_ERROR_CODE)) {
        enum error_code code = error_code_find(db_result_text(result, 0, CREATE_ERROR_CODE, NULL));
        if (code == ERROR_COUNT)
            reply_internal(request, "admin_user_create answered with a code that the contract does not have");
        else
            reply_error_text(request, code, "%s", db_result_text(result, 0, CREATE_ERROR_DETAIL, NULL));
        return;
    }
    strbuf_printf(&body, "{\"status\":\"ok\",\"user_id\":%lld}", (long long)db_result_int(result, 0, CREATE_USER_ID));
    reply_json(request, 200, &body);
}

static void create_hash(void *data)
{
    struct create *create = data;
    create->hashed = passwords_hash(create->password, create->cost, create->hash);
}

static void create_hashed(struct http_request *request, void *data)
{
    const struct create *create = data;
    struct db_params params;

    if (!create->hashed) {
        reply_internal(request, "cannot hash a password: libcrypt does not make bcrypt hashes of cost %d",
                       create->cost);
        return;
    }
    http_request_params(request, &params);
    db_params_str(&params, create->username);
    db_params_str(&params, create->email);
    db_params_str(&params, create->hash);
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_ADMIN_USER_CREATE, &params, create_done);
}

static void create_allowed(struct http_request *request, const struct db_result *result UNUSED)
{
    struct create *create = http_request_data(request);
    const char *fault = accounts_name_fault(create->username, strlen(create->username));

    if (fault == NULL)
        fault = accounts_email_fault(create->email, strlen(create->email));
    if (fault == NULL)
        fault = accounts_password_fault(create->password, strlen(create->password));
    if (fault != NULL)
        reply_error_text(request, ERROR_INVALID_REQUEST, "%s", fault);
    else
        http_request_work(request, http_request_context(request)->hashing, create, create_hash, create_hashed);
}

void admin_users_create(struct http_request *request)
{
    struct create *create = http_request_alloc(request, sizeof(*create));
    struct db_params params;

    create->username = create->email = create->password = "";
    if (!http_request_form(request) || !http_request_form_field(request, "username", &create->username) ||
        !http_request_form_field(request, "email", &create->email) ||
        !http_request_form_field(request, "password", &create->password))
        return;
    create->cost = (int)http_request_config(request)->password_cost;
    http_request_set_data(request, create);
    http_request_params(request, &params);
    http_request_query(request, STMT_ADMIN_SESSION_CHECK, &params, create_allowed);
}

enum { BLOCK_FOUND = 2, BLOCK_BLOCKED };

static void block_done(struct http_request *request, const struct db_result *result)
{
    struct strbuf body = STRBUF_INIT;
    if (!db_result_bool(result, 0, BLOCK_FOUND)) {
        reply_error_text(request, ERROR_NOT_FOUND, "user not found");
        return;
    }
    strbuf_printf(&body, "{\"status\":\"ok\",\"blocked\":%d}", db_result_bool(result, 0, BLOCK_BLOCKED));
    reply_json(request, 200, &body);
}

/* The {} of the path as a user's id; 0, which no user has, when it is no number. */
static int64_t user_id_of(struct http_request *request)
{
    const char *text = http_request_arg(request);
    int64_t id = 0;
    for (; *text >= '0' && *text <= '9'; text++) {
        if (__builtin_mul_overflow(id, 10, &id) || __builtin_add_overflow(id, *text - '0', &id))
            return 0;
    }
    return *text == '\0' ? id : 0;
}

void admin_users_block(struct http_request *request)
{
    struct db_params params;
    http_request_params(request, &params);
    db_params_int8(&params, user_id_of(request));
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_ADMIN_USER_BLOCK, &params, block_done);
}
