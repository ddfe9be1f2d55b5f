/* Writes audit rows without making the client wait. Runs in workers. */
#include "api/audit.h"

#include "core/clock.h"
#include "core/config.h"
#include "db/params.h"
#include "db/pool.h"
#include "http/request.h"

void audit_record(struct http_request *request, const char *actor, const char *action, const char *subject,
                  const char *detail)
{
    const struct config *config = http_request_config(request);
    struct db_params params;

    db_params_init(&params);
    db_params_str(&params, actor);
    db_params_str(&params, action);
    db_params_str(&params, subject);
    db_params_str(&params, http_request_address(request));
    db_params_str(&params, detail);
    db_pool_submit(http_request_context(request)->db, STMT_AUDIT_ADD, &params,
                   clock_mono_ms() + (uint64_t)config->http_request_timeout, NULL, NULL);
}
