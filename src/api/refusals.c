/* Writes audit rows for refusals without making the client wait. Runs in workers. */
#include "api/refusals.h"

#include "api/audit.h"
#include "core/strbuf.h"

void refusals_record(struct http_request *request, const char *kind, const char *name, const char *action)
{
    struct strbuf actor = STRBUF_INIT;
    if (name == NULL)
        strbuf_printf(&actor, "unknown %s", kind);
    else
        strbuf_printf(&actor, "%s:%s", kind, name);
    audit_record(request, actor.data, action, "", "wrong login or password");
    strbuf_release(&actor);
}
