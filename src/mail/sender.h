/*
 * sender: hands mails to threads, one for each connection to the SMTP server, and gives back what became of them.
 * Belongs to the mailer's loop; knows nothing of the database. Made for one set of settings: other settings, another
 * sender.
 */
#ifndef MAIL_SENDER_H
#define MAIL_SENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "mail/outbox.h"
#include "mail/settings.h"
#include "mail/smtp.h"

struct sender;

/* Called for each mail that ended; takes the mail. The answer is borrowed. */
typedef void sender_done(void *arg, struct outbox_mail *mail, enum smtp_outcome outcome, const char *answer);

struct sender_limits {
    unsigned connections;
    unsigned most;      /* mails that it takes at once; those that no thread has wait */
    int64_t timeout_ms; /* of a mail that is under way */
    int64_t start_ms;   /* a mail whose lease has less left is not begun */
};

/* settings and url are borrowed and must not change as long as the sender is there. */
struct sender *sender_new(const struct mail_settings *settings, const char *url, const struct sender_limits *limits,
                          sender_done *done, void *arg);
/* Waits for what runs, without calling done(); sender_cancel() before it makes that short. */
void sender_free(struct sender **sender);
/* Takes the mail; there must be room. */
void sender_start(struct sender *sender, struct outbox_mail *mail);
/* Mails that it has. */
unsigned sender_running(const struct sender *sender);
/* Readable when mails have ended: sender_reap() calls done() for each. */
int sender_fd(const struct sender *sender);
void sender_reap(struct sender *sender);
/*
 * No further mail is begun: those that wait end as SMTP_CANCELED. The sender does this by itself when the server takes
 * nothing, so that not all of them are tried in vain. sender_go() ends it.
 */
void sender_halt(struct sender *sender);
bool sender_halted(const struct sender *sender);
void sender_go(struct sender *sender);
/* Halts, and breaks off what is under way, within a second. */
void sender_cancel(struct sender *sender);
/* Says goodbye to the server on connections that have nothing to do. */
void sender_rest(struct sender *sender);

#endif
