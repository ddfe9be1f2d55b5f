/*
 * render: makes a message of a catalogue's text and the values of an outbox row. Plain text and HTML part come from the
 * same blocks; values are of one line, bounded, escaped in HTML.
 */
#ifndef MAIL_RENDER_H
#define MAIL_RENDER_H

#include <stdbool.h>
#include <time.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct mail_settings;
struct message;

/* Texts may be NULL: no value. */
struct render_input {
    const char *template;   /* "confirm", … ; "smtp_test" for the SMTP test */
    const char *locale;     /* an unknown one counts as LOCALE_DEFAULT */
    const char *recipient;  /* address */
    const char *user_name;  /* of the account */
    const char *secret;     /* token of the link, 64 hexadecimal digits; templates without a link need none */
    const char *detail;     /* see src/mail/catalogues/README */
    const char *message_id; /* without < > */
    time_t created_at;      /* when it happened: in the text, and the message's date */
};

/*
 * Fills the message, which the caller has initialised and releases. url: what links begin with, from
 * mail_settings_url(). False with a reason when there is no such template or its link has no token.
 */
bool render_message(const struct render_input *input, const struct mail_settings *settings, const char *url,
                    struct message *message_r, struct strbuf *error) WARN_UNUSED;

#endif
