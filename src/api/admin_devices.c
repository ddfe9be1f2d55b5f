/*
 * All users' devices for the admin, in a worker: GET /admin/api/devices, GET /admin/api/keys, DELETE
 * /admin/api/keys/{device_id}.
 *
 * The contract's answer is a plain array. It is built from pages of the database, so that no statement and no answer
 * grows with the installation: at most `limit` elements come, and when there are more, a Link header (RFC 8288) names
 * the address of the next ones.
 *
 *   devices_list   where to begin; the first page
 *   devices_read   append the page; the next one, or the answer
 */
#include <stdio.h>

#include "api/admin_input.h"
#include "api/handlers.h"
#include "api/row_json.h"
#include "core/json_write.h"
#include "db/params.h"
#include "db/result.h"
#include "http/reply.h"
#include "http/request.h"

#define LIMIT 10000 /* elements in one answer, also when none is asked for */
#define PAGE 1000   /* rows of one statement */

enum { /* columns of admin_devices and admin_keys */
       ROW_ID = 2,
       ROW_DEVICE_ID,
       ROW_NAME,
       DEVICE_CLIENT_VERSION = 5,
       DEVICE_LAST_SEEN,
       DEVICE_REVOKED_AT,
       DEVICE_CREATED_AT,
       DEVICE_USER,
       KEY_TOKEN_FIRST = 5,
       KEY_TOKEN_LAST
};

struct device_list {
    const char *path;
    enum db_statement statement;
    void (*write)(struct strbuf *out, const struct db_result *result, int row);
    int64_t after; /* the last row that was written */
    int64_t limit; /* elements of the answer */
    int64_t left;  /* of them, how many still fit */
    int asked;     /* rows of the statement under way; at the answer's end one more than fit, to know of more */
    struct strbuf body;
};

static void list_end(void *data)
{
    struct device_list *list = data;
    strbuf_release(&list->body);
}

static void write_device(struct strbuf *out, const struct db_result *result, int row)
{
    strbuf_append_char(out, '{');
    row_json_text(out, "id", result, row, ROW_DEVICE_ID);
    row_json_text(out, "name", result, row, ROW_NAME);
    row_json_text(out, "client_version", result, row, DEVICE_CLIENT_VERSION);
    row_json_time(out, "last_seen", result, row, DEVICE_LAST_SEEN);
    row_json_time(out, "revoked_at", result, row, DEVICE_REVOKED_AT);
    row_json_time(out, "created_at", result, row, DEVICE_CREATED_AT);
    row_json_text(out, "user", result, row, DEVICE_USER);
    strbuf_append_char(out, '}');
}

static void write_key(struct strbuf *out, const struct db_result *result, int row)
{
    struct strbuf hint = STRBUF_INIT;
    strbuf_printf(&hint, "%s...%s", db_result_text(result, row, KEY_TOKEN_FIRST, NULL),
                  db_result_text(result, row, KEY_TOKEN_LAST, NULL));
    strbuf_append_char(out, '{');
    row_json_text(out, "id", result, row, ROW_DEVICE_ID);
    row_json_text(out, "name", result, row, ROW_NAME);
    strbuf_append_char(out, ',');
    json_write_member(out, "token_hint", hint.data);
    strbuf_append_char(out, '}');
    strbuf_release(&hint);
}

static void answer(struct http_request *request, struct device_list *list, bool more)
{
    char link[160];
    if (more) {
        snprintf(link, sizeof(link), "<%s?after=%lld&limit=%lld>; rel=\"next\"", list->path, (long long)list->after,
                 (long long)list->limit);
        reply_header(request, "link", link);
    }
    strbuf_append_char(&list->body, ']');
    reply_json(request, 200, &list->body);
}

static void devices_read(struct http_request *request, const struct db_result *result);

static void ask(struct http_request *request, struct device_list *list)
{
    struct db_params params;
    list->asked = list->left < PAGE ? (int)list->left + 1 : PAGE;
    http_request_params(request, &params);
    db_params_int8(&params, list->after);
    db_params_int4(&params, list->asked);
    http_request_query(request, list->statement, &params, devices_read);
}

static void devices_read(struct http_request *request, const struct db_result *result)
{
    struct device_list *list = http_request_data(request);
    int rows = db_result_null(result, 0, ROW_ID) ? 0 : db_result_rows(result);

    for (int row = 0; row < rows && list->left > 0; row++, list->left--) {
        if (list->body.len > 1)
            strbuf_append_char(&list->body, ',');
        list->write(&list->body, result, row);
        list->after = db_result_int(result, row, ROW_ID);
    }
    if (rows < list->asked)
        answer(request, list, false);
    else if (list->asked < PAGE)
        answer(request, list, true);
    else
        ask(request, list);
}

static void devices_list(struct http_request *request, struct device_list init)
{
    struct device_list *list = http_request_alloc(request, sizeof(*list));
    *list = init;
    strbuf_init(&list->body);
    strbuf_append_char(&list->body, '[');
    list->after = admin_input_number(request, "after", 0, INT64_MAX);
    list->limit = list->left = admin_input_number(request, "limit", LIMIT, LIMIT);
    http_request_set_data(request, list);
    http_request_on_end(request, list_end, list);
    ask(request, list);
}

void admin_devices_get(struct http_request *request)
{
    devices_list(request, (struct device_list){
                              .path = "/admin/api/devices", .statement = STMT_ADMIN_DEVICES, .write = write_device});
}

void admin_devices_keys(struct http_request *request)
{
    devices_list(request,
                 (struct device_list){.path = "/admin/api/keys", .statement = STMT_ADMIN_KEYS, .write = write_key});
}

enum { KEY_FOUND = 2 };

static void key_deleted(struct http_request *request, const struct db_result *result)
{
    if (db_result_bool(result, 0, KEY_FOUND))
        reply_status(request, "deleted");
    else
        reply_error_text(request, ERROR_NOT_FOUND, "device not found");
}

void admin_devices_delete_key(struct http_request *request)
{
    struct db_params params;
    http_request_params(request, &params);
    db_params_str(&params, http_request_arg(request));
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_ADMIN_KEY_DELETE, &params, key_deleted);
}
