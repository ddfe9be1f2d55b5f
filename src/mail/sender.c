/* sender: see the header. A slot is a connection with the mail that it carries; each is in one thread's hands at a
 * time. */
#include "mail/sender.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/work_pool.h"
#include "mail/message.h"
#include "mail/render.h"

struct sender_slot {
    struct work work; /* first: the pool's pointer is the slot's */
    struct sender *sender;
    struct smtp_channel *channel; /* NULL: none was needed yet */
    struct outbox_mail *mail;     /* NULL: free */
    struct smtp_result result;
};

struct sender {
    const struct mail_settings *settings;
    const char *url;
    int64_t timeout_ms;
    sender_done *done;
    void *arg;
    atomic_bool cancel;
    struct work_pool *pool;
    unsigned slot_count, running;
    struct sender_slot slots[];
};

/* In a thread. Settings and mail do not change meanwhile. */
static void sender_run(struct work *work)
{
    struct sender_slot *slot = (struct sender_slot *)work;
    const struct sender *s = slot->sender;
    const struct outbox_mail *m = slot->mail;
    struct message message;
    struct render_input input = {
        .template = m->template,
        .locale = m->locale,
        .recipient = m->recipient,
        .user_name = m->user_name,
        .secret = m->secret,
        .detail = m->detail,
        .message_id = m->message_id,
        .created_at = m->created_at,
    };
    message_init(&message);
    strbuf_reset(&slot->result.answer);
    if (render_message(&input, s->settings, s->url, &message, &slot->result.answer)) {
        if (!slot->channel)
            slot->channel = smtp_channel_new(s->settings, s->timeout_ms, &s->cancel);
        smtp_channel_send(slot->channel, &message, &slot->result);
    } else {
        slot->result.outcome = SMTP_REFUSED;
    }
    message_release(&message);
}

static void sender_finished(struct work *work)
{
    struct sender_slot *slot = (struct sender_slot *)work;
    struct outbox_mail *mail = slot->mail;
    slot->mail = NULL;
    slot->sender->running--;
    slot->sender->done(slot->sender->arg, mail, slot->result.outcome, slot->result.answer.data);
}

struct sender *sender_new(const struct mail_settings *settings, const char *url, unsigned connections,
                          int64_t timeout_ms, sender_done *done, void *arg)
{
    struct sender *s = mem_zalloc(sizeof(*s) + connections * sizeof(s->slots[0]));
    s->settings = settings;
    s->url = url;
    s->timeout_ms = timeout_ms;
    s->done = done;
    s->arg = arg;
    s->slot_count = connections;
    s->pool = work_pool_new("smtp", connections, connections, 0);
    for (unsigned i = 0; i < connections; i++) {
        s->slots[i] = (struct sender_slot){.work = {.run = sender_run, .done = sender_finished}, .sender = s};
        strbuf_init(&s->slots[i].result.answer);
    }
    return s;
}

void sender_free(struct sender **sender)
{
    struct sender *s = *sender;
    *sender = NULL;
    if (!s)
        return;
    work_pool_free(&s->pool);
    for (unsigned i = 0; i < s->slot_count; i++) {
        smtp_channel_free(&s->slots[i].channel);
        outbox_mail_free(&s->slots[i].mail);
        strbuf_release(&s->slots[i].result.answer);
    }
    free(s);
}

unsigned sender_free_slots(const struct sender *sender)
{
    return sender->slot_count - sender->running;
}

unsigned sender_running(const struct sender *sender)
{
    return sender->running;
}

void sender_start(struct sender *sender, struct outbox_mail *mail)
{
    struct sender_slot *slot = sender->slots;
    /* the first free one: when little is to do, one connection does it all */
    while (slot->mail)
        slot++;
    assert(slot < sender->slots + sender->slot_count);
    slot->mail = mail;
    sender->running++;
    bool taken = work_pool_submit(sender->pool, &slot->work);
    assert(taken); /* as many may wait as there are slots */
    (void)taken;
}

int sender_fd(const struct sender *sender)
{
    return work_pool_fd(sender->pool);
}

void sender_reap(struct sender *sender)
{
    work_pool_reap(sender->pool);
}

void sender_cancel(struct sender *sender)
{
    atomic_store(&sender->cancel, true);
}

void sender_rest(struct sender *sender)
{
    for (unsigned i = 0; i < sender->slot_count; i++)
        if (!sender->slots[i].mail)
            smtp_channel_free(&sender->slots[i].channel);
}
