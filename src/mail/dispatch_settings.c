/*
 * dispatch_settings: which server, and changing over to another one while the mailer runs. The sender's threads read
 * the settings, so they change only when no mail is under way; until then no new one is begun.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "core/log.h"
#include "core/mem.h"
#include "mail/dispatch_private.h"

/* The right part of Message-IDs: the sender's domain, as mail servers expect. */
static char *dispatch_domain(const struct mail_settings *settings)
{
    const char *at = strrchr(settings->from, '@');
    return mem_strdup(at && at[1] ? at + 1 : "localhost");
}

static void dispatch_say_settings(struct dispatch *d)
{
    const struct mail_settings *s = &d->settings;
    if (s->configured)
        log_info("e-mails go to %s:%" PRId64 " (security: %s%s)", s->host, s->port, smtp_security_name(s->security),
                 *s->user ? ", with login" : "");
    else if (s->fault)
        log_warning("no e-mail is sent: %s", s->fault);
    else
        log_info("no SMTP server is configured: no e-mail is sent");
    if (s->configured && !*s->public_url && !d->url_said) {
        log_warning("links in e-mails begin with %s, because nobody has said the public URL; set server.public_url",
                    d->url);
        d->url_said = true;
    }
}

static void dispatch_make_sender(struct dispatch *d)
{
    struct sender_limits limits = {
        .connections = (unsigned)d->config->mail_connections,
        .most = DISPATCH_DEPTH_MOST * (unsigned)d->config->mail_connections,
        .timeout_ms = d->config->mail_timeout,
        .start_ms = d->outbox.start_ms,
    };
    d->depth = DISPATCH_DEPTH_LEAST * limits.connections;
    d->sender = sender_new(&d->settings, d->url, &limits, dispatch_on_done, d);
}

/* Nothing is under way. */
static void dispatch_change(struct dispatch *d)
{
    struct strbuf url = STRBUF_INIT;
    sender_free(&d->sender);
    d->epoll_sender = -1; /* closed, and so not watched any more; the next one may get the same number */
    mail_settings_release(&d->settings);
    d->settings = d->next_settings;
    d->next_settings = (struct mail_settings){0};
    d->change = d->waiting_said = false;
    free(d->url);
    free(d->domain);
    mail_settings_url(&d->settings, d->config, &url);
    d->url = strbuf_detach(&url);
    d->domain = dispatch_domain(&d->settings);
    dispatch_say_settings(d);
    pause_end(&d->pause);
    d->due_at = 0;
    if (d->settings.configured)
        dispatch_make_sender(d);
}

static bool dispatch_same_texts(const struct mail_settings *a, const struct mail_settings *b)
{
    return strcmp(a->public_url, b->public_url) == 0 && strcmp(a->server_name, b->server_name) == 0;
}

/* The same server, name and URL; and the same reason why nothing can be sent. */
static bool dispatch_same_settings(const struct mail_settings *a, const struct mail_settings *b)
{
    const char *fault_a = a->fault ? a->fault : "", *fault_b = b->fault ? b->fault : "";
    return a->host && mail_settings_equal(a, b) && dispatch_same_texts(a, b) && strcmp(fault_a, fault_b) == 0;
}

static bool dispatch_open_sealing(struct dispatch *d)
{
    struct strbuf error = STRBUF_INIT;
    bool ok = sealing_open(&d->sealing, d->config->data, &error);
    if (!ok && !d->sealing_said)
        log_warning("%s", error.data);
    d->sealing_said = !ok;
    strbuf_release(&error);
    return ok;
}

static bool dispatch_fetch_settings(struct dispatch *d, struct mail_settings *now, struct strbuf *error)
{
    mail_settings_from_config(now, d->config);
    now->sealing = d->sealing;
    if (!outbox_settings(&d->outbox, now, error))
        return false;
    if (!now->password_fault || d->sealing || !dispatch_open_sealing(d))
        return true;
    mail_settings_release(now);
    return dispatch_fetch_settings(d, now, error);
}

static bool dispatch_read_settings(struct dispatch *d, struct strbuf *error)
{
    struct mail_settings now;
    bool ok = dispatch_fetch_settings(d, &now, error);
    mail_settings_release(&d->next_settings);
    d->change = ok && !dispatch_same_settings(&d->settings, &now);
    if (d->change)
        d->next_settings = now;
    else
        mail_settings_release(&now);
    d->settings_due = !ok;
    return ok;
}

bool dispatch_settings(struct dispatch *d, struct strbuf *error)
{
    if (d->settings_due && !dispatch_read_settings(d, error))
        return false;
    if (d->change) {
        if (d->sender)
            sender_halt(d->sender);
        if (!d->sender || !sender_running(d->sender))
            dispatch_change(d);
    }
    return true;
}

void dispatch_settings_release(struct dispatch *d)
{
    mail_settings_release(&d->settings);
    mail_settings_release(&d->next_settings);
    sealing_free(&d->sealing);
    free(d->url);
    free(d->domain);
}

void dispatch_say_waiting(struct dispatch *d, int64_t waiting)
{
    if (waiting && !d->waiting_said)
        log_warning("%" PRId64 "%s: %s", waiting,
                    waiting == 1      ? " e-mail waits"
                    : waiting < 10000 ? " e-mails wait"
                                      : " or more e-mails wait",
                    d->settings.fault ? d->settings.fault : "no SMTP server is configured");
    d->waiting_said = waiting > 0;
}
