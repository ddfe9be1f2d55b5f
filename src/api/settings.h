/*
 * The settings that an admin changes at run time: rows of the table settings, under what the configuration fixes. Read
 * from the database at each use, so that all workers and hosts agree. For the handlers of api/admin_settings.c and
 * api/admin_smtp.c, in a worker.
 */
#ifndef API_SETTINGS_H
#define API_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"
#include "db/result.h"
#include "mail/settings.h"

struct http_request;

enum setting {
    SETTING_SMTP_HOST,
    SETTING_SMTP_PORT,
    SETTING_SMTP_USER,
    SETTING_SMTP_PASSWORD,
    SETTING_SMTP_SECURITY,
    SETTING_SMTP_FROM,
    SETTING_PUBLIC_URL,
    SETTING_SERVER_NAME,
    SETTING_REGISTRATION,
    SETTING_COUNT
};

/* How a setting is called in a request. */
struct settings_field {
    const char *name;
    enum setting setting;
};

/* By setting; NULL: none. */
struct settings_values {
    const char *of[SETTING_COUNT];
};

struct settings {
    struct settings_values stored; /* rows of the database; the password sealed */
    struct mail_settings mail;     /* what is in force */
    const char *registration;      /* "open" or "closed", in force */
    bool registration_fixed;
};

/* The fields of the SMTP form: "smtp_host", …, "server_url". */
#define SETTINGS_SMTP_FIELDS 7
extern const struct settings_field settings_smtp_fields[SETTINGS_SMTP_FIELDS];

/* The result of admin_settings; lives as long as the request object. */
struct settings *settings_read(struct http_request *request, const struct db_result *result);
/* By the configuration: cannot be changed here. */
bool settings_fixed(const struct settings *settings, enum setting setting);
/* What is in force, "" when nothing is; for the password always "". Lives as long as the request object. */
const char *settings_value(struct http_request *request, const struct settings *settings, enum setting setting);

/* There is a password, whether or not it can be read. */
bool settings_password_set(const struct settings *settings);

/* The fields that the request's form or JSON has, checked. False: answered with 400. */
bool settings_form(struct http_request *request, const struct settings_field *fields, size_t count,
                   struct settings_values *posted_r) WARN_UNUSED;
/*
 * POST of settings, from its form to its answer: settings that were not posted stay, those of the empty text are taken
 * out, fixed ones get a 409 unless nothing would change. fields lives for ever.
 */
void settings_post(struct http_request *request, const struct settings_field *fields, size_t count);

/* Appends "fixed":["name", …] of the fields. */
void settings_write_fixed(struct strbuf *out, const struct settings *settings, const struct settings_field *fields,
                          size_t count);

#endif
