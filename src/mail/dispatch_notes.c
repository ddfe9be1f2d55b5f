/* dispatch_notes: what became of mails, and what that says about the server. */
#include <inttypes.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/log.h"
#include "core/mem.h"
#include "mail/dispatch_private.h"

#define NOTES_WAIT_MS 20 /* the first note waits that long for others, while mails are under way */

void dispatch_note(struct dispatch *d, struct outbox_mail *mail, enum outbox_outcome outcome, const char *answer,
                   bool quiet)
{
    if (d->note_count == d->note_room) {
        d->note_room = d->note_room ? 2 * d->note_room : 16;
        d->notes = mem_realloc(d->notes, d->note_room * sizeof(*d->notes));
    }
    if (!d->note_count)
        d->noted_at = clock_mono_ms();
    d->notes[d->note_count++] =
        (struct outbox_note){.mail = mail, .outcome = outcome, .answer = mem_strdup(answer), .quiet = quiet};
}

/* --- conclusions on the server --- */

static void dispatch_trouble(struct dispatch *d, const char *answer)
{
    if (pause_trouble(&d->pause, clock_mono_ms()))
        log_warning("the SMTP server %s:%" PRId64 " takes no e-mails, they wait: %s", d->settings.host,
                    d->settings.port, answer);
    sender_halt(d->sender);
}

static void dispatch_answered(struct dispatch *d)
{
    if (pause_answered(&d->pause)) {
        log_info("the SMTP server %s:%" PRId64 " takes e-mails again", d->settings.host, d->settings.port);
        d->due_at = 0;
    }
}

static void dispatch_lost(struct dispatch *d, const char *answer)
{
    if (pause_lost(&d->pause))
        dispatch_trouble(d, answer);
}

void dispatch_on_done(void *arg, struct outbox_mail *mail, enum smtp_outcome outcome, const char *answer)
{
    struct dispatch *d = arg;
    switch (outcome) {
    case SMTP_SENT:
    case SMTP_REFUSED:
        dispatch_note(d, mail, outcome == SMTP_SENT ? OUTBOX_SENT : OUTBOX_FAILED, answer, false);
        dispatch_answered(d);
        break;
    case SMTP_LATER:
        dispatch_note(d, mail, OUTBOX_RETRY, answer, false);
        dispatch_answered(d);
        break;
    case SMTP_LOST:
        dispatch_note(d, mail, OUTBOX_RETRY, answer, false);
        dispatch_lost(d, answer);
        break;
    case SMTP_TROUBLE:
        dispatch_note(d, mail, OUTBOX_RETRY, answer, true);
        dispatch_trouble(d, answer);
        break;
    case SMTP_CANCELED:
        dispatch_note(d, mail, OUTBOX_RELEASE, "", true);
        break;
    case SMTP_UNKNOWN: /* its lease runs out, and it is sent once more, with the same Message-ID */
        log_warning("e-mail %" PRId64 " (%s) to %s: may have been sent, no answer before the server stopped", mail->id,
                    mail->template, mail->recipient);
        outbox_mail_free(&mail);
        break;
    }
}

/* --- writing down --- */

static void dispatch_notes_clear(struct dispatch *d)
{
    for (size_t i = 0; i < d->note_count; i++) {
        outbox_mail_free(&d->notes[i].mail);
        free(d->notes[i].answer);
    }
    d->note_count = 0;
}

/* One statement for several mails, but nothing waits long: what is not written down is sent again after a crash. */
uint64_t dispatch_record_at(const struct dispatch *d)
{
    bool running = d->sender && sender_running(d->sender);
    if (!d->note_count)
        return UINT64_MAX;
    return running && d->note_count < d->depth / 2 ? d->noted_at + NOTES_WAIT_MS : d->noted_at;
}

bool dispatch_record(struct dispatch *d, struct strbuf *error)
{
    int64_t next_in;
    if (clock_mono_ms() < dispatch_record_at(d))
        return true;
    if (!outbox_record(&d->outbox, d->notes, d->note_count, &next_in, error))
        return false;
    uint64_t next_at = next_in < 0 ? UINT64_MAX : clock_mono_ms() + (uint64_t)next_in;
    if (next_at < d->due_at)
        d->due_at = next_at;
    dispatch_notes_clear(d);
    return true;
}

void dispatch_notes_free(struct dispatch *d)
{
    dispatch_notes_clear(d);
    free(d->notes);
    d->notes = NULL;
}
