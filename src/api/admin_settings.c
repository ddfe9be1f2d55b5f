/* What an admin sets at run time beside SMTP, in a worker: GET and POST /admin/api/settings. */
#include "api/handlers.h"
#include "api/settings.h"
#include "core/compiler.h"
#include "core/json_write.h"
#include "db/params.h"
#include "http/reply.h"
#include "http/request.h"

static const struct settings_field fields[] = {
    {"public_url", SETTING_PUBLIC_URL},
    {"server_name", SETTING_SERVER_NAME},
    {"registration", SETTING_REGISTRATION},
};

static void settings_listed(struct http_request *request, const struct db_result *result)
{
    const struct settings *settings = settings_read(request, result);
    struct strbuf body = STRBUF_INIT;

    strbuf_append_char(&body, '{');
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        json_write_member(&body, fields[i].name, settings_value(request, settings, fields[i].setting));
        strbuf_append_char(&body, ',');
    }
    settings_write_fixed(&body, settings, fields, ARRAY_SIZE(fields));
    strbuf_append_char(&body, '}');
    reply_json(request, 200, &body);
}

void admin_settings_get(struct http_request *request)
{
    struct db_params params;
    http_request_params(request, &params);
    http_request_query(request, STMT_ADMIN_SETTINGS, &params, settings_listed);
}

void admin_settings_post(struct http_request *request)
{
    settings_post(request, fields, ARRAY_SIZE(fields));
}
