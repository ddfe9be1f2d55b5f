/*
 * dispatch: see the header. A turn: what ended → connect → notifications → settings → write down → claim → begin. The
 * database is spoken to by this thread alone, which may block, since the SMTP dialogues have threads of their own.
 */
#include "mail/dispatch.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/log.h"
#include "core/mem.h"
#include "db/session.h"
#include "mail/dispatch_private.h"

#define DATABASE_DELAY_MS 1000
#define DATABASE_DELAY_MOST_MS 30000
#define LOCKED_MS 20
#define REST_MS 5000 /* idle connections are closed after that */

struct dispatch *dispatch_new(const struct config *config, struct strbuf *error)
{
    struct dispatch *d = mem_zalloc(sizeof(*d));
    d->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (d->epoll < 0) {
        strbuf_error(error, "cannot make an epoll descriptor: %s", strerror(errno));
        free(d);
        return NULL;
    }
    d->config = config;
    d->epoll_sender = d->epoll_database = -1;
    d->settings_due = true;
    d->rest_at = UINT64_MAX;
    pause_init(&d->pause, config->mail_retry_min);
    outbox_init(&d->outbox, config);
    return d;
}

/* What is under way is broken off; it does so within a second. */
static void dispatch_end_sender(struct dispatch *d)
{
    sender_cancel(d->sender);
    while (sender_running(d->sender)) {
        struct pollfd fd = {.fd = sender_fd(d->sender), .events = POLLIN};
        poll(&fd, 1, -1);
        sender_reap(d->sender);
    }
    sender_free(&d->sender);
}

void dispatch_free(struct dispatch **dispatch)
{
    struct dispatch *d = *dispatch;
    *dispatch = NULL;
    if (!d)
        return;
    if (d->sender)
        dispatch_end_sender(d);
    dispatch_notes_free(d);
    dispatch_settings_release(d);
    outbox_release(&d->outbox);
    close(d->epoll);
    free(d);
}

/* --- waiting --- */

int dispatch_fd(const struct dispatch *dispatch)
{
    return dispatch->epoll;
}

/* The descriptor that is watched in this place becomes fd; a closed one has left by itself. */
static void dispatch_watch(struct dispatch *d, int *watched, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    if (*watched >= 0)
        epoll_ctl(d->epoll, EPOLL_CTL_DEL, *watched, NULL);
    if (fd >= 0 && epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        log_error("cannot watch a descriptor: %s", strerror(errno));
    *watched = fd;
}

/* A new connection or sender may have a former one's number. */
static void dispatch_watch_all(struct dispatch *d)
{
    unsigned connects = db_session_connects(d->outbox.session);
    /* what arrives while we wait for another try is taken then */
    int database = d->database_away ? -1 : db_session_fd(d->outbox.session),
        sender = d->sender ? sender_fd(d->sender) : -1;
    if (database != d->epoll_database || connects != d->epoll_connects)
        dispatch_watch(d, &d->epoll_database, database);
    d->epoll_connects = connects;
    if (sender != d->epoll_sender)
        dispatch_watch(d, &d->epoll_sender, sender);
}

static uint64_t dispatch_earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool dispatch_busy(const struct dispatch *d)
{
    return (d->sender && sender_running(d->sender)) || d->note_count;
}

/* Has the sender so little to do that it is worth asking the database? */
static bool dispatch_room(const struct dispatch *d)
{
    unsigned running = sender_running(d->sender);
    if (d->change || d->leaving)
        return false;
    return sender_halted(d->sender) || d->pause.on ? !running : running <= d->depth / 2;
}

static uint64_t dispatch_wait(const struct dispatch *d, uint64_t now)
{
    uint64_t at = dispatch_earlier(d->poll_at, d->rest_at);
    if (d->database_away)
        at = d->database_at;
    else if (d->settings_due || (!d->sender && !d->due_at))
        at = now;
    else if (d->sender && dispatch_room(d))
        at = dispatch_earlier(at, d->pause.on && d->pause.until > d->due_at ? d->pause.until : d->due_at);
    if (!d->database_away)
        at = dispatch_earlier(at, dispatch_record_at(d));
    return at > now ? at - now : 0;
}

/* --- the database --- */

static void dispatch_lose_database(struct dispatch *d, const char *reason)
{
    if (!d->database_away)
        log_warning("the mailer cannot use the database, e-mails wait: %s", reason);
    d->database_delay = d->database_away ? d->database_delay * 2 : DATABASE_DELAY_MS;
    if (d->database_delay > DATABASE_DELAY_MOST_MS)
        d->database_delay = DATABASE_DELAY_MOST_MS;
    d->database_at = clock_mono_ms() + (uint64_t)d->database_delay;
    d->database_away = true;
}

static bool dispatch_connect(struct dispatch *d, struct strbuf *error)
{
    bool fresh;
    if (!outbox_connect(&d->outbox, &fresh, error))
        return false;
    if (fresh) {
        d->settings_due = true;
        d->due_at = 0;
    }
    return true;
}

/* --- claiming and beginning --- */

/* How many mails to ask for; 0: it is not the time. While the server takes nothing it is tried with one. */
static unsigned dispatch_wanted(const struct dispatch *d, uint64_t now)
{
    if (!dispatch_room(d) || now < d->due_at || pause_left(&d->pause, now))
        return 0;
    return d->pause.on ? 1 : d->depth - sender_running(d->sender);
}

/* Nothing more is due: when will it be? */
static bool dispatch_look_ahead(struct dispatch *d, struct strbuf *error)
{
    int64_t next_in, waiting;
    if (!outbox_due(&d->outbox, &next_in, &waiting, error))
        return false;
    /* due, and not to be had: another mailer looks at it just now */
    d->due_at = next_in < 0 ? UINT64_MAX : clock_mono_ms() + (next_in ? (uint64_t)next_in : LOCKED_MS);
    if (!d->sender)
        dispatch_say_waiting(d, waiting);
    return true;
}

/* Connections that had nothing to do although mails were due: the next claim is larger. */
static void dispatch_adapt(struct dispatch *d, bool all)
{
    unsigned connections = (unsigned)d->config->mail_connections;
    if (!all)
        d->depth = DISPATCH_DEPTH_LEAST * connections;
    else if (sender_running(d->sender) < connections && d->depth < DISPATCH_DEPTH_MOST * connections)
        d->depth *= 2;
}

static bool dispatch_claim(struct dispatch *d, struct strbuf *error)
{
    struct outbox_mail *claimed = NULL;
    unsigned wanted = dispatch_wanted(d, clock_mono_ms());
    int count;
    if (!wanted)
        return true;
    if (!outbox_claim(&d->outbox, (int)wanted, d->domain, &claimed, &count, error))
        return false;
    sender_reap(d->sender);
    if (!d->pause.on)
        dispatch_adapt(d, count == (int)wanted);
    if (!sender_running(d->sender))
        sender_go(d->sender);
    for (struct outbox_mail *mail; (mail = claimed);) {
        claimed = mail->next;
        mail->next = NULL;
        sender_start(d->sender, mail);
    }
    return count == (int)wanted || dispatch_look_ahead(d, error);
}

/* --- turns --- */

static void dispatch_hear(struct dispatch *d)
{
    bool mail = false;
    outbox_notices(&d->outbox, &mail, &d->settings_due);
    if (mail)
        d->due_at = 0;
}

static void dispatch_poll(struct dispatch *d, uint64_t now)
{
    if (now < d->poll_at)
        return;
    d->poll_at = now + (uint64_t)d->config->mail_poll;
    d->due_at = 0;
    d->settings_due = true;
}

/* Connections that have had nothing to do for a while are of no use to the server. */
static void dispatch_rest(struct dispatch *d, uint64_t now)
{
    if (d->sender && dispatch_busy(d)) {
        d->rest_at = now + REST_MS;
    } else if (now >= d->rest_at) {
        if (d->sender)
            sender_rest(d->sender);
        d->rest_at = UINT64_MAX;
    }
}

static bool dispatch_work(struct dispatch *d, struct strbuf *error)
{
    if (!dispatch_connect(d, error))
        return false;
    dispatch_hear(d);
    dispatch_poll(d, clock_mono_ms());
    if (!dispatch_settings(d, error) || !dispatch_record(d, error))
        return false;
    bool ok = d->sender ? dispatch_claim(d, error) : d->due_at > 0 || dispatch_look_ahead(d, error);
    dispatch_hear(d); /* what came with the answers: the descriptor does not tell of it any more */
    return ok;
}

uint64_t dispatch_turn(struct dispatch *dispatch)
{
    struct dispatch *d = dispatch;
    struct strbuf error = STRBUF_INIT;
    if (d->sender)
        sender_reap(d->sender);
    if (!d->database_away || clock_mono_ms() >= d->database_at) {
        if (!dispatch_work(d, &error)) {
            dispatch_lose_database(d, error.data);
        } else if (d->database_away) {
            log_info("the mailer can use the database again");
            d->database_away = false;
        }
    }
    strbuf_release(&error);
    dispatch_rest(d, clock_mono_ms());
    dispatch_watch_all(d);
    return dispatch_wait(d, clock_mono_ms());
}

bool dispatch_leave(struct dispatch *dispatch, bool now_or_never)
{
    struct dispatch *d = dispatch;
    d->leaving = true;
    if (d->sender && now_or_never)
        sender_cancel(d->sender);
    else if (d->sender)
        sender_halt(d->sender);
    uint64_t wait = dispatch_turn(d);
    (void)wait; /* the caller looks often */
    return !dispatch_busy(d) || (now_or_never && d->database_away);
}
