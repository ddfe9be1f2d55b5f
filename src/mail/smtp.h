/*
 * smtp: one message over SMTP with libcurl, and what became of it. Certificates are always checked; STARTTLS is
 * required unless the settings say otherwise. smtp_send_now() blocks and is for a worker's thread (SMTP test);
 * smtp_easy_*() are for the mailer's sender (mail/sender.h).
 */
#ifndef MAIL_SMTP_H
#define MAIL_SMTP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct mail_settings;
struct message;

#define SMTP_ANSWER_MAX 500 /* bytes of a server's answer that are kept */

/*
 * Sends the message on a connection of its own, in timeout_ms at most. The error is a sentence for the admin, with the
 * server's answer where it gave one, without control characters and secrets.
 */
bool smtp_send_now(const struct mail_settings *settings, const struct message *message, int64_t timeout_ms,
                   struct strbuf *error) WARN_UNUSED;

#endif
