/*
 * GET /confirm, GET /reset and their style sheet, in a worker: the pages that the links of e-mails lead to. Whether a
 * token is any good is said by the POST that their forms send (api/confirm.c, api/reset.c).
 */
#include <string.h>

#include "api/handlers.h"
#include "auth/tokens.h"
#include "http/reply.h"
#include "http/request.h"
#include "web/pages.h"

/* NULL: it is none, and must not get into a page. */
static const char *token_parameter(struct http_request *request)
{
    unsigned char hash[DIGEST_SIZE];
    const char *token = http_request_parameter(request, "token");
    return token != NULL && token_hash(token, strlen(token), hash) ? token : NULL;
}

void pages_confirm_get(struct http_request *request)
{
    const char *token = token_parameter(request);
    if (token != NULL)
        pages_confirm(request, PAGES_AT_ROOT, token);
    else
        pages_notice(request, PAGES_AT_ROOT, PAGES_CONFIRM_REFUSED);
}

void pages_reset_get(struct http_request *request)
{
    const char *token = token_parameter(request);
    if (token != NULL)
        pages_reset(request, PAGES_AT_ROOT, token, NULL);
    else
        pages_notice(request, PAGES_AT_ROOT, PAGES_RESET_REFUSED);
}

void pages_css_get(struct http_request *request)
{
    reply_static(request, 200, "text/css; charset=utf-8", page_css, page_css_size);
}
