/* mail/settings.h: configuration and database together, and what a setting may be */
#include <stdlib.h>
#include <unistd.h>

#include "auth/sealing.h"
#include "core/config.h"
#include "core/mem.h"
#include "mail/settings.h"
#include "tap.h"

static char directory[] = "/tmp/test_settings.XXXXXX";

/* The configuration that these settings ("section.key=value", ended by NULL) make. */
static struct config *config_of(const char *const *settings)
{
    struct config_flags flags = {.data = directory, .settings = (char **)settings};
    struct strbuf error = STRBUF_INIT;
    while (settings[flags.setting_count])
        flags.setting_count++;
    struct config *config = config_load(&flags, &error);
    if (!config)
        ok(false, "configuration: %s", error.data);
    strbuf_release(&error);
    return config;
}

static const struct {
    const char *name, *value;
    bool good;
} values[] = {
    {"smtp_host", "", true},
    {"smtp_host", "mx.example.org", true},
    {"smtp_host", "почта.example", true},
    {"smtp_host", "127.0.0.1", true},
    {"smtp_host", "::1", true},
    {"smtp_host", "[::1]", false},
    {"smtp_host", "::1::", false},
    {"smtp_host", "mx:25", false},
    {"smtp_host", "mx/x", false},
    {"smtp_host", "user@mx", false},
    {"smtp_host", "mx?a", false},
    {"smtp_host", "m x", false},
    {"smtp_host", "mx\r\nEHLO", false},
    {"smtp_host", "-mx", false},
    {"smtp_port", "1", true},
    {"smtp_port", "65535", true},
    {"smtp_port", "0", false},
    {"smtp_port", "65536", false},
    {"smtp_port", "25x", false},
    {"smtp_port", "-25", false},
    {"smtp_port", "99999999999999999999", false},
    {"smtp_security", "none", true},
    {"smtp_security", "starttls", true},
    {"smtp_security", "tls", true},
    {"smtp_security", "TLS", false},
    {"smtp_security", "ssl", false},
    {"smtp_from", "verstak@example.org", true},
    {"smtp_from", "verstak", false},
    {"smtp_from", "a@b\nc", false},
    {"smtp_from", "Home <a@b.c>", false},
    {"smtp_from", "a@b.c\xc2\xa0", false}, /* no-break space: as copied from a page */
    {"smtp_user", "any thing", true},
    {"smtp_user", "a\tb", false},
    {"smtp_password", "any thing ж", true},
    {"smtp_password", "a\nb", false},
    {"smtp_password", "a\xff", false},
    {"public_url", "https://sync.example.org", true},
    {"public_url", "http://localhost:47732/path/", true},
    {"public_url", "sync.example.org", false},
    {"public_url", "https://", false},
    {"public_url", "https://a b", false},
    {"public_url", "https://a?b", false},
    {"public_url", "javascript:alert(1)", false},
    {"server_name", "Синхронизация", true},
    {"server_name", "a\r\nb", false},
    {"registration", "open", true},
    {"registration", "closed", true},
    {"registration", "maybe", false},
};

static void test_values(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        const char *fault = mail_settings_fault(values[i].name, values[i].value);
        ok(!fault == values[i].good, "%s '%s': %s", values[i].name, values[i].value, fault ? fault : "good");
    }
    char *name = mem_zalloc(102);
    memset(name, 'x', 101);
    ok(mail_settings_fault("server_name", name) != NULL, "a long name of the server");
    free(name);
}

static void test_nothing(void)
{
    struct config *config = config_of((const char *const[]){NULL});
    struct mail_settings s;
    struct strbuf url = STRBUF_INIT;
    mail_settings_from_config(&s, config);
    ok(!s.configured && !s.fault && !s.smtp_fixed && !s.public_url_fixed && !s.server_name_fixed,
       "nothing is configured");
    is_str(s.server_name, "Verstak Sync Server", "a name all the same");
    mail_settings_url(&s, config, &url);
    is_str(url.data, "http://127.0.0.1:47732", "and a URL");
    mail_settings_apply(&s, NULL, NULL);
    mail_settings_apply(&s, "smtp_host", "mx.example.org");
    ok(!s.configured && s.fault, "a host alone: %s", s.fault);
    mail_settings_apply(&s, "smtp_from", "a@example.org");
    ok(s.configured && !s.fault, "with a sender it is");
    is_int(s.port, 587, "… on the usual port");
    is_int(s.security, SMTP_STARTTLS, "… with STARTTLS");
    mail_settings_apply(&s, "smtp_port", "2525");
    mail_settings_apply(&s, "smtp_security", "tls");
    mail_settings_apply(&s, "public_url", "https://a.example/");
    mail_settings_apply(&s, "server_name", "Дом");
    mail_settings_apply(&s, "another", "x");
    is_int(s.port, 2525, "port of the database");
    is_int(s.security, SMTP_TLS, "security of the database");
    is_str(s.server_name, "Дом", "name of the database");
    strbuf_reset(&url);
    mail_settings_url(&s, config, &url);
    is_str(url.data, "https://a.example", "URL of the database, without the slash");
    mail_settings_apply(&s, "smtp_security", "odd");
    is_int(s.security, SMTP_STARTTLS, "an unknown word is no leave to go without encryption");
    mail_settings_release(&s);
    strbuf_release(&url);
    config_free(&config);
}

static void test_fixed(void)
{
    struct config *config = config_of((const char *const[]){
        "smtp.host=mx.config", "smtp.from=c@example.org", "smtp.user=cuser", "smtp.password=cpass", "smtp.security=tls",
        "smtp.port=465", "server.public_url=https://c.example/", "server.name=Config", NULL});
    struct mail_settings s;
    mail_settings_from_config(&s, config);
    ok(s.configured && s.smtp_fixed && s.public_url_fixed && s.server_name_fixed, "all of it is fixed");
    static const char *const rows[][2] = {
        {"smtp_host", "mx.db"},   {"smtp_port", "25"},       {"smtp_user", "u"},         {"smtp_from", "d@b.c"},
        {"smtp_password", "v1:"}, {"smtp_security", "none"}, {"public_url", "http://d"}, {"server_name", "DB"}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        mail_settings_apply(&s, rows[i][0], rows[i][1]);
    is_str(s.host, "mx.config", "host");
    is_int(s.port, 465, "port");
    is_str(s.user, "cuser", "user");
    is_str(s.password, "cpass", "password");
    is_str(s.from, "c@example.org", "from");
    is_int(s.security, SMTP_TLS, "security");
    is_str(s.public_url, "https://c.example", "URL");
    is_str(s.server_name, "Config", "name");
    ok(s.configured, "and it is still configured");
    mail_settings_release(&s);
    config_free(&config);
}

/* Without smtp.host the rest of smtp.* is nothing that an admin's host gets to see. */
static void test_password_stays(void)
{
    struct config *config = config_of((const char *const[]){"smtp.password=operator", "smtp.user=op", NULL});
    struct mail_settings s;
    mail_settings_from_config(&s, config);
    mail_settings_apply(&s, "smtp_host", "mx.stranger");
    mail_settings_apply(&s, "smtp_from", "a@example.org");
    ok(!s.smtp_fixed && !*s.password && !*s.user, "the operator's password does not go to another host");
    mail_settings_release(&s);
    config_free(&config);
}

static void test_stored_password(void)
{
    struct config *config = config_of((const char *const[]){NULL});
    struct sealing *sealing = NULL;
    struct strbuf sealed = STRBUF_INIT, error = STRBUF_INIT;
    struct mail_settings s;
    ok(sealing_open(&sealing, directory, &error) && sealing_seal(sealing, "smtp_password", "geheim", &sealed, &error),
       "a key %s", error.data);
    for (int with = 0; with < 2; with++) {
        mail_settings_from_config(&s, config);
        s.sealing = with ? sealing : NULL;
        mail_settings_apply(&s, "smtp_from", "a@example.org");
        mail_settings_apply(&s, "smtp_host", "mx");
        mail_settings_apply(&s, "smtp_password", sealed.data);
        ok(s.configured, "a password that is not needed does no harm");
        mail_settings_apply(&s, "smtp_user", "mailer");
        ok(s.configured == with, "with a user it is needed: %s", s.fault ? s.fault : "there");
        is_str(s.password, with ? "geheim" : "", "… password");
        mail_settings_release(&s);
    }
    strbuf_release(&sealed);
    strbuf_release(&error);
    sealing_free(&sealing);
    config_free(&config);
}

static void test_urls(void)
{
    static const struct {
        const char *listen, *url;
    } cases[] = {
        {"server.listen=0.0.0.0:80", "http://localhost:80"},
        {"server.listen=[::]:80", "http://localhost:80"},
        {"server.listen=[::1]:80", "http://[::1]:80"},
        {"server.listen=10.0.0.1:8080", "http://10.0.0.1:8080"},
        {"server.public_url=https://a.example/x/", "https://a.example/x"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct config *config = config_of((const char *const[]){cases[i].listen, NULL});
        struct mail_settings s;
        struct strbuf url = STRBUF_INIT;
        mail_settings_from_config(&s, config);
        mail_settings_url(&s, config, &url);
        is_str(url.data, cases[i].url, "%s", cases[i].listen);
        mail_settings_release(&s);
        strbuf_release(&url);
        config_free(&config);
    }
}

int main(void)
{
    if (!mkdtemp(directory))
        return 1;
    test_values();
    test_nothing();
    test_fixed();
    test_password_stays();
    test_stored_password();
    test_urls();
    char *key = mem_printf("%s/secret.key", directory);
    unlink(key);
    rmdir(directory);
    free(key);
    return tap_done();
}
