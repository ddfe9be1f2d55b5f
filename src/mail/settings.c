/* mail_settings: in the mailer (at start, and whenever they may have changed) and in workers (settings, SMTP test). */
#include "mail/settings.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "auth/accounts.h"
#include "auth/sealing.h"
#include "core/config.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "mail/message.h"

#define SETTINGS_NAME "Verstak Sync Server"
#define SETTINGS_PORT 587

static const char *const security_names[] = {[SMTP_NONE] = "none", [SMTP_STARTTLS] = "starttls", [SMTP_TLS] = "tls"};

const char *smtp_security_name(enum smtp_security security)
{
    return security_names[security];
}

bool smtp_security_parse(const char *word, enum smtp_security *security_r)
{
    for (size_t i = 0; i < ARRAY_SIZE(security_names); i++)
        if (strcmp(word, security_names[i]) == 0) {
            *security_r = (enum smtp_security)i;
            return true;
        }
    return false;
}

/* --- what a value must be like --- */

static bool settings_printable(const char *value)
{
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f || ((unsigned char)c[0] == 0xc2 && (unsigned char)c[1] < 0xa0))
            return false;
    return utf8_valid(value, strlen(value));
}

/* A host name (letters beyond ASCII for curl to translate), or a numeric address. */
static bool settings_is_host(const char *value)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (strchr(value, ':'))
        return inet_pton(AF_INET6, value, address) == 1;
    for (const char *c = value; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", *c) &&
            (unsigned char)*c < 0x80)
            return false;
    return *value != '.' && *value != '-' && strlen(value) <= 253;
}

/* Digits only, 1 to 65535; 0 when it is no port. */
static int64_t settings_port(const char *value)
{
    size_t digits = strspn(value, "0123456789");
    long port = digits && digits <= 5 && !value[digits] ? strtol(value, NULL, 10) : 0;
    return port <= 65535 ? port : 0;
}

static bool settings_is_url(const char *value)
{
    size_t scheme = strncmp(value, "https://", 8) == 0 ? 8 : strncmp(value, "http://", 7) == 0 ? 7 : 0;
    return scheme && value[scheme] && value[scheme] != '/' && !strpbrk(value, " \"<>?#\\^`{|}") && strlen(value) <= 500;
}

static const char *settings_text_fault(const char *name, const char *value)
{
    enum smtp_security security;
    if (strcmp(name, "smtp_host") == 0 && !settings_is_host(value))
        return "smtp_host is neither a host name nor an address (IPv6 without brackets)";
    if (strcmp(name, "smtp_port") == 0 && !settings_port(value))
        return "smtp_port is not a port (1 to 65535)";
    if (strcmp(name, "smtp_security") == 0 && !smtp_security_parse(value, &security))
        return "smtp_security must be none, starttls or tls";
    if (strcmp(name, "smtp_from") == 0 && (accounts_email_fault(value, strlen(value)) || !message_takes_address(value)))
        return "smtp_from is not an e-mail address";
    if (strcmp(name, "public_url") == 0 && !settings_is_url(value))
        return "public_url is not a URL like https://sync.example.org";
    if (strcmp(name, "registration") == 0 && strcmp(value, "open") != 0 && strcmp(value, "closed") != 0)
        return "registration is neither open nor closed";
    return NULL;
}

const char *mail_settings_fault(const char *name, const char *value)
{
    if (!*value)
        return NULL;
    if (!settings_printable(value))
        return "the value has control characters or is not UTF-8";
    if (strcmp(name, "server_name") == 0 && strlen(value) > 100)
        return "server_name is longer than 100 bytes";
    if ((strcmp(name, "smtp_user") == 0 || strcmp(name, "smtp_password") == 0) && strlen(value) > 512)
        return "user name and password for SMTP have 512 bytes at most";
    return settings_text_fault(name, value);
}

/* --- building --- */

static void settings_set(char **field, const char *value)
{
    size_t len = strlen(value);
    if (*field)
        mem_wipe(*field, strlen(*field));
    free(*field);
    *field = mem_strndup(value, len);
}

/* The reason why nothing can be sent though a host is given, anew after each change. */
static void settings_judge(struct mail_settings *s)
{
    const char *host = mail_settings_fault("smtp_host", s->host), *from = mail_settings_fault("smtp_from", s->from);
    const char *fault = !*s->host   ? NULL
                        : host      ? host
                        : !*s->from ? "there is no sender's address (smtp_from)"
                        : from      ? from
                        : *s->user  ? s->password_fault
                                    : NULL;
    s->fault = fault;
    s->configured = *s->host && !fault;
}

void mail_settings_from_config(struct mail_settings *settings, const struct config *config)
{
    bool fixed = config_is_set(config, "smtp.host");
    *settings = (struct mail_settings){
        .host = mem_strdup(fixed ? config->smtp_host : ""),
        .port = fixed ? config->smtp_port : SETTINGS_PORT,
        .user = mem_strdup(fixed ? config->smtp_user : ""),
        .password = mem_strdup(fixed ? config->smtp_password : ""),
        .from = mem_strdup(fixed ? config->smtp_from : ""),
        .ca_file = mem_strdup(config->smtp_ca_file),
        .public_url = mem_strdup(config->server_public_url),
        .server_name = mem_strdup(*config->server_name ? config->server_name : SETTINGS_NAME),
        .security = SMTP_STARTTLS,
        .starttls_optional = config->smtp_starttls_optional,
        .smtp_fixed = fixed,
        .public_url_fixed = config_is_set(config, "server.public_url"),
        .server_name_fixed = config_is_set(config, "server.name"),
    };
    if (fixed && !smtp_security_parse(config->smtp_security, &settings->security))
        abort(); /* options.def has other words */
    settings_judge(settings);
}

static void settings_apply_password(struct mail_settings *s, const char *sealed)
{
    struct strbuf text = STRBUF_INIT, error = STRBUF_INIT;
    if (!*sealed)
        settings_set(&s->password, "");
    else if (!s->sealing)
        strbuf_error(&error, "cannot be read without its key");
    else if (sealing_unseal(s->sealing, "smtp_password", sealed, &text, &error))
        settings_set(&s->password, text.data);
    free(s->password_fault);
    s->password_fault = error.len ? mem_printf("the stored SMTP password %s", error.data) : NULL;
    mem_wipe(text.data, text.len);
    strbuf_release(&text);
    strbuf_release(&error);
}

/* The field of a setting that is a plain text. */
static char **settings_field(struct mail_settings *s, const char *name)
{
    return strcmp(name, "smtp_host") == 0     ? &s->host
           : strcmp(name, "smtp_user") == 0   ? &s->user
           : strcmp(name, "smtp_from") == 0   ? &s->from
           : strcmp(name, "public_url") == 0  ? &s->public_url
           : strcmp(name, "server_name") == 0 ? &s->server_name
                                              : NULL;
}

static bool settings_is_fixed(const struct mail_settings *s, const char *name)
{
    return (s->smtp_fixed && strncmp(name, "smtp_", 5) == 0) ||
           (s->public_url_fixed && strcmp(name, "public_url") == 0) ||
           (s->server_name_fixed && strcmp(name, "server_name") == 0);
}

void mail_settings_apply(struct mail_settings *settings, const char *name, const char *value)
{
    if (!name || !value || !*value || settings_is_fixed(settings, name))
        return;
    char **field = settings_field(settings, name);
    if (field)
        settings_set(field, value);
    else if (strcmp(name, "smtp_port") == 0 && settings_port(value))
        settings->port = settings_port(value);
    else if (strcmp(name, "smtp_security") == 0 && !smtp_security_parse(value, &settings->security))
        settings->security = SMTP_STARTTLS; /* never less than asked for */
    else if (strcmp(name, "smtp_password") == 0)
        settings_apply_password(settings, value);
    settings_judge(settings);
}

void mail_settings_release(struct mail_settings *settings)
{
    if (settings->password)
        mem_wipe(settings->password, strlen(settings->password));
    free(settings->host);
    free(settings->user);
    free(settings->password);
    free(settings->from);
    free(settings->ca_file);
    free(settings->public_url);
    free(settings->server_name);
    free(settings->password_fault);
    *settings = (struct mail_settings){0};
}

bool mail_settings_equal(const struct mail_settings *a, const struct mail_settings *b)
{
    return strcmp(a->host, b->host) == 0 && a->port == b->port && strcmp(a->user, b->user) == 0 &&
           strcmp(a->password, b->password) == 0 && strcmp(a->from, b->from) == 0 &&
           strcmp(a->ca_file, b->ca_file) == 0 && a->security == b->security &&
           a->starttls_optional == b->starttls_optional && a->configured == b->configured;
}

/* --- links --- */

void mail_settings_url(const struct mail_settings *settings, const struct config *config, struct strbuf *out)
{
    char host[64];
    unsigned port;
    size_t len = strlen(settings->public_url);
    while (len && settings->public_url[len - 1] == '/')
        len--; /* paths are appended */
    if (len) {
        strbuf_append(out, settings->public_url, len);
    } else if (config_split_listen(config->server_listen, host, &port)) {
        bool any = strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
        strbuf_printf(out, strchr(host, ':') && !any ? "http://[%s]:%u" : "http://%s:%u", any ? "localhost" : host,
                      port);
    }
}
