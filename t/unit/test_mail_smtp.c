/* mail/smtp.h against a server of our own that follows a script: what a server says that it ought not to */
#include "mail/smtp.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"
#include "mail/message.h"
#include "mail/settings.h"
#include "tap.h"

#define TOKEN "0123456789abcdeffedcba98765432100f1e2d3c4b5a69788796a5b4c3d2e1f0"
#define TIMEOUT_MS 10000

/* The answer to lines that begin with `to`; `repeat` puts the line behind it. The first that fits counts, else "250
 * ok". */
struct reply {
    const char *to, *text;
    bool repeat;
};

struct server {
    int fd, port;
    const struct reply *replies;
    pthread_t thread;
};

static void server_answer(FILE *out, const struct reply *reply, const char *line)
{
    while (reply->to && strncasecmp(line, reply->to, strlen(reply->to)) != 0)
        reply++;
    fprintf(out, "%s%s\r\n", reply->to ? reply->text : "250 ok", reply->to && reply->repeat ? line : "");
    fflush(out);
}

/* One connection, to its end. */
static void *server_run(void *arg)
{
    const struct server *s = arg;
    char line[4096];
    bool body = false;
    int fd = accept(s->fd, NULL, NULL);
    FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
    if (!in || !out)
        abort();
    fputs("220 mx ESMTP\r\n", out);
    fflush(out);
    while (fgets(line, sizeof(line), in)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (body && strcmp(line, ".") != 0)
            continue;
        server_answer(out, s->replies, line);
        body = strcmp(line, "DATA") == 0;
    }
    fclose(in);
    fclose(out);
    return NULL;
}

static void server_start(struct server *s, const struct reply *replies)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    s->replies = replies;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(s->fd, (struct sockaddr *)&address, len) != 0 || listen(s->fd, 1) != 0 ||
        getsockname(s->fd, (struct sockaddr *)&address, &len) != 0 ||
        pthread_create(&s->thread, NULL, server_run, s) != 0)
        abort();
    s->port = ntohs(address.sin_port);
}

static void make_message(struct message *m)
{
    message_init(m);
    m->id = mem_strdup("1@example.org");
    m->from = mem_strdup("verstak@example.org");
    m->to = mem_strdup("ann@example.org");
    m->subject = mem_strdup("Subject");
    m->secret = mem_strdup(TOKEN);
    strbuf_append_str(&m->text, "Text\n");
}

/* Sends one mail to a server that answers so. */
static void send_to(const struct reply *replies, bool login, struct smtp_result *result)
{
    struct server server;
    struct message message;
    char host[] = "127.0.0.1", user[] = "mailer", password[] = "secret word", from[] = "verstak@example.org",
         none[] = "";
    server_start(&server, replies);
    struct mail_settings settings = {.host = host,
                                     .port = server.port,
                                     .user = login ? user : none,
                                     .password = login ? password : none,
                                     .from = from,
                                     .ca_file = none,
                                     .security = SMTP_NONE,
                                     .configured = true};
    make_message(&message);
    struct smtp_channel *channel = smtp_channel_new(&settings, TIMEOUT_MS, NULL);
    smtp_channel_send(channel, &message, result);
    smtp_channel_free(&channel);
    message_release(&message);
    pthread_join(server.thread, NULL);
    close(server.fd);
}

/* "mailer" is bWFpbGVy, "secret word" c2VjcmV0IHdvcmQ=, both with their zero bytes AG1haWxlcgBzZWNyZXQgd29yZA== */
static const struct {
    const char *name;
    bool login;
    struct reply replies[5];
    const char *answer;
} cases[] = {
    {"PLAIN, repeated",
     true,
     {{"EHLO", "250-mx\r\n250 AUTH PLAIN", false}, {"AUTH", "334 ", false}, {"AG1h", "500 what is ", true}},
     "AUTH: 500 what is ****************************"},
    {"LOGIN, repeated",
     true,
     {{"EHLO", "250-mx\r\n250 AUTH LOGIN", false},
      {"AUTH", "334 VXNlcm5hbWU6", false},
      {"bWFp", "334 UGFzc3dvcmQ6", false},
      {"c2Vj", "500 what is ", true}},
     "AUTH: 500 what is ****************"},
    {"the password itself",
     true,
     {{"MAIL", "550 the secret word is secret word", false}},
     "MAIL FROM: 550 the *********** is ***********"},
    {"the token",
     false,
     {{"RCPT", "550 no " TOKEN " here", false}},
     "RCPT TO: 550 no **************************************************************** here"},
    {"the token in two lines, cut off",
     false,
     {{"RCPT", "550-0123456789abcdeffedcba9876543210\r\n550 0f1e2d3c4b5a6978", false}},
     "RCPT TO: 550 ******************************** ****************"},
    {"a few of its digits",
     false,
     {{"RCPT", "550 5.1.1 no 0123456 here", false}},
     "RCPT TO: 550 5.1.1 no 0123456 here"},
};

int main(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct smtp_result result = {.answer = STRBUF_INIT};
        send_to(cases[i].replies, cases[i].login, &result);
        is_str(result.answer.data, cases[i].answer, "%s", cases[i].name);
        strbuf_release(&result.answer);
    }
    return tap_done();
}
