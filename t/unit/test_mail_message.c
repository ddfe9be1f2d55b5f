/* mail/message.h, mail/render.h: whole e-mails in each language, and that no value gets into the headers */
#include <stdlib.h>

#include "core/mem.h"
#include "mail/catalogue.h"
#include "mail/message.h"
#include "mail/render.h"
#include "mail/settings.h"
#include "tap.h"

#define TOKEN "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct mail_settings settings = {.host = (char *)"mx",
                                        .from = (char *)"verstak@example.org",
                                        .server_name = (char *)"Home",
                                        .public_url = (char *)""};

static struct render_input input_of(const char *template, const char *locale)
{
    return (struct render_input){.template = template,
                                 .locale = locale,
                                 .recipient = "anna@example.org",
                                 .user_name = "anna",
                                 .secret = TOKEN,
                                 .detail = "Laptop",
                                 .message_id = "key@example.org",
                                 .created_at = 1795342500}; /* 2026-11-22T10:15:00Z */
}

/* The e-mail as it goes over the wire; empty, and the reason in error, when it cannot be made. */
static struct strbuf mail_of(const struct render_input *input, struct message *message, struct strbuf *error)
{
    struct strbuf out = STRBUF_INIT;
    message_init(message);
    if (!render_message(input, &settings, "https://a.example", message, error) || !message_write(message, &out, error))
        strbuf_reset(&out);
    return out;
}

static char *headers_of(const struct strbuf *mail)
{
    const char *end = strstr(mail->data, "\r\n\r\n");
    return end ? mem_strndup(mail->data, (size_t)(end - mail->data)) : mem_strdup("");
}

static void test_english(void)
{
    struct render_input input = input_of("confirm", "en");
    struct message message;
    struct strbuf error = STRBUF_INIT, mail = mail_of(&input, &message, &error);
    char *headers = headers_of(&mail);
    is_str(headers,
           "Date: Sun, 22 Nov 2026 10:15:00 +0000\r\n"
           "From: \"Home\"\r\n <verstak@example.org>\r\n"
           "To: <anna@example.org>\r\n"
           "Message-ID: <key@example.org>\r\n"
           "Subject: Confirm your e-mail address for Home\r\n"
           "Auto-Submitted: auto-generated\r\n"
           "MIME-Version: 1.0\r\n"
           "Content-Language: en\r\n"
           "Content-Type: multipart/alternative; boundary=\"=_3d940274833375602682aaf1\"",
           "the headers");
    ok(strstr(mail.data,
              "\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\nHello,\r\n"),
       "plain text in ASCII goes as it is");
    ok(strstr(mail.data, "\r\nhttps://a.example/api/v1/auth/confirm?token=" TOKEN "\r\n"),
       "… and its link can be grepped");
    ok(strstr(mail.data, "<a href=\"https://a.example/api/v1/auth/confirm?token=" TOKEN "\">"),
       "the HTML part has a link");
    ok(strstr(mail.data, "On 2026-11-22 10:15 UTC somebody registered"), "when it happened");
    ok(strstr(mail.data, "\r\n  Account: anna\r\n  Server: https://a.example\r\n\r\n"), "facts");
    ok(!strcasestr(headers, "list-") && !strcasestr(mail.data, "<img"), "nothing of lists and pictures");
    free(headers);
    message_release(&message);
    strbuf_release(&mail);
    strbuf_release(&error);
}

static void test_russian(void)
{
    struct render_input input = input_of("reset", "ru");
    struct message message;
    struct strbuf error = STRBUF_INIT, mail = mail_of(&input, &message, &error);
    ok(strstr(mail.data, "\r\nSubject: =?UTF-8?B?"), "the subject is encoded");
    ok(strstr(mail.data, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"),
       "so is the text");
    ok(strstr(message.text.data, "\nhttps://a.example/reset?token=" TOKEN "\n"), "the link of a reset");
    ok(strstr(message.text.data, "22.11.2026 10:15 UTC"), "the time");
    bool ascii = true;
    for (size_t i = 0; i < mail.len; i++)
        ascii = ascii && (unsigned char)mail.data[i] < 0x80;
    ok(ascii, "all bytes on the wire are ASCII");
    message_release(&message);
    strbuf_release(&mail);
    strbuf_release(&error);
}

/* Each mail of each catalogue, with and without what may be missing: no placeholder is left over, no line is too long.
 */
static void test_all(void)
{
    for (size_t i = 0; i < catalogue_mail_count; i++) {
        const struct catalogue_mail *c = &catalogue_mails[i];
        struct render_input input = input_of(c->name, c->locale);
        if (!*c->subject)
            continue; /* a part of others */
        for (int bare = 0; bare < 2; bare++) {
            struct message message;
            struct strbuf error = STRBUF_INIT;
            if (bare)
                input.user_name = input.detail = NULL;
            struct strbuf mail = mail_of(&input, &message, &error);
            ok(mail.len && !strpbrk(message.text.data, "{}") && !strpbrk(message.subject, "{}"), "%s in '%s'%s %s",
               c->name, c->locale, bare ? ", values missing" : "", error.data);
            bool fact = strstr(message.text.data, "anna") || strstr(message.text.data, "Laptop");
            ok(!(bare && fact), "… says nothing that nobody knows");
            message_release(&message);
            strbuf_release(&mail);
            strbuf_release(&error);
        }
    }
}

static void test_refusals(void)
{
    static const struct {
        const char *template, *recipient, *id, *secret, *error;
    } cases[] = {
        {"confirm", "a@b\r\nBcc: x@y", "k@d", TOKEN, "the recipient's address cannot stand in an e-mail"},
        {"confirm", "a@b\nX: y", "k@d", TOKEN, "the recipient's address cannot stand in an e-mail"},
        {"confirm", "a b@c", "k@d", TOKEN, "the recipient's address cannot stand in an e-mail"},
        {"confirm", "a@b> SIZE=1", "k@d", TOKEN, "the recipient's address cannot stand in an e-mail"},
        {"confirm", "a@b,c@d", "k@d", TOKEN, "the recipient's address cannot stand in an e-mail"},
        {"confirm", "a\xc2\x85@b", "k@d", TOKEN, "the recipient's address cannot stand in an e-mail"},
        {"confirm", "a\xff@b", "k@d", TOKEN, "the recipient's address cannot stand in an e-mail"},
        {"confirm", "", "k@d", TOKEN, "the recipient's address cannot stand in an e-mail"},
        {"confirm", NULL, "k@d", TOKEN, "the recipient's address cannot stand in an e-mail"},
        {"confirm", "a@", "k@d", TOKEN, "the recipient's address cannot stand in an e-mail"},
        {"confirm", "a@b", "k@d\r\nX: y", TOKEN, "the Message-ID cannot stand in an e-mail"},
        {"confirm", "a@b", NULL, TOKEN, "the Message-ID cannot stand in an e-mail"},
        {"confirm", "a@b", "k@d", NULL, "the token of the link is not there any more"},
        {"confirm", "a@b", "k@d", "abc", "the token of the link is not there any more"},
        {"confirm", "a@b", "k@d", TOKEN "\r\n", "the token of the link is not there any more"},
        {"nothing", "a@b", "k@d", TOKEN, "this version knows no e-mail 'nothing'"},
        {"device_paired", "a@b", "k@d", NULL, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct render_input input = input_of(cases[i].template, "en");
        struct message message;
        struct strbuf error = STRBUF_INIT;
        input.recipient = cases[i].recipient;
        input.message_id = cases[i].id;
        input.secret = cases[i].secret;
        struct strbuf mail = mail_of(&input, &message, &error);
        is_str(error.data, cases[i].error, "refusal %zu", i);
        ok(!mail.len == !!*cases[i].error, "… and nothing is written");
        message_release(&message);
        strbuf_release(&mail);
        strbuf_release(&error);
    }
}

/* Values that would like to be headers or markup. */
static void test_injection(void)
{
    static const char *const values[] = {"x\r\nBcc: evil@example.org",
                                         "x\nBcc: evil@example.org",
                                         "x\rBcc: evil@example.org",
                                         "x\xc2\x85"
                                         "Bcc: evil@example.org",
                                         "x\xe2\x80\xa8"
                                         "Bcc: evil@example.org",
                                         "x\r\n\r\n<script>",
                                         "\xff\xfe\r\nBcc: evil@example.org"};
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        struct render_input input = input_of("device_paired", "en");
        struct message message;
        struct strbuf error = STRBUF_INIT;
        input.user_name = input.detail = values[i];
        settings.server_name = (char *)values[i];
        struct strbuf mail = mail_of(&input, &message, &error);
        char *headers = headers_of(&mail);
        ok(mail.len && !strstr(headers, "\nBcc") && !strstr(headers, "\rBcc") &&
               strstr(headers, "MIME-Version: 1.0\r\n"),
           "value %zu makes no header", i);
        ok(!strstr(message.html.data, "<script>") && !strstr(message.text.data, "\nBcc"), "… no line and no markup");
        free(headers);
        message_release(&message);
        strbuf_release(&mail);
        strbuf_release(&error);
    }
    settings.server_name = (char *)"Home";
}

static void test_long_values(void)
{
    struct render_input input = input_of("device_paired", "en");
    struct message message;
    struct strbuf error = STRBUF_INIT, value = STRBUF_INIT;
    for (int i = 0; i < 50000; i++)
        strbuf_append_str(&value, "ж<");
    input.user_name = input.detail = settings.server_name = value.data;
    struct strbuf mail = mail_of(&input, &message, &error);
    ok(mail.len && mail.len < 40000, "over-long values are cut off: %zu bytes", mail.len);
    size_t longest = 0;
    for (const char *line = mail.data; *line;) {
        size_t len = strcspn(line, "\r");
        longest = len > longest ? len : longest;
        line += len + (line[len] ? 2 : 0);
    }
    ok(longest <= 76, "… and no line is longer than it may be (%zu)", longest);
    settings.server_name = (char *)"Home";
    message_release(&message);
    strbuf_release(&mail);
    strbuf_release(&error);
    strbuf_release(&value);
}

/* A stranger gets no link by way of the name that somebody chose. */
static void test_names(void)
{
    static const struct {
        const char *name;
        bool shown;
    } cases[] = {
        {"anna", true},         {"anna.schmidt", true},    {"Anna Schmidt jr.", true},     {"Анна", true},
        {"http://evil", false}, {"evil.example/x", false}, {"win at evil.example", false}, {"www.evil", false},
        {"mailto:a", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct render_input input = input_of("confirm", "en");
        struct message message;
        struct strbuf error = STRBUF_INIT;
        input.user_name = cases[i].name;
        struct strbuf mail = mail_of(&input, &message, &error);
        ok(mail.len && (strstr(message.text.data, cases[i].name) != NULL) == cases[i].shown, "'%s' is %s",
           cases[i].name, cases[i].shown ? "shown" : "left out");
        message_release(&message);
        strbuf_release(&mail);
        strbuf_release(&error);
    }
}

int main(void)
{
    test_english();
    test_russian();
    test_all();
    test_refusals();
    test_injection();
    test_long_values();
    test_names();
    return tap_done();
}
