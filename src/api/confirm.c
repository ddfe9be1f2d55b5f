/*
 * GET and POST /api/v1/auth/confirm, in a worker: confirms the address that a token was sent to, at registration and
 * when the address was changed. The steps:
 *
 *   confirm_get   a browser is sent to a page with a button, since whatever scans e-mails follows links, too
 *   confirm_post  the token as JSON, or from that page's form
 *   confirm_done  confirmed, or 400: nobody learns whether the token was unknown, used or expired
 */
#include <string.h>

#include "api/handlers.h"
#include "auth/tokens.h"
#include "db/params.h"
#include "db/result.h"
#include "http/reply.h"
#include "http/request.h"
#include "web/pages.h"

enum { CONFIRM_CONFIRMED, CONFIRM_USER_NAME }; /* columns of confirm */

static void refuse(struct http_request *request)
{
    if (http_request_wants_html(request))
        pages_notice(request, PAGES_AT_AUTH, PAGES_CONFIRM_REFUSED);
    else
        reply_error_text(request, ERROR_INVALID_REQUEST, "unknown, used or expired token");
}

static void confirm_done(struct http_request *request, const struct db_result *result)
{
    if (!db_result_bool(result, 0, CONFIRM_CONFIRMED)) {
        refuse(request);
        return;
    }
    http_request_set_user(request, db_result_text(result, 0, CONFIRM_USER_NAME, NULL));
    if (http_request_wants_html(request))
        pages_notice(request, PAGES_AT_AUTH, PAGES_CONFIRMED);
    else
        reply_status(request, "confirmed");
}

static void confirm(struct http_request *request, const char *token)
{
    unsigned char hash[DIGEST_SIZE];
    struct db_params params;

    if (!token_hash(token, strlen(token), hash)) {
        refuse(request);
        return;
    }
    http_request_params(request, &params);
    db_params_bytes(&params, hash, sizeof(hash));
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_CONFIRM, &params, confirm_done);
}

/* Relative, as the links of the pages. A token that is none does not get into a header. */
static void send_to_page(struct http_request *request, const char *token)
{
    unsigned char hash[DIGEST_SIZE];
    struct strbuf location = STRBUF_INIT;

    strbuf_append_str(&location, PAGES_AT_AUTH "confirm");
    if (token_hash(token, strlen(token), hash))
        strbuf_printf(&location, "?token=%s", token);
    reply_redirect(request, location.data);
    strbuf_release(&location);
}

void confirm_get(struct http_request *request)
{
    const char *token = http_request_parameter(request, "token");
    bool head = strcmp(http_request_method(request), "HEAD") == 0; /* changes nothing */

    if (http_request_wants_html(request))
        send_to_page(request, token != NULL ? token : "");
    else if (token == NULL || *token == '\0')
        reply_error_text(request, ERROR_INVALID_REQUEST, "token is required");
    else if (head)
        send_to_page(request, token);
    else
        confirm(request, token);
}

void confirm_post(struct http_request *request)
{
    const char *token = "";
    if (!http_request_form(request) || !http_request_form_field(request, "token", &token))
        return;
    if (*token == '\0' && !http_request_wants_html(request))
        reply_error_text(request, ERROR_INVALID_REQUEST, "token is required");
    else
        confirm(request, token);
}
