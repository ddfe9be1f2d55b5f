/*
 * The e-mails that wait, were sent or failed, in a worker: GET /admin/api/outbox, POST /admin/api/outbox/{id}/retry.
 * Their texts are nobody's to read: they hold links that log people in.
 */
#include <string.h>

#include "api/admin_input.h"
#include "api/handlers.h"
#include "api/row_json.h"
#include "api/statement_error.h"
#include "core/compiler.h"
#include "db/params.h"
#include "db/result.h"
#include "http/reply.h"
#include "http/request.h"

#define PER_PAGE_DEFAULT 20
#define PER_PAGE_MAX 100

enum { /* columns of admin_outbox */
       MAIL_TOTAL = 2,
       MAIL_ID,
       MAIL_TEMPLATE,
       MAIL_RECIPIENT,
       MAIL_OWNER,
       MAIL_STATE,
       MAIL_TRIES,
       MAIL_CREATED_AT,
       MAIL_NEXT_TRY_AT,
       MAIL_FINISHED_AT,
       MAIL_LAST_ANSWER,
       MAIL_RESENDABLE
};

struct mail_list {
    int page, per_page;
};

static void write_mail(struct strbuf *out, const struct db_result *result, int row)
{
    strbuf_append_char(out, '{');
    row_json_int(out, "id", result, row, MAIL_ID);
    row_json_text(out, "template", result, row, MAIL_TEMPLATE);
    row_json_text(out, "recipient", result, row, MAIL_RECIPIENT);
    row_json_text(out, "user", result, row, MAIL_OWNER);
    row_json_text(out, "state", result, row, MAIL_STATE);
    row_json_int(out, "tries", result, row, MAIL_TRIES);
    row_json_time(out, "created_at", result, row, MAIL_CREATED_AT);
    row_json_time(out, "next_try_at", result, row, MAIL_NEXT_TRY_AT);
    row_json_time(out, "finished_at", result, row, MAIL_FINISHED_AT);
    row_json_text(out, "last_answer", result, row, MAIL_LAST_ANSWER);
    row_json_bool(out, "resendable", result, row, MAIL_RESENDABLE);
    strbuf_append_char(out, '}');
}

static void outbox_listed(struct http_request *request, const struct db_result *result)
{
    const struct mail_list *list = http_request_data(request);
    struct strbuf body = STRBUF_INIT;
    int rows = db_result_null(result, 0, MAIL_ID) ? 0 : db_result_rows(result);

    strbuf_append_str(&body, "{\"mails\":[");
    for (int row = 0; row < rows; row++) {
        if (row > 0)
            strbuf_append_char(&body, ',');
        write_mail(&body, result, row);
    }
    strbuf_printf(&body, "],\"total\":%lld,\"page\":%d,\"per_page\":%d}",
                  (long long)db_result_int(result, 0, MAIL_TOTAL), list->page, list->per_page);
    reply_json(request, 200, &body);
}

static bool is_state(const char *text)
{
    static const char *const states[] = {"", "queued", "sending", "sent", "retrying", "failed"};
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        if (strcmp(text, states[i]) == 0)
            return true;
    }
    return false;
}

void admin_outbox_get(struct http_request *request)
{
    struct mail_list *list = http_request_alloc(request, sizeof(*list));
    const char *state = http_request_parameter(request, "state");
    struct db_params params;

    if (state != NULL && !is_state(state)) {
        reply_error_text(request, ERROR_INVALID_REQUEST,
                         "state must be queued, sending, sent, retrying or failed, or be left out");
        return;
    }
    list->page = (int)admin_input_number(request, "page", 1, INT32_MAX);
    list->per_page = (int)admin_input_number(request, "per_page", PER_PAGE_DEFAULT, PER_PAGE_MAX);
    http_request_set_data(request, list);
    http_request_params(request, &params);
    admin_input_bind(request, "state", &params);
    db_params_int4(&params, list->page);
    db_params_int4(&params, list->per_page);
    http_request_query(request, STMT_ADMIN_OUTBOX, &params, outbox_listed);
}

enum { RETRY_FOUND = 2, RETRY_ERROR_CODE };

static void mail_retried(struct http_request *request, const struct db_result *result)
{
    if (!db_result_bool(result, 0, RETRY_FOUND))
        reply_error_text(request, ERROR_NOT_FOUND, "mail not found");
    else if (!statement_error_answered(request, result, RETRY_ERROR_CODE))
        reply_status(request, "ok");
}

void admin_outbox_retry(struct http_request *request)
{
    struct db_params params;
    http_request_params(request, &params);
    db_params_int8(&params, admin_input_id(request));
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_ADMIN_OUTBOX_RETRY, &params, mail_retried);
}
