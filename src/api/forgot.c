/*
 * POST /api/v1/auth/forgot, in a worker: asks for a link to set a new password. One statement, which never looks
 * whether there is such an account: the token and the e-mail's row are made for every address, and the mailer drops
 * those that nobody has. So neither answer nor time tells.
 */
#include "api/handlers.h"
#include "auth/accounts.h"
#include "auth/tokens.h"
#include "core/mem.h"
#include "db/params.h"
#include "db/result.h"
#include "http/json_fields.h"
#include "http/reply.h"
#include "http/request.h"
#include "mail/locale.h"

static void forgot_end(void *data)
{
    mem_wipe(data, sizeof(struct token));
}

static void forgot_done(struct http_request *request, const struct db_result *result)
{
    int64_t wait = db_result_int(result, 0, 0);
    if (wait > 0)
        reply_retry_after(request, ERROR_RATE_LIMITED, wait);
    else
        reply_status(request, "if email exists, reset link sent");
}

void forgot_post(struct http_request *request)
{
    const struct attempt_limit limit = attempt_limit(http_request_config(request), ATTEMPT_FORGOT);
    struct json_text email = {"", 0};
    struct token *token = http_request_alloc(request, sizeof(*token));
    struct db_params params;
    struct json_object *json = http_request_json(request);

    if (json == NULL || !json_field_text(request, json, "email", SIZE_MAX, &email))
        return;
    const char *fault = accounts_email_fault(email.s, email.len);
    if (fault != NULL) {
        reply_error_text(request, ERROR_INVALID_REQUEST, "%s", fault);
        return;
    }
    token_make(token);
    http_request_on_end(request, forgot_end, token);
    http_request_params(request, &params);
    db_params_text(&params, email.s, email.len);
    db_params_str(&params, locale_pick(http_request_header(request, "accept-language")));
    db_params_bytes(&params, token->hash, sizeof(token->hash));
    db_params_str(&params, token->text);
    db_params_str(&params, http_request_address(request));
    db_params_int8(&params, limit.limit);
    db_params_int8(&params, limit.window_ms);
    http_request_query(request, STMT_FORGOT, &params, forgot_done);
}
