/* The SMTP settings, in a worker: GET and POST /admin/api/smtp. The password goes in and never comes out. */
#include "api/handlers.h"
#include "api/settings.h"
#include "core/json_write.h"
#include "db/params.h"
#include "http/reply.h"
#include "http/request.h"

static void write_text(struct strbuf *out, const char *name, const char *value)
{
    json_write_member(out, name, value);
    strbuf_append_char(out, ',');
}

static void smtp_listed(struct http_request *request, const struct db_result *result)
{
    const struct settings *settings = settings_read(request, result);
    const struct mail_settings *mail = &settings->mail;
    struct strbuf body = STRBUF_INIT;

    strbuf_append_char(&body, '{');
    write_text(&body, "smtp_host", mail->host);
    strbuf_printf(&body, "\"smtp_port\":%lld,", (long long)mail->port);
    write_text(&body, "smtp_user", mail->user);
    write_text(&body, "smtp_security", smtp_security_name(mail->security));
    write_text(&body, "smtp_from", mail->from);
    write_text(&body, "server_url", mail->public_url);
    strbuf_printf(&body, "\"password_set\":%s,", settings_password_set(settings) ? "true" : "false");
    strbuf_printf(&body, "\"configured\":%s,", mail->configured ? "true" : "false");
    write_text(&body, "fault", mail->fault != NULL ? mail->fault : "");
    settings_write_fixed(&body, settings, settings_smtp_fields, SETTINGS_SMTP_FIELDS);
    strbuf_append_char(&body, '}');
    reply_json(request, 200, &body);
}

void admin_smtp_get(struct http_request *request)
{
    struct db_params params;
    http_request_params(request, &params);
    http_request_query(request, STMT_ADMIN_SETTINGS, &params, smtp_listed);
}

void admin_smtp_post(struct http_request *request)
{
    settings_post(request, settings_smtp_fields, SETTINGS_SMTP_FIELDS);
}
