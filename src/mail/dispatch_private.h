/* What the files of mail/dispatch*.c share. */
#ifndef MAIL_DISPATCH_PRIVATE_H
#define MAIL_DISPATCH_PRIVATE_H

#include "auth/sealing.h"
#include "mail/dispatch.h"
#include "mail/outbox.h"
#include "mail/pause.h"
#include "mail/sender.h"
#include "mail/settings.h"

struct dispatch {
    const struct config *config;
    struct outbox outbox;
    struct sealing *sealing; /* opened when there is a stored password */
    bool sealing_said;       /* that it cannot be opened */

    /* settings: what the sender was made with, and what it will be made with once nothing is under way */
    struct mail_settings settings;
    char *url, *domain;
    struct sender *sender; /* NULL: nothing is configured */
    bool settings_due;     /* read them again */
    struct mail_settings next_settings;
    bool change;       /* next_settings are to be taken */
    bool idle_said;    /* that nothing is configured */
    bool waiting_said; /* … though mails wait */
    bool url_said;     /* that nobody said the public URL */

    struct pause pause;
    unsigned depth;            /* mails that the sender gets at once */
    struct outbox_note *notes; /* not written down */
    size_t note_count, note_room;
    uint64_t noted_at; /* when the first of them was made */
    uint64_t due_at;   /* when to look for mails, UINT64_MAX: when woken */
    uint64_t poll_at;  /* when to look at everything */
    uint64_t rest_at;  /* when to leave the server alone */
    bool leaving;

    int epoll, epoll_sender, epoll_database; /* what the first watches; -1: nothing */
    unsigned epoll_connects;                 /* which connection epoll_database is of */
    bool database_away;
    uint64_t database_at; /* when to try again */
    int64_t database_delay;
};

/*
 * Mails for each connection that are claimed together: few at first, so that others share the work and a crash delays
 * little; more when the connections wait for the database.
 */
#define DISPATCH_DEPTH_LEAST 2
#define DISPATCH_DEPTH_MOST 32

/* --- dispatch_settings.c --- */

/* Reads the settings if they may have changed, and changes over when nothing is under way. */
bool dispatch_settings(struct dispatch *d, struct strbuf *error) WARN_UNUSED;
void dispatch_settings_release(struct dispatch *d);
/* Says, once, that mails wait for an SMTP server. */
void dispatch_say_waiting(struct dispatch *d, int64_t waiting);

/* --- dispatch_notes.c --- */

/* Notes what became of a mail; takes the mail. */
void dispatch_note(struct dispatch *d, struct outbox_mail *mail, enum outbox_outcome outcome, const char *answer,
                   bool quiet);
/* sender_done: notes it, and draws conclusions on the server. */
void dispatch_on_done(void *arg, struct outbox_mail *mail, enum smtp_outcome outcome, const char *answer);
/* When the notes are to be written down; UINT64_MAX: there are none. */
uint64_t dispatch_record_at(const struct dispatch *d);
/* Writes the notes down, if it is time. */
bool dispatch_record(struct dispatch *d, struct strbuf *error) WARN_UNUSED;
void dispatch_notes_free(struct dispatch *d);

#endif
