/*
 * mail_settings: what the mailer and the SMTP test need to know, out of the configuration and the database's settings.
 * What the configuration gives is fixed: smtp.host there fixes all of SMTP, public_url and server_name are fixed one by
 * one. Begin with mail_settings_from_config(), apply each row, then look at `configured`.
 */
#ifndef MAIL_SETTINGS_H
#define MAIL_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct config;
struct sealing;

enum smtp_security { SMTP_NONE, SMTP_STARTTLS, SMTP_TLS };

struct mail_settings {
    char *host; /* name or numeric address, IPv6 without brackets; "" none */
    int64_t port;
    char *user, *password; /* "" no authentication */
    char *from;            /* address */
    char *ca_file;         /* "" the system's */
    char *public_url;      /* without a "/" at its end; "" nobody has said it */
    char *server_name;     /* never empty */
    enum smtp_security security;
    bool starttls_optional;
    bool smtp_fixed, public_url_fixed, server_name_fixed; /* by the configuration */
    bool configured;               /* host and from are there and the password can be read: e-mails can be sent */
    const char *fault;             /* why it is not configured although a host is given; else NULL */
    char *password_fault;          /* why the stored password cannot be read; else NULL */
    const struct sealing *sealing; /* borrowed; NULL: sealed passwords cannot be read */
};

/* Sealed passwords are opened by settings->sealing, which the caller sets after this call. */
void mail_settings_from_config(struct mail_settings *settings, const struct config *config);
/*
 * One row of the table settings: smtp_host, smtp_port, smtp_user, smtp_password (sealed), smtp_security, smtp_from,
 * public_url, server_name; others are passed over, and so is what is fixed. A NULL name is no row.
 */
void mail_settings_apply(struct mail_settings *settings, const char *name, const char *value);
void mail_settings_release(struct mail_settings *settings); /* wipes the password */
/* Whether both speak to the same server in the same way; says nothing of public_url and server_name. */
bool mail_settings_equal(const struct mail_settings *a, const struct mail_settings *b);

/*
 * What is wrong with a value for this setting: a sentence for the admin (static), or NULL when it is good. The empty
 * text is good for each: it takes the setting out. smtp_password is looked at before sealing.
 */
const char *mail_settings_fault(const char *name, const char *value);

const char *smtp_security_name(enum smtp_security security);
/* False when the word is none of "none", "starttls" and "tls". */
bool smtp_security_parse(const char *word, enum smtp_security *security_r) WARN_UNUSED;

/* The URL that links begin with: public_url, or http://LISTEN where it is not known. Appended to out. */
void mail_settings_url(const struct mail_settings *settings, const struct config *config, struct strbuf *out);

#endif
