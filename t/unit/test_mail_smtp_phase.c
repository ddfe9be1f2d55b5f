/* mail/smtp_phase.h, mail/pause.h: reading a dialogue, and how long to wait for a server that takes nothing */
#include "mail/pause.h"
#include "mail/smtp_phase.h"
#include "tap.h"

/* Each step of a dialogue and what is known after it: "> " sent, "< " got, "=" a piece of the message. */
static const struct {
    const char *line;
    enum smtp_phase phase;
    int code;
    const char *answer;
} steps[] = {
    {"< 220 mx ESMTP\r\n", SMTP_PHASE_CONNECT, 220, "220 mx ESMTP"},
    {"> EHLO host\r\n", SMTP_PHASE_HELLO, 0, ""},
    {"< 250-mx\r\n", SMTP_PHASE_HELLO, 250, "250 mx"},
    {"< 250-SIZE 100\r\n", SMTP_PHASE_HELLO, 250, "250 mx SIZE 100"},
    {"< 250 AUTH PLAIN\r\n", SMTP_PHASE_HELLO, 250, "250 mx SIZE 100 AUTH PLAIN"},
    {"> STARTTLS\r\n", SMTP_PHASE_TLS, 0, ""},
    {"< 220\r\n", SMTP_PHASE_TLS, 220, "220"},
    {"> EHLO host\r\n", SMTP_PHASE_HELLO, 0, ""},
    {"> AUTH LOGIN\r\n", SMTP_PHASE_AUTH, 0, ""},
    {"< 334 VXNlcm5hbWU6\r\n", SMTP_PHASE_AUTH, 334, "334 VXNlcm5hbWU6"},
    {"> bWFpbGVy\r\n", SMTP_PHASE_AUTH, 334, "334 VXNlcm5hbWU6"},
    {"< 535-5.7.8 no\r\n", SMTP_PHASE_AUTH, 535, "535 5.7.8 no"},
    {"< 535 5.7.8 really\r\n", SMTP_PHASE_AUTH, 535, "535 5.7.8 no 5.7.8 really"},
    {"> mail FROM:<a@b> SIZE=3\r\n", SMTP_PHASE_MAIL, 0, ""},
    {"< 250 ok\r\n", SMTP_PHASE_MAIL, 250, "250 ok"},
    {"> RCPT TO:<c@d>\r\n", SMTP_PHASE_RCPT, 0, ""},
    {"< 250 ok\r\n", SMTP_PHASE_RCPT, 250, "250 ok"},
    {"> DATA\r\n", SMTP_PHASE_DATA, 0, ""},
    {"< 354 go\r\n", SMTP_PHASE_DATA, 354, "354 go"},
    {"=", SMTP_PHASE_BODY, 0, ""},
    {"=", SMTP_PHASE_BODY, 0, ""},
    {"< odd line\r\n", SMTP_PHASE_BODY, 0, ""},
    {"< \r\n", SMTP_PHASE_BODY, 0, ""},
    {"< 25x ok\r\n", SMTP_PHASE_BODY, 0, ""},
    {"< 452-4.2.2 full\r\n", SMTP_PHASE_BODY, 452, "452 4.2.2 full"},
    {"> QUIT\r\n", SMTP_PHASE_BODY, 452, "452 4.2.2 full"},
    {"< 221 bye\r\n", SMTP_PHASE_BODY, 452, "452 4.2.2 full"},
};

static void test_dialogue(void)
{
    struct smtp_dialogue d;
    smtp_dialogue_init(&d);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        const char *line = steps[i].line;
        if (*line == '>')
            smtp_dialogue_sent(&d, line + 2, strlen(line + 2));
        else if (*line == '<')
            smtp_dialogue_got(&d, line + 2, strlen(line + 2));
        else
            smtp_dialogue_body(&d);
        ok(d.phase == steps[i].phase && d.code == steps[i].code, "%s: %s, %d", line, smtp_phase_name(d.phase), d.code);
        is_str(d.answer.data, steps[i].answer, "… answer");
    }
    ok(d.quitting, "the goodbye is seen");
    smtp_dialogue_reset(&d);
    ok(d.phase == SMTP_PHASE_CONNECT && !d.code && !d.quitting && !d.answer.len, "a new message begins anew");
    for (int i = 0; i < 10000; i++)
        smtp_dialogue_got(&d, "550-many words\r\n", 16);
    ok(d.answer.len <= 2000, "an endless answer is cut off");
    static char line[5000] = "451 ";
    memset(line + 4, 'x', sizeof(line) - 4);
    smtp_dialogue_got(&d, line, sizeof(line));
    ok(d.code == 451 && d.answer.len > 1000 && d.answer.len <= 2000, "so is an endless line");
    smtp_dialogue_release(&d);
}

static void test_pause(void)
{
    struct pause p;
    pause_init(&p, 30000);
    is_int(pause_left(&p, 1000), 0, "no pause at first");
    ok(pause_trouble(&p, 1000), "the trouble begins");
    is_int(pause_left(&p, 1000), 30000, "… with the least pause");
    ok(!pause_trouble(&p, 1500), "further mails of the same moment");
    is_int(pause_left(&p, 1000), 30000, "… change nothing");
    is_int(pause_left(&p, 31000), 0, "then one is tried");
    ok(!pause_trouble(&p, 31000), "in vain");
    is_int(pause_left(&p, 31000), 60000, "… twice as long");
    uint64_t now = 31000;
    for (int i = 0; i < 20; i++)
        pause_trouble(&p, now += pause_left(&p, now));
    is_int(pause_left(&p, now), PAUSE_MOST_MS, "never longer than five minutes");
    ok(pause_answered(&p) && !pause_left(&p, now), "an answer ends it");
    ok(!pause_answered(&p), "… once");
    ok(!pause_lost(&p) && !pause_lost(&p), "two mails lost are their own fault");
    ok(pause_lost(&p), "three in a row the server's");
    pause_answered(&p);
    ok(!pause_lost(&p) && !pause_lost(&p), "an answer in between ends the row");
    pause_init(&p, 3600000);
    pause_trouble(&p, 0);
    is_int(pause_left(&p, 0), 3600000, "mail.retry_min is never undercut");
}

int main(void)
{
    test_dialogue();
    test_pause();
    return tap_done();
}
