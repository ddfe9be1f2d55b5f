/* outbox: see the header. In the mailer. */
#include "mail/outbox.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/log.h"
#include "core/mem.h"
#include "db/session.h"
#include "mail/settings.h"

#define OUTBOX_CHANNEL "mailer"
#define OUTBOX_MARGIN_MS 5000 /* for what is not counted: a slow start of a thread, a stopped process */

static const char *const outcome_names[] = {
    [OUTBOX_SENT] = "sent", [OUTBOX_RETRY] = "retry", [OUTBOX_FAILED] = "failed", [OUTBOX_RELEASE] = "release"};

/*
 * A mail that is begun ends in mail.timeout, and its record is tried for a statement's time; it is begun only when so
 * much is left of the lease. Claimed mails wait for those before them at most once that long.
 */
void outbox_init(struct outbox *o, const struct config *config)
{
    char host[256] = "";
    gethostname(host, sizeof(host) - 1);
    *o = (struct outbox){.config = config};
    o->holder = mem_printf("%s:%ld:%" PRIu64, host, (long)getpid(), clock_mono_us());
    o->start_ms = config->mail_timeout + config->database_statement_timeout + OUTBOX_MARGIN_MS / 2;
    o->lease_ms = 2 * config->mail_timeout + 2 * config->database_statement_timeout + OUTBOX_MARGIN_MS;
    char *conninfo = db_conninfo(config);
    o->session = db_session_new(config, conninfo);
    mem_wipe(conninfo, strlen(conninfo));
    free(conninfo);
    /* behind PgBouncer in transaction mode our notifications would go to others */
    db_listener_init(&o->listener, o->session, OUTBOX_CHANNEL, config->database_prepared_statements);
}

void outbox_release(struct outbox *o)
{
    db_session_free(&o->session);
    free(o->holder);
}

void outbox_mail_free(struct outbox_mail **mail)
{
    struct outbox_mail *m = *mail;
    *mail = NULL;
    if (!m)
        return;
    free(m->message_id);
    free(m->template);
    free(m->locale);
    free(m->recipient);
    free(m->user_name);
    free(m->secret);
    free(m->detail);
    free(m);
}

bool outbox_connect(struct outbox *o, bool *fresh_r, struct strbuf *error)
{
    return db_listener_connect(&o->listener, fresh_r, error);
}

void outbox_notices(struct outbox *o, bool *mail, bool *settings)
{
    struct strbuf payload = STRBUF_INIT;
    while (db_listener_next(&o->listener, &payload)) {
        if (strcmp(payload.data, "settings") == 0)
            *settings = true;
        else
            *mail = true;
    }
    strbuf_release(&payload);
}

/* NULL, with the reason, when it did not work. */
static const struct db_result *outbox_run(struct outbox *o, enum db_statement statement, struct db_params *params,
                                          struct strbuf *error)
{
    const struct db_result *result = db_session_run(o->session, statement, params);
    if (result->outcome == DB_OK)
        return result;
    strbuf_error(error, "%s", result->message);
    return NULL;
}

bool outbox_settings(struct outbox *o, struct mail_settings *settings, struct strbuf *error)
{
    struct db_params params;
    db_params_init(&params);
    const struct db_result *result = outbox_run(o, STMT_MAIL_SETTINGS, &params, error);
    for (int row = 0; result && row < db_result_rows(result); row++)
        if (!db_result_null(result, row, 0))
            mail_settings_apply(settings, db_result_text(result, row, 0, NULL), db_result_text(result, row, 1, NULL));
    return result != NULL;
}

/* --- claiming --- */

static char *outbox_text(const struct db_result *result, int row, int column)
{
    return db_result_null(result, row, column) ? NULL : mem_strdup(db_result_text(result, row, column, NULL));
}

static time_t outbox_time(const struct db_result *result, int row, int column)
{
    char text[CLOCK_RFC3339_SIZE];
    struct tm tm = {0};
    db_result_time(result, row, column, text);
    return strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) ? timegm(&tm) : 0;
}

static struct outbox_mail *outbox_mail_new(const struct db_result *result, int row, uint64_t lease_end)
{
    struct outbox_mail *m = mem_zalloc(sizeof(*m));
    m->id = db_result_int(result, row, 0);
    m->message_id = outbox_text(result, row, 1);
    m->template = outbox_text(result, row, 2);
    m->locale = outbox_text(result, row, 3);
    m->recipient = outbox_text(result, row, 4);
    m->user_name = outbox_text(result, row, 5);
    m->secret = outbox_text(result, row, 6);
    m->detail = outbox_text(result, row, 7);
    m->created_at = outbox_time(result, row, 8);
    m->lease_end = lease_end;
    return m;
}

bool outbox_claim(struct outbox *o, int limit, const char *domain, struct outbox_mail **list, int *count_r,
                  struct strbuf *error)
{
    struct db_params params;
    uint64_t lease_end = clock_mono_ms() + (uint64_t)o->lease_ms; /* before the database begins to count */
    *count_r = 0;
    db_params_init(&params);
    db_params_str(&params, o->holder);
    db_params_int8(&params, o->lease_ms);
    db_params_int4(&params, limit);
    db_params_str(&params, domain);
    const struct db_result *result = outbox_run(o, STMT_MAIL_CLAIM, &params, error);
    while (*list)
        list = &(*list)->next;
    for (int row = 0; result && row < db_result_rows(result); row++) {
        if (db_result_null(result, row, 0))
            continue;
        *list = outbox_mail_new(result, row, lease_end);
        list = &(*list)->next;
        ++*count_r;
    }
    return result != NULL;
}

/* --- recording --- */

static void outbox_log(const struct outbox_note *note, const char *state, int64_t next_in)
{
    const struct outbox_mail *m = note->mail;
    if (strcmp(state, "sent") == 0)
        log_info("e-mail %" PRId64 " (%s) to %s: sent: %s", m->id, m->template, m->recipient, note->answer);
    else if (strcmp(state, "failed") == 0)
        log_warning("e-mail %" PRId64 " (%s) to %s: failed for good: %s", m->id, m->template, m->recipient,
                    note->answer);
    else if (note->outcome == OUTBOX_RETRY && !note->quiet)
        log_info("e-mail %" PRId64 " (%s) to %s: again in %" PRId64 " s: %s", m->id, m->template, m->recipient,
                 (next_in + 999) / 1000, note->answer);
}

/*
 * A row that the answer has not is not ours any more: written down before the database was lost, its account is gone,
 * or another mailer took it.
 */
static void outbox_log_note(const struct db_result *result, const struct outbox_note *note)
{
    for (int row = 0; row < db_result_rows(result); row++) {
        if (db_result_null(result, row, 0) || db_result_int(result, row, 0) != note->mail->id)
            continue;
        outbox_log(note, db_result_text(result, row, 1, NULL), db_result_int(result, row, 2));
        return;
    }
    if (note->outcome == OUTBOX_SENT)
        log_info("e-mail %" PRId64 " (%s) to %s: sent, and not in the outbox under our name any more: %s",
                 note->mail->id, note->mail->template, note->mail->recipient, note->answer);
}

static void outbox_bind_notes(struct db_params *params, const struct outbox_note *notes, size_t count)
{
    db_params_array_begin(params, DB_ARRAY_INT8, count);
    for (size_t i = 0; i < count; i++)
        db_params_array_int8(params, notes[i].mail->id);
    db_params_array_end(params);
    db_params_array_begin(params, DB_ARRAY_TEXT, count);
    for (size_t i = 0; i < count; i++)
        db_params_array_element(params, outcome_names[notes[i].outcome], strlen(outcome_names[notes[i].outcome]));
    db_params_array_end(params);
    db_params_array_begin(params, DB_ARRAY_TEXT, count);
    for (size_t i = 0; i < count; i++)
        db_params_array_element(params, notes[i].answer, strlen(notes[i].answer));
    db_params_array_end(params);
}

/* Of the rows that wait again. */
static int64_t outbox_next_in(const struct db_result *result)
{
    int64_t least = -1;
    for (int row = 0; row < db_result_rows(result); row++) {
        const char *state = db_result_text(result, row, 1, NULL);
        int64_t next_in = db_result_int(result, row, 2);
        if ((strcmp(state, "retrying") == 0 || strcmp(state, "queued") == 0) && (least < 0 || next_in < least))
            least = next_in;
    }
    return least;
}

bool outbox_record(struct outbox *o, const struct outbox_note *notes, size_t count, int64_t *next_in_r,
                   struct strbuf *error)
{
    struct db_params params;
    db_params_init(&params);
    db_params_str(&params, o->holder);
    outbox_bind_notes(&params, notes, count);
    db_params_int8(&params, o->config->mail_retry_min);
    db_params_int8(&params, o->config->mail_retry_max);
    db_params_int8(&params, o->config->mail_give_up);
    const struct db_result *result = outbox_run(o, STMT_MAIL_RECORD, &params, error);
    for (size_t i = 0; result && i < count; i++)
        outbox_log_note(result, &notes[i]);
    *next_in_r = result ? outbox_next_in(result) : -1;
    return result != NULL;
}

bool outbox_due(struct outbox *o, int64_t *next_in_r, int64_t *waiting_r, struct strbuf *error)
{
    struct db_params params;
    db_params_init(&params);
    const struct db_result *result = outbox_run(o, STMT_MAIL_DUE, &params, error);
    if (!result)
        return false;
    *next_in_r = db_result_null(result, 0, 0) ? -1 : db_result_int(result, 0, 0);
    *waiting_r = db_result_int(result, 0, 1);
    return true;
}
