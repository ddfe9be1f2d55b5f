/* Writes audit rows for refusals without making the client wait. Runs in workers. */
#include "api/refusals.h"

#include "core/clock.h"
#include "core/config.h"
#include "core/strbuf.h"
#include "db/params.h"
#include "db/pool.h"
#include "http/request.h"

void refusals_record(struct http_request *request, const char *kind, const char *name, const char *action)
{
    const struct config *config = http_request_config(request);
    struct strbuf actor = STRBUF_INIT;
    struct db_params params;

    if (name == NULL)
        strbuf_printf(&actor, "unknown %s", kind);
    else
        strbuf_printf(&actor, "%s:%s", kind, name);
    db_params_init(&params);
    db_params_text(&params, actor.data, actor.len);
    db_params_str(&params, action);
    db_params_str(&params, "");
    db_params_str(&params, http_request_address(request));
    db_params_str(&params, "wrong login or password");
    strbuf_release(&actor);
    db_pool_submit(http_request_context(request)->db, STMT_AUDIT_ADD, &params,
                   clock_mono_ms() + (uint64_t)config->http_request_timeout, NULL, NULL);
}
