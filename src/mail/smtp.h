/*
 * smtp: messages over SMTP with libcurl, and what became of each. Certificates are always checked; STARTTLS is required
 * unless the settings say otherwise. A channel is one connection that is kept between messages. All calls block:
 * libcurl waits for the answer to a message inside curl_multi_perform(), so one loop for several connections would
 * stand still with the slowest. The mailer gives each channel a thread (mail/sender.h), the SMTP test runs in a
 * worker's.
 */
#ifndef MAIL_SMTP_H
#define MAIL_SMTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct mail_settings;
struct message;
struct smtp_channel;

#define SMTP_ANSWER_MAX 500 /* bytes of a reason that are kept */

enum smtp_outcome {
    SMTP_SENT,     /* the server has taken it */
    SMTP_REFUSED,  /* the server will never take this message: 5xx to its recipient or content, or it cannot be written
                    */
    SMTP_LATER,    /* the server may take this message later: 4xx */
    SMTP_LOST,     /* the connection broke, or time was up, in the middle of this message */
    SMTP_TROUBLE,  /* the server takes nothing: no connection, no TLS, login or sender refused */
    SMTP_CANCELED, /* broken off by us before the message was sent whole: it was not taken */
    SMTP_UNKNOWN,  /* broken off by us while the server had it whole: it may have been taken */
};

struct smtp_result {
    enum smtp_outcome outcome;
    struct strbuf answer; /* in words: what the server answered, or what went wrong; one line of UTF-8, no secrets */
};

/*
 * A message to this server may take timeout_ms, connecting included. When *cancel turns true, a message under way is
 * broken off within a second. settings are copied.
 */
struct smtp_channel *smtp_channel_new(const struct mail_settings *settings, int64_t timeout_ms,
                                      const atomic_bool *cancel);
/* Says goodbye to the server and does not wait for its answer. */
void smtp_channel_free(struct smtp_channel **channel);
/* result->answer is initialised by the caller and overwritten. One thread at a time. */
void smtp_channel_send(struct smtp_channel *channel, const struct message *message, struct smtp_result *result);

/*
 * Sends the message on a connection of its own, in timeout_ms at most. The error is a sentence for the admin, with the
 * server's answer where it gave one, without control characters and secrets.
 */
bool smtp_send_now(const struct mail_settings *settings, const struct message *message, int64_t timeout_ms,
                   struct strbuf *error) WARN_UNUSED;

#endif
