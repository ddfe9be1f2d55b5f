/*
 * Reads, checks and writes the settings, in a worker. The steps of settings_post():
 *
 *   settings_post     read and check the fields
 *   settings_known    409 for what is fixed; write what changes
 *   settings_written  done
 */
#include "api/settings.h"

#include <stdio.h>
#include <string.h>

#include "auth/sealing.h"
#include "core/config.h"
#include "core/json_write.h"
#include "db/params.h"
#include "http/reply.h"
#include "http/request.h"

/* In the database. */
static const char *const names[SETTING_COUNT] = {
    [SETTING_SMTP_HOST] = "smtp_host",         [SETTING_SMTP_PORT] = "smtp_port",
    [SETTING_SMTP_USER] = "smtp_user",         [SETTING_SMTP_PASSWORD] = "smtp_password",
    [SETTING_SMTP_SECURITY] = "smtp_security", [SETTING_SMTP_FROM] = "smtp_from",
    [SETTING_PUBLIC_URL] = "public_url",       [SETTING_SERVER_NAME] = "server_name",
    [SETTING_REGISTRATION] = "registration",
};

const struct settings_field settings_smtp_fields[SETTINGS_SMTP_FIELDS] = {
    {"smtp_host", SETTING_SMTP_HOST},     {"smtp_port", SETTING_SMTP_PORT},         {"smtp_user", SETTING_SMTP_USER},
    {"smtp_pass", SETTING_SMTP_PASSWORD}, {"smtp_security", SETTING_SMTP_SECURITY}, {"smtp_from", SETTING_SMTP_FROM},
    {"server_url", SETTING_PUBLIC_URL},
};

enum { ROW_NAME = 2, ROW_VALUE }; /* columns of admin_settings */

static const char *text_of(const char *value)
{
    return value != NULL ? value : "";
}

static void settings_end(void *data)
{
    struct settings *settings = data;
    mail_settings_release(&settings->mail);
}

static void read_row(struct http_request *request, struct settings *settings, const char *name, const char *value)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (strcmp(names[i], name) == 0)
            settings->stored.of[i] = http_request_strdup(request, value, strlen(value));
    }
    mail_settings_apply(&settings->mail, name, value);
}

struct settings *settings_read(struct http_request *request, const struct db_result *result)
{
    const struct config *config = http_request_config(request);
    struct settings *settings = http_request_alloc(request, sizeof(*settings));
    int rows = db_result_null(result, 0, ROW_NAME) ? 0 : db_result_rows(result);

    mail_settings_from_config(&settings->mail, config);
    settings->mail.sealing = http_request_context(request)->sealing;
    http_request_on_end(request, settings_end, settings);
    for (int row = 0; row < rows; row++)
        read_row(request, settings, db_result_text(result, row, ROW_NAME, NULL),
                 db_result_text(result, row, ROW_VALUE, NULL));
    settings->registration_fixed = config_is_set(config, "server.registration");
    settings->registration = settings->stored.of[SETTING_REGISTRATION];
    if (settings->registration_fixed || settings->registration == NULL)
        settings->registration = config->server_registration;
    return settings;
}

bool settings_fixed(const struct settings *settings, enum setting setting)
{
    switch (setting) {
    case SETTING_PUBLIC_URL:
        return settings->mail.public_url_fixed;
    case SETTING_SERVER_NAME:
        return settings->mail.server_name_fixed;
    case SETTING_REGISTRATION:
        return settings->registration_fixed;
    default:
        return settings->mail.smtp_fixed;
    }
}

const char *settings_value(struct http_request *request, const struct settings *settings, enum setting setting)
{
    char port[24];
    switch (setting) {
    case SETTING_SMTP_HOST:
        return settings->mail.host;
    case SETTING_SMTP_PORT:
        snprintf(port, sizeof(port), "%lld", (long long)settings->mail.port);
        return http_request_strdup(request, port, strlen(port));
    case SETTING_SMTP_USER:
        return settings->mail.user;
    case SETTING_SMTP_SECURITY:
        return smtp_security_name(settings->mail.security);
    case SETTING_SMTP_FROM:
        return settings->mail.from;
    case SETTING_PUBLIC_URL:
        return settings->mail.public_url;
    case SETTING_SERVER_NAME:
        return settings->mail.server_name;
    case SETTING_REGISTRATION:
        return settings->registration;
    case SETTING_SMTP_PASSWORD:
    case SETTING_COUNT:
        break;
    }
    return "";
}

bool settings_password_set(const struct settings *settings)
{
    if (settings->mail.smtp_fixed)
        return settings->mail.password[0] != '\0';
    return text_of(settings->stored.of[SETTING_SMTP_PASSWORD])[0] != '\0';
}

/* Says what is wrong in the words of the form. */
static void answer_fault(struct http_request *request, const struct settings_field *field, const char *fault)
{
    const char *name = names[field->setting];
    if (strncmp(fault, name, strlen(name)) == 0)
        reply_error_text(request, ERROR_INVALID_REQUEST, "%s%s", field->name, fault + strlen(name));
    else
        reply_error_text(request, ERROR_INVALID_REQUEST, "%s: %s", field->name, fault);
}

bool settings_form(struct http_request *request, const struct settings_field *fields, size_t count,
                   struct settings_values *posted_r)
{
    memset(posted_r, 0, sizeof(*posted_r));
    if (!http_request_form(request))
        return false;
    for (size_t i = 0; i < count; i++) {
        const char **value = &posted_r->of[fields[i].setting];
        bool good = fields[i].setting == SETTING_SMTP_PORT ? http_request_form_number(request, fields[i].name, value)
                                                           : http_request_form_field(request, fields[i].name, value);
        if (!good)
            return false;
        const char *fault = *value != NULL ? mail_settings_fault(names[fields[i].setting], *value) : NULL;
        if (fault != NULL) {
            answer_fault(request, &fields[i], fault);
            return false;
        }
    }
    return true;
}

struct change {
    const struct settings_field *fields;
    size_t count;
    struct settings_values posted;
};

/* A fixed setting that was posted as it is, for a form has all fields, is none to change. False: answered. */
static bool drop_fixed(struct http_request *request, const struct settings *settings, struct change *change)
{
    for (size_t i = 0; i < change->count; i++) {
        enum setting setting = change->fields[i].setting;
        const char *value = change->posted.of[setting];
        if (value == NULL || !settings_fixed(settings, setting))
            continue;
        if (strcmp(value, settings_value(request, settings, setting)) != 0) {
            reply_error_text(request, ERROR_CONFLICT,
                             "%s is fixed by the server's configuration and cannot be changed here",
                             change->fields[i].name);
            return false;
        }
        change->posted.of[setting] = NULL;
    }
    return true;
}

static const char *seal(struct http_request *request, const char *password)
{
    struct strbuf sealed = STRBUF_INIT, error = STRBUF_INIT;
    const char *text = NULL;
    const struct sealing *sealing = http_request_context(request)->sealing;
    if (sealing == NULL)
        reply_internal(request, "cannot seal the SMTP password without its key; see the warning at the worker's start");
    else if (sealing_seal(sealing, names[SETTING_SMTP_PASSWORD], password, &sealed, &error))
        text = http_request_strdup(request, sealed.data, sealed.len);
    else
        reply_internal(request, "cannot seal the SMTP password: %s", error.data);
    strbuf_release(&sealed);
    strbuf_release(&error);
    return text;
}

/*
 * A new password is written together with the host and user that it is for, so that of two admins at once neither makes
 * the other's server get it. No password leaves the stored one: the statement drops it when host or user change.
 * False: answered.
 */
static bool seal_password(struct http_request *request, const struct settings *settings, struct settings_values *posted)
{
    static const enum setting whose[] = {SETTING_SMTP_HOST, SETTING_SMTP_USER};
    const char **password = &posted->of[SETTING_SMTP_PASSWORD];

    if (*text_of(*password) == '\0') {
        *password = NULL;
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(whose); i++) {
        if (posted->of[whose[i]] == NULL)
            posted->of[whose[i]] = text_of(settings->stored.of[whose[i]]);
    }
    *password = seal(request, *password);
    return *password != NULL;
}

/* What is posted as it is stored is no change, for the audit log neither. */
static void drop_unchanged(const struct settings *settings, struct settings_values *posted)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (posted->of[i] != NULL && strcmp(posted->of[i], text_of(settings->stored.of[i])) == 0)
            posted->of[i] = NULL;
    }
}

static size_t values_count(const struct settings_values *values)
{
    size_t count = 0;
    for (int i = 0; i < SETTING_COUNT; i++)
        count += values->of[i] != NULL;
    return count;
}

static void bind_values(struct db_params *params, const struct settings_values *values, const char *const *texts)
{
    db_params_array_begin(params, DB_ARRAY_TEXT, values_count(values));
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (values->of[i] != NULL)
            db_params_array_element(params, texts[i], strlen(texts[i]));
    }
    db_params_array_end(params);
}

static void settings_written(struct http_request *request, const struct db_result *result UNUSED)
{
    reply_status(request, "ok");
}

static void settings_known(struct http_request *request, const struct db_result *result)
{
    struct change *change = http_request_data(request);
    const struct settings *settings = settings_read(request, result);
    struct db_params params;

    if (!drop_fixed(request, settings, change))
        return;
    drop_unchanged(settings, &change->posted);
    if (!seal_password(request, settings, &change->posted))
        return;
    if (values_count(&change->posted) == 0) {
        reply_status(request, "ok");
        return;
    }
    http_request_params(request, &params);
    bind_values(&params, &change->posted, names);
    bind_values(&params, &change->posted, change->posted.of);
    db_params_str(&params, http_request_address(request));
    http_request_query(request, STMT_ADMIN_SETTINGS_SET, &params, settings_written);
}

void settings_post(struct http_request *request, const struct settings_field *fields, size_t count)
{
    struct change *change = http_request_alloc(request, sizeof(*change));
    struct db_params params;

    change->fields = fields;
    change->count = count;
    if (!settings_form(request, fields, count, &change->posted))
        return;
    http_request_set_data(request, change);
    http_request_params(request, &params);
    http_request_query(request, STMT_ADMIN_SETTINGS, &params, settings_known);
}

void settings_write_fixed(struct strbuf *out, const struct settings *settings, const struct settings_field *fields,
                          size_t count)
{
    const char *comma = "";
    strbuf_append_str(out, "\"fixed\":[");
    for (size_t i = 0; i < count; i++) {
        if (!settings_fixed(settings, fields[i].setting))
            continue;
        strbuf_append_str(out, comma);
        json_write_string(out, fields[i].name, strlen(fields[i].name));
        comma = ",";
    }
    strbuf_append_char(out, ']');
}
