/*
 * sender: see the header. Mails wait in the work pool's queue; the thread that takes one takes a connection as well,
 * the one that was used last, so that with little to do one connection does it all.
 */
#include "mail/sender.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/work_pool.h"
#include "mail/message.h"
#include "mail/render.h"

struct sender_task {
    struct work work; /* first: the pool's pointer is the task's */
    struct sender *sender;
    struct outbox_mail *mail;
    struct smtp_result result;
};

struct sender {
    const struct mail_settings *settings;
    const char *url;
    struct sender_limits limits;
    sender_done *done;
    void *arg;
    atomic_bool halt, cancel;
    struct work_pool *pool;
    unsigned running;
    struct sender_task **free_tasks; /* `limits.most` of them, the first free_count are free */
    unsigned free_count;
    pthread_mutex_t lock; /* of what follows */
    unsigned channel_count;
    struct smtp_channel *channels[]; /* that no thread uses */
};

/* --- in a thread --- */

static struct smtp_channel *sender_take_channel(struct sender *s)
{
    struct smtp_channel *channel = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->channel_count)
        channel = s->channels[--s->channel_count];
    pthread_mutex_unlock(&s->lock);
    return channel ? channel : smtp_channel_new(s->settings, s->limits.timeout_ms, &s->cancel);
}

static void sender_put_channel(struct sender *s, struct smtp_channel *channel)
{
    pthread_mutex_lock(&s->lock);
    s->channels[s->channel_count++] = channel; /* one for each thread at most */
    pthread_mutex_unlock(&s->lock);
}

/* Settings and mail do not change meanwhile. */
static bool sender_render(const struct sender_task *task, struct message *message, struct strbuf *error)
{
    const struct outbox_mail *m = task->mail;
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
    return render_message(&input, task->sender->settings, task->sender->url, message, error);
}

static void sender_send(struct sender_task *task)
{
    struct sender *s = task->sender;
    struct message message;
    message_init(&message);
    task->result.outcome = SMTP_REFUSED;
    if (sender_render(task, &message, &task->result.answer)) {
        struct smtp_channel *channel = sender_take_channel(s);
        smtp_channel_send(channel, &message, &task->result);
        sender_put_channel(s, channel);
    }
    if (task->result.outcome == SMTP_TROUBLE)
        atomic_store(&s->halt, true);
    message_release(&message);
}

/* A mail whose lease could end before it does is not begun: another mailer could take it. */
static void sender_run(struct work *work)
{
    struct sender_task *task = (struct sender_task *)work;
    bool late = task->mail->lease_end < clock_mono_ms() + (uint64_t)task->sender->limits.start_ms;
    strbuf_reset(&task->result.answer);
    if (late || atomic_load(&task->sender->halt))
        task->result.outcome = SMTP_CANCELED;
    else
        sender_send(task);
}

/* --- in the loop --- */

static void sender_finished(struct work *work)
{
    struct sender_task *task = (struct sender_task *)work;
    struct sender *s = task->sender;
    struct outbox_mail *mail = task->mail;
    task->mail = NULL;
    s->running--;
    s->done(s->arg, mail, task->result.outcome, task->result.answer.data);
    s->free_tasks[s->free_count++] = task;
}

static struct sender_task *sender_task_new(struct sender *s)
{
    struct sender_task *task = mem_zalloc(sizeof(*task));
    task->work = (struct work){.run = sender_run, .done = sender_finished};
    task->sender = s;
    strbuf_init(&task->result.answer);
    return task;
}

struct sender *sender_new(const struct mail_settings *settings, const char *url, const struct sender_limits *limits,
                          sender_done *done, void *arg)
{
    struct sender *s = mem_zalloc(sizeof(*s) + limits->connections * sizeof(struct smtp_channel *));
    s->settings = settings;
    s->url = url;
    s->limits = *limits;
    s->done = done;
    s->arg = arg;
    pthread_mutex_init(&s->lock, NULL);
    s->free_tasks = mem_zalloc(limits->most * sizeof(struct sender_task *));
    for (; s->free_count < limits->most; s->free_count++)
        s->free_tasks[s->free_count] = sender_task_new(s);
    s->pool = work_pool_new("smtp", limits->connections, limits->most, 0);
    return s;
}

void sender_free(struct sender **sender)
{
    struct sender *s = *sender;
    *sender = NULL;
    if (!s)
        return;
    assert(!s->running);
    work_pool_free(&s->pool);
    sender_rest(s);
    for (unsigned i = 0; i < s->free_count; i++) {
        strbuf_release(&s->free_tasks[i]->result.answer);
        free(s->free_tasks[i]);
    }
    free(s->free_tasks);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void sender_start(struct sender *sender, struct outbox_mail *mail)
{
    assert(sender->free_count);
    struct sender_task *task = sender->free_tasks[--sender->free_count];
    task->mail = mail;
    sender->running++;
    bool taken = work_pool_submit(sender->pool, &task->work);
    assert(taken); /* as many may wait as there are tasks */
    (void)taken;
}

unsigned sender_running(const struct sender *sender)
{
    return sender->running;
}

int sender_fd(const struct sender *sender)
{
    return work_pool_fd(sender->pool);
}

void sender_reap(struct sender *sender)
{
    work_pool_reap(sender->pool);
}

void sender_halt(struct sender *sender)
{
    atomic_store(&sender->halt, true);
}

bool sender_halted(const struct sender *sender)
{
    return atomic_load(&sender->halt);
}

void sender_go(struct sender *sender)
{
    atomic_store(&sender->halt, false);
}

void sender_cancel(struct sender *sender)
{
    sender_halt(sender);
    atomic_store(&sender->cancel, true);
}

void sender_rest(struct sender *sender)
{
    pthread_mutex_lock(&sender->lock);
    while (sender->channel_count)
        smtp_channel_free(&sender->channels[--sender->channel_count]);
    pthread_mutex_unlock(&sender->lock);
}
