/* GET /, in a worker: a page for people, a word for programs. */
#include "api/handlers.h"
#include "http/reply.h"
#include "http/request.h"
#include "web/greeting.h"

void root_get(struct http_request *request)
{
    static const char word[] = "Verstak Sync Server";
    if (http_request_wants_html(request))
        reply_static(request, 200, "text/html; charset=utf-8", greeting_page, greeting_page_size);
    else
        reply_static(request, 200, "text/plain; charset=utf-8", word, sizeof(word) - 1);
}
