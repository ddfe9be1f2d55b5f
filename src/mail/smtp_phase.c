/* smtp_phase: see the header. In the mailer's threads, and in a worker's for the SMTP test. */
#include "mail/smtp_phase.h"

#include <string.h>
#include <strings.h>

#include "core/compiler.h"

#define DIALOGUE_ANSWER_MAX 2000 /* bytes; a server may answer more lines than anybody wants to read */

static const char *const phase_names[] = {
    [SMTP_PHASE_CONNECT] = "connecting", [SMTP_PHASE_HELLO] = "EHLO",     [SMTP_PHASE_TLS] = "STARTTLS",
    [SMTP_PHASE_AUTH] = "AUTH",          [SMTP_PHASE_MAIL] = "MAIL FROM", [SMTP_PHASE_RCPT] = "RCPT TO",
    [SMTP_PHASE_DATA] = "DATA",          [SMTP_PHASE_BODY] = "message",   [SMTP_PHASE_QUIT] = "QUIT"};

static const struct {
    const char *word;
    enum smtp_phase phase;
} commands[] = {
    {"EHLO", SMTP_PHASE_HELLO}, {"HELO", SMTP_PHASE_HELLO}, {"STARTTLS", SMTP_PHASE_TLS}, {"AUTH", SMTP_PHASE_AUTH},
    {"MAIL", SMTP_PHASE_MAIL},  {"RCPT", SMTP_PHASE_RCPT},  {"DATA", SMTP_PHASE_DATA},    {"QUIT", SMTP_PHASE_QUIT},
};

const char *smtp_phase_name(enum smtp_phase phase)
{
    return phase_names[phase];
}

void smtp_dialogue_init(struct smtp_dialogue *d)
{
    *d = (struct smtp_dialogue){0};
    strbuf_init(&d->answer);
}

void smtp_dialogue_release(struct smtp_dialogue *d)
{
    strbuf_release(&d->answer);
}

static void dialogue_enter(struct smtp_dialogue *d, enum smtp_phase phase)
{
    d->phase = phase;
    d->code = 0;
    strbuf_reset(&d->answer);
}

void smtp_dialogue_reset(struct smtp_dialogue *d)
{
    dialogue_enter(d, SMTP_PHASE_CONNECT);
    d->quitting = d->whole = false;
}

void smtp_dialogue_sent(struct smtp_dialogue *d, const char *line, size_t len)
{
    size_t word = 0;
    while (word < len && line[word] != ' ' && line[word] != '\r' && line[word] != '\n')
        word++;
    /* In AUTH what follows the command are lines of base64, which may look like a word. */
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strlen(commands[i].word) != word || strncasecmp(line, commands[i].word, word) != 0)
            continue;
        if (commands[i].phase == SMTP_PHASE_QUIT)
            d->quitting = true;
        else
            dialogue_enter(d, commands[i].phase);
        return;
    }
}

void smtp_dialogue_body(struct smtp_dialogue *d)
{
    if (d->phase != SMTP_PHASE_BODY)
        dialogue_enter(d, SMTP_PHASE_BODY);
}

static bool dialogue_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

void smtp_dialogue_got(struct smtp_dialogue *d, const char *line, size_t len)
{
    while (len && (line[len - 1] == '\r' || line[len - 1] == '\n'))
        len--;
    if (d->quitting || len < 3 || !dialogue_is_digit(line[0]) || !dialogue_is_digit(line[1]) ||
        !dialogue_is_digit(line[2]))
        return;
    int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0';
    bool more = d->code == code && d->answer.len; /* a further line: its code says nothing new */
    if (!more)
        strbuf_reset(&d->answer);
    d->code = code;
    size_t from = more ? (len > 4 ? 4 : len) : 0;
    size_t room = DIALOGUE_ANSWER_MAX - d->answer.len;
    if (room < 2)
        return;
    if (more && from < len)
        strbuf_append_char(&d->answer, ' ');
    strbuf_append(&d->answer, line + from, len - from < room ? len - from : room - 1);
    if (!more && len > 3 && d->answer.len > 3)
        d->answer.data[3] = ' '; /* "550-" */
}
