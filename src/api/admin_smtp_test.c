/*
 * POST /admin/api/smtp/test, in a worker: sends a mail with the settings given, before they are stored. The steps:
 *
 *   admin_smtp_test_post   read and check the fields
 *   smtp_test_known        what was not given is as it is in force; the audit row; the mail to a thread of its own
 *   smtp_test_run          in the thread: speak SMTP, 20 s at most
 *   smtp_test_done         whether the server took the mail
 *
 * The thread is one, and its queue short: a server that hangs holds up nobody but the next test.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/audit.h"
#include "api/handlers.h"
#include "api/settings.h"
#include "auth/accounts.h"
#include "auth/tokens.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/json_write.h"
#include "core/log.h"
#include "core/mem.h"
#include "db/params.h"
#include "http/reply.h"
#include "http/request.h"
#include "mail/locale.h"
#include "mail/message.h"
#include "mail/render.h"
#include "mail/smtp.h"

#define LIMIT_MS 20000
#define LEAST_MS 1000 /* with less time left a try says nothing about the server */

struct smtp_test {
    struct settings_values posted;
    const char *to;
    struct settings *settings; /* its `mail` is what the test is made with */
    struct message message;
    uint64_t deadline; /* clock_mono_ms() */
    bool sent;
    struct strbuf error;
};

static void smtp_test_end(void *data)
{
    struct smtp_test *test = data;
    message_release(&test->message);
    strbuf_release(&test->error);
}

static void answer(struct http_request *request, bool sent, const char *error)
{
    struct strbuf body = STRBUF_INIT;
    strbuf_append_str(&body, sent ? "{\"ok\":true" : "{\"ok\":false,");
    if (!sent)
        json_write_member(&body, "error", error);
    strbuf_append_char(&body, '}');
    reply_json(request, 200, &body);
}

static void smtp_test_done(struct http_request *request, void *data)
{
    struct smtp_test *test = data;
    const struct mail_settings *mail = &test->settings->mail;
    if (test->sent)
        log_info("request %s: SMTP test: %s:%" PRId64 " took the mail", http_request_id(request), mail->host,
                 mail->port);
    else
        log_info("request %s: SMTP test: %s:%" PRId64 ": %s", http_request_id(request), mail->host, mail->port,
                 test->error.data);
    answer(request, test->sent, test->error.data);
}

static void smtp_test_run(void *data)
{
    struct smtp_test *test = data;
    uint64_t now = clock_mono_ms();
    if (now + LEAST_MS > test->deadline)
        strbuf_error(&test->error, "another test took all the time; try again");
    else
        test->sent =
            smtp_send_now(&test->settings->mail, &test->message, (int64_t)(test->deadline - now), &test->error);
}

static void set_text(char **field, const char *value)
{
    if (value == NULL)
        return;
    mem_wipe(*field, strlen(*field));
    free(*field);
    *field = mem_strdup(value);
}

/*
 * Puts what was posted into the settings in force. The password of these is for their host, port and user alone, and
 * not for the network to read: else whoever has an admin's session could have it sent to a server of his own, or in
 * clear. False: it would be needed, but cannot be read.
 */
static bool take_posted(struct mail_settings *mail, const struct settings_values *posted)
{
    const char *port = posted->of[SETTING_SMTP_PORT], *security = posted->of[SETTING_SMTP_SECURITY];
    const char *host = posted->of[SETTING_SMTP_HOST], *user = posted->of[SETTING_SMTP_USER];
    const char *password = posted->of[SETTING_SMTP_PASSWORD];
    int64_t number = port != NULL && *port != '\0' ? strtoll(port, NULL, 10) : mail->port;
    bool same = number == mail->port && (host == NULL || strcmp(host, mail->host) == 0) &&
                (user == NULL || strcmp(user, mail->user) == 0) &&
                (security == NULL || strcmp(security, "none") != 0 || mail->security == SMTP_NONE);

    if (password == NULL || *password == '\0')
        password = same ? NULL : "";
    if (password == NULL && mail->password_fault != NULL && *mail->user != '\0')
        return false;
    mail->port = number;
    set_text(&mail->host, host);
    set_text(&mail->user, user);
    set_text(&mail->password, password);
    set_text(&mail->from, posted->of[SETTING_SMTP_FROM]);
    if (security != NULL && *security != '\0' && !smtp_security_parse(security, &mail->security))
        mail->security = SMTP_STARTTLS; /* settings_form() has looked at it */
    mail->configured = true;
    return true;
}

/* False: answered. */
static bool make_message(struct http_request *request, struct smtp_test *test)
{
    const struct mail_settings *mail = &test->settings->mail;
    const char *at = strrchr(mail->from, '@');
    struct strbuf url = STRBUF_INIT, error = STRBUF_INIT;
    struct token token;

    token_make(&token);
    char *id = mem_printf("%.32s@%s", token.text, at != NULL ? at + 1 : "localhost");
    struct render_input input = {
        .template = "smtp_test",
        .locale = locale_pick(http_request_header(request, "accept-language")),
        .recipient = test->to,
        .user_name = http_request_user(request),
        .message_id = id,
        .created_at = time(NULL),
    };
    mail_settings_url(mail, http_request_config(request), &url);
    bool made = render_message(&input, mail, url.data, &test->message, &error);
    if (!made)
        reply_internal(request, "cannot make a test mail: %s", error.data);
    free(id);
    strbuf_release(&url);
    strbuf_release(&error);
    return made;
}

static void record(struct http_request *request, const struct smtp_test *test)
{
    const struct mail_settings *mail = &test->settings->mail;
    struct strbuf actor = STRBUF_INIT, detail = STRBUF_INIT;
    strbuf_printf(&actor, "admin:%s", http_request_user(request));
    strbuf_printf(&detail, "%s port %" PRId64, mail->host, mail->port);
    audit_record(request, actor.data, "smtp.test", "settings", detail.data);
    strbuf_release(&actor);
    strbuf_release(&detail);
}

static void smtp_test_known(struct http_request *request, const struct db_result *result)
{
    struct smtp_test *test = http_request_data(request);
    struct mail_settings *mail;

    test->settings = settings_read(request, result);
    mail = &test->settings->mail;
    if (!take_posted(mail, &test->posted)) {
        answer(request, false, mail->password_fault);
        return;
    }
    if (*mail->host == '\0' || *mail->from == '\0') {
        reply_error_text(request, ERROR_INVALID_REQUEST, "%s is required",
                         *mail->host == '\0' ? "smtp_host" : "smtp_from");
        return;
    }
    message_init(&test->message);
    http_request_on_end(request, smtp_test_end, test);
    if (!make_message(request, test))
        return;
    record(request, test);
    http_request_work(request, http_request_context(request)->smtp, test, smtp_test_run, smtp_test_done);
}

/* The answer must be there before the request's own time is over. */
static uint64_t deadline_of(const struct http_request *request)
{
    int64_t limit = http_request_config(request)->http_request_timeout * 4 / 5;
    return clock_mono_ms() + (uint64_t)(limit < LIMIT_MS ? limit : LIMIT_MS);
}

void admin_smtp_test_post(struct http_request *request)
{
    struct smtp_test *test = http_request_alloc(request, sizeof(*test));
    struct db_params params;
    const char *to = "";

    if (!settings_form(request, settings_smtp_fields, SETTINGS_SMTP_FIELDS, &test->posted) ||
        !http_request_form_field(request, "test_to", &to))
        return;
    if (*to == '\0' || accounts_email_fault(to, strlen(to)) != NULL) {
        reply_error_text(request, ERROR_INVALID_REQUEST,
                         *to == '\0' ? "test_to is required" : "test_to is not an e-mail address");
        return;
    }
    test->to = to;
    test->deadline = deadline_of(request);
    strbuf_init(&test->error);
    http_request_set_data(request, test);
    http_request_params(request, &params);
    http_request_query(request, STMT_ADMIN_SETTINGS, &params, smtp_test_known);
}
