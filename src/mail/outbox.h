/*
 * outbox: the mailer's side of the table email_outbox (sql/functions/85_outbox.sql): takes due mails for the time of a
 * lease, writes down what became of them, reads the settings. No transaction is open between calls. All calls block and
 * return false with a reason when the database did not do it; then nothing is known to have changed.
 */
#ifndef MAIL_OUTBOX_H
#define MAIL_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/compiler.h"
#include "core/strbuf.h"
#include "db/listener.h"

struct config;
struct mail_settings;

/* One row, for as long as we hold it. */
struct outbox_mail {
    int64_t id;
    char *message_id, *template, *locale, *recipient, *user_name, *secret, *detail;
    time_t created_at;
    uint64_t lease_end; /* clock_mono_ms(), not later than the database sees it */
    struct outbox_mail *next;
};

/* What became of a mail. */
enum outbox_outcome {
    OUTBOX_SENT,
    OUTBOX_RETRY,
    OUTBOX_FAILED,
    OUTBOX_RELEASE, /* not begun: as before, for whoever takes it */
};

struct outbox_note {
    struct outbox_mail *mail; /* the note's */
    enum outbox_outcome outcome;
    char *answer; /* the note's */
    bool quiet;   /* not worth a line in the log unless it is the end of it */
};

struct outbox {
    const struct config *config;
    struct db_session *session;
    struct db_listener listener;
    char *holder;     /* of leases: this process */
    int64_t lease_ms; /* of a claim */
    int64_t start_ms; /* a mail is begun only with so much of its lease left */
};

void outbox_init(struct outbox *o, const struct config *config);
void outbox_release(struct outbox *o);

/* Connects, and listens for NOTIFY. *fresh_r: look at everything anew. */
bool outbox_connect(struct outbox *o, bool *fresh_r, struct strbuf *error) WARN_UNUSED;
/* Which of both have been notified since the last call; neither is set to false. */
void outbox_notices(struct outbox *o, bool *mail, bool *settings);
/* Applies the rows of the table settings. */
bool outbox_settings(struct outbox *o, struct mail_settings *settings, struct strbuf *error) WARN_UNUSED;
/*
 * Takes up to `limit` due mails and hangs them in at *list's end; *count_r of them. domain: right part of the
 * Message-ID of those that have none yet.
 */
bool outbox_claim(struct outbox *o, int limit, const char *domain, struct outbox_mail **list, int *count_r,
                  struct strbuf *error) WARN_UNUSED;
/*
 * Writes the notes down and logs a line for each. They stay the caller's. *next_in_r: milliseconds until the first of
 * them is due again, -1 when none is.
 */
bool outbox_record(struct outbox *o, const struct outbox_note *notes, size_t count, int64_t *next_in_r,
                   struct strbuf *error) WARN_UNUSED;
/* *next_in_r: milliseconds until the next mail is due, -1 when none waits. *waiting_r: how many wait, 10,000 at most.
 */
bool outbox_due(struct outbox *o, int64_t *next_in_r, int64_t *waiting_r, struct strbuf *error) WARN_UNUSED;

void outbox_mail_free(struct outbox_mail **mail);

#endif
