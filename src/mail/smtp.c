/* smtp: see the header. Steps of a message: write it, perform, look at the dialogue, put the reason into words. */
#include "mail/smtp.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "mail/encoding.h"
#include "mail/message.h"
#include "mail/settings.h"
#include "mail/smtp_phase.h"

#define SMTP_CONNECT_MAX_MS 30000
#define SMTP_SECRETS 3
#define SMTP_PIECE 8   /* bytes of a secret that are too many in an answer */
#define SMTP_SOCKETS 8 /* one but while libcurl tries several addresses of a host at once */

struct smtp_channel {
    CURL *curl;
    int64_t timeout_ms;
    const atomic_bool *cancel;
    char *place;                         /* "mx.example.org:587" */
    char *secrets[SMTP_SECRETS];         /* never in an answer: the password, plain and as logins send it */
    curl_socket_t sockets[SMTP_SOCKETS]; /* that libcurl has open */
    unsigned socket_count;
    bool spoilt;           /* what is open is not to be used again */
    struct strbuf message; /* the one under way */
    size_t taken;          /* of it, by libcurl */
    struct smtp_dialogue dialogue;
    char error[CURL_ERROR_SIZE];
};

/* --- callbacks --- */

static size_t smtp_on_read(char *buffer, size_t size, size_t items, void *arg)
{
    struct smtp_channel *c = arg;
    size_t left = c->message.len - c->taken, n = size * items < left ? size * items : left;
    memcpy(buffer, c->message.data + c->taken, n);
    c->taken += n;
    c->dialogue.whole = c->taken == c->message.len;
    return n;
}

static curl_socket_t smtp_on_open(void *arg, UNUSED curlsocktype purpose, struct curl_sockaddr *address)
{
    struct smtp_channel *c = arg;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd >= 0 && c->socket_count < SMTP_SOCKETS)
        c->sockets[c->socket_count++] = fd;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int smtp_on_close(void *arg, curl_socket_t fd)
{
    struct smtp_channel *c = arg;
    for (unsigned i = 0; i < c->socket_count; i++)
        if (c->sockets[i] == fd)
            c->sockets[i--] = c->sockets[--c->socket_count];
    return close(fd);
}

/*
 * libcurl waits for the answer to QUIT, for two minutes if need be, before it gives a connection up. Nobody needs it:
 * with the reading side closed it does not wait.
 */
static void smtp_quit(struct smtp_channel *c)
{
    for (unsigned i = 0; i < c->socket_count; i++)
        shutdown(c->sockets[i], SHUT_RD);
}

/*
 * libcurl keeps a connection on which the answer to a message did not come in time. On the next message it would take
 * that answer for the one to MAIL FROM, and so on: each mail would be judged by the answer to the one before.
 */
static void smtp_spoil(struct smtp_channel *c)
{
    c->spoilt = true;
    for (unsigned i = 0; i < c->socket_count; i++)
        shutdown(c->sockets[i], SHUT_RDWR);
}

static void smtp_on_sent(struct smtp_channel *c, const char *line, size_t len)
{
    smtp_dialogue_sent(&c->dialogue, line, len);
    if (c->dialogue.quitting)
        smtp_quit(c);
}

static int smtp_on_debug(UNUSED CURL *curl, curl_infotype type, char *data, size_t len, void *arg)
{
    struct smtp_channel *c = arg;
    if (type == CURLINFO_HEADER_OUT)
        smtp_on_sent(c, data, len);
    else if (type == CURLINFO_HEADER_IN)
        smtp_dialogue_got(&c->dialogue, data, len);
    else if (type == CURLINFO_DATA_OUT)
        smtp_dialogue_body(&c->dialogue);
    return 0;
}

/* Called about once a second, also while libcurl waits for an answer. */
static int smtp_on_progress(void *arg, UNUSED curl_off_t down_total, UNUSED curl_off_t down, UNUSED curl_off_t up_total,
                            UNUSED curl_off_t up)
{
    const struct smtp_channel *c = arg;
    return c->cancel && atomic_load(c->cancel);
}

/* --- the channel --- */

static void smtp_global_init(void)
{
    curl_global_init(CURL_GLOBAL_ALL);
}

/* The name in EHLO: this host's if it is a full one, else the sender's domain. Servers are picky about it. */
static void smtp_append_own_name(const struct mail_settings *settings, struct strbuf *out)
{
    char host[256] = "";
    const char *at = strrchr(settings->from, '@'), *name = host;
    gethostname(host, sizeof(host) - 1);
    if (!strchr(host, '.') && at)
        name = at + 1;
    bool fit = *name && !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")];
    strbuf_append_str(out, fit ? name : "localhost");
}

/* settings->host was checked: nothing in it has a meaning in a URL. */
static void smtp_set_url(CURL *curl, const struct mail_settings *settings)
{
    struct strbuf url = STRBUF_INIT;
    bool v6 = strchr(settings->host, ':') != NULL;
    strbuf_printf(&url, "%s://%s%s%s:%" PRId64 "/", settings->security == SMTP_TLS ? "smtps" : "smtp", v6 ? "[" : "",
                  settings->host, v6 ? "]" : "", settings->port);
    smtp_append_own_name(settings, &url);
    curl_easy_setopt(curl, CURLOPT_URL, url.data);
    strbuf_release(&url);
}

static void smtp_set_security(CURL *curl, const struct mail_settings *settings)
{
    long starttls = settings->security != SMTP_STARTTLS ? CURLUSESSL_NONE
                    : settings->starttls_optional       ? CURLUSESSL_TRY
                                                        : CURLUSESSL_ALL;
    curl_easy_setopt(curl, CURLOPT_USE_SSL, settings->security == SMTP_TLS ? (long)CURLUSESSL_ALL : starttls);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (*settings->ca_file) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, settings->ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL); /* these and no others */
    }
    if (*settings->user) {
        curl_easy_setopt(curl, CURLOPT_USERNAME, settings->user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, settings->password);
        curl_easy_setopt(curl, CURLOPT_LOGIN_OPTIONS, "AUTH=PLAIN;AUTH=LOGIN");
    }
}

static void smtp_set_callbacks(struct smtp_channel *c)
{
    curl_easy_setopt(c->curl, CURLOPT_READFUNCTION, smtp_on_read);
    curl_easy_setopt(c->curl, CURLOPT_READDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_OPENSOCKETFUNCTION, smtp_on_open);
    curl_easy_setopt(c->curl, CURLOPT_OPENSOCKETDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_CLOSESOCKETFUNCTION, smtp_on_close);
    curl_easy_setopt(c->curl, CURLOPT_CLOSESOCKETDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_VERBOSE, 1L); /* else there is no debug callback */
    curl_easy_setopt(c->curl, CURLOPT_DEBUGFUNCTION, smtp_on_debug);
    curl_easy_setopt(c->curl, CURLOPT_DEBUGDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c->curl, CURLOPT_XFERINFOFUNCTION, smtp_on_progress);
    curl_easy_setopt(c->curl, CURLOPT_XFERINFODATA, c);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->error);
}

static char *smtp_base64(const char *bytes, size_t len)
{
    char *text = mem_zalloc(len / 3 * 4 + 5);
    EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)bytes, (int)len);
    return text;
}

/* Some servers repeat a line that they do not understand. */
static void smtp_keep_secrets(struct smtp_channel *c, const struct mail_settings *settings)
{
    struct strbuf plain = STRBUF_INIT;
    strbuf_printf(&plain, "%c%s%c%s", 0, settings->user, 0, settings->password);
    c->secrets[0] = mem_strdup(settings->password);
    c->secrets[1] = smtp_base64(settings->password, strlen(settings->password));
    c->secrets[2] = *settings->password ? smtp_base64(plain.data, plain.len) : mem_strdup("");
    mem_wipe(plain.data, plain.len);
    strbuf_release(&plain);
}

struct smtp_channel *smtp_channel_new(const struct mail_settings *settings, int64_t timeout_ms,
                                      const atomic_bool *cancel)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, smtp_global_init); /* in the process that uses it: never before a fork */
    struct smtp_channel *c = mem_zalloc(sizeof(*c));
    strbuf_init(&c->message);
    smtp_dialogue_init(&c->dialogue);
    c->timeout_ms = timeout_ms;
    c->cancel = cancel;
    c->place = mem_printf("%s:%" PRId64, settings->host, settings->port);
    smtp_keep_secrets(c, settings);
    c->curl = curl_easy_init();
    if (!c->curl)
        abort(); /* no memory */
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_QUICK_EXIT, 1L); /* do not wait for a resolver beyond the time limit */
    curl_easy_setopt(c->curl, CURLOPT_PROXY, "");      /* whatever the environment says */
    curl_easy_setopt(c->curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(c->curl, CURLOPT_MAXCONNECTS, 1L);
    curl_easy_setopt(c->curl, CURLOPT_MAIL_FROM, settings->from);
    smtp_set_url(c->curl, settings);
    smtp_set_security(c->curl, settings);
    smtp_set_callbacks(c);
    return c;
}

void smtp_channel_free(struct smtp_channel **channel)
{
    struct smtp_channel *c = *channel;
    *channel = NULL;
    if (!c)
        return;
    smtp_quit(c); /* the goodbye to a kept connection is another handle's, without our debug callback */
    curl_easy_cleanup(c->curl);
    for (size_t i = 0; i < SMTP_SECRETS; i++) {
        mem_wipe(c->secrets[i], strlen(c->secrets[i]));
        free(c->secrets[i]);
    }
    free(c->place);
    strbuf_release(&c->message);
    smtp_dialogue_release(&c->dialogue);
    free(c);
}

/* --- what became of a message --- */

static bool smtp_canceled(const struct smtp_channel *c, CURLcode code)
{
    return code == CURLE_ABORTED_BY_CALLBACK && c->cancel && atomic_load(c->cancel);
}

/* 530, 535, 538: a server that wants a login says so when it likes. */
static bool smtp_asks_for_login(int answer)
{
    return answer == 530 || answer == 535 || answer == 538;
}

static enum smtp_outcome smtp_judge(const struct smtp_channel *c, CURLcode code)
{
    const struct smtp_dialogue *d = &c->dialogue;
    if (code == CURLE_OK)
        return SMTP_SENT;
    if (smtp_canceled(c, code))
        return d->phase == SMTP_PHASE_BODY && d->whole ? SMTP_UNKNOWN : SMTP_CANCELED;
    if (d->phase < SMTP_PHASE_RCPT || smtp_asks_for_login(d->code))
        return SMTP_TROUBLE;
    if (d->code >= 500)
        return SMTP_REFUSED;
    return d->code >= 400 && d->code != 421 ? SMTP_LATER : SMTP_LOST;
}

/* A kept connection that the server had given up meanwhile: the message was not sent whole, nothing was taken. */
static bool smtp_was_stale(const struct smtp_channel *c, CURLcode code)
{
    const struct smtp_dialogue *d = &c->dialogue;
    long connects = 1;
    curl_easy_getinfo(c->curl, CURLINFO_NUM_CONNECTS, &connects);
    return code != CURLE_OK && code != CURLE_OPERATION_TIMEDOUT && code != CURLE_ABORTED_BY_CALLBACK && !connects &&
           d->phase < SMTP_PHASE_BODY && (d->code < 400 || d->code == 421);
}

/* --- its reason in words --- */

static const char *smtp_curl_words(const struct smtp_channel *c, CURLcode code)
{
    if (code == CURLE_OPERATION_TIMEDOUT)
        return "no answer in time";
    if (code == CURLE_USE_SSL_FAILED && c->dialogue.phase < SMTP_PHASE_TLS)
        return "the server offers no STARTTLS";
    if (code == CURLE_LOGIN_DENIED)
        return "the server offers no login that we know (PLAIN, LOGIN)";
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return "broken off, because the server stops";
    return *c->error ? c->error : curl_easy_strerror(code);
}

/* The longest piece of the secret that text begins with. */
static size_t smtp_piece(const char *text, const char *secret)
{
    size_t most = 0;
    for (; *secret; secret++) {
        size_t len = 0;
        while (secret[len] && secret[len] == text[len])
            len++;
        most = len > most ? len : most;
    }
    return most;
}

/* Pieces, too: a server may break what it repeats into lines, or cut it off. */
static void smtp_hide(char *text, const char *secret)
{
    size_t whole = secret ? strlen(secret) : 0, least = whole < SMTP_PIECE ? whole : SMTP_PIECE;
    if (whole < 4)
        return; /* would take half of the answer */
    for (size_t len; *text; text += len) {
        len = smtp_piece(text, secret);
        if (len >= least)
            memset(text, '*', len);
        else
            len = 1;
    }
}

static void smtp_explain(const struct smtp_channel *c, CURLcode code, const char *secret, struct strbuf *out)
{
    const struct smtp_dialogue *d = &c->dialogue;
    struct strbuf words = STRBUF_INIT;
    if (code == CURLE_OK)
        strbuf_append_str(&words, d->answer.data);
    else if (d->phase == SMTP_PHASE_CONNECT && d->code < 400)
        strbuf_printf(&words, "connecting to %s: %s", c->place, smtp_curl_words(c, code));
    else
        strbuf_printf(&words, "%s: %s", smtp_phase_name(d->phase),
                      d->code >= 400 ? d->answer.data : smtp_curl_words(c, code));
    smtp_hide(words.data, secret);
    for (size_t i = 0; i < SMTP_SECRETS; i++)
        smtp_hide(words.data, c->secrets[i]);
    strbuf_reset(out);
    encoding_one_line(words.data, words.len, SMTP_ANSWER_MAX, out);
    strbuf_release(&words);
}

/* --- sending --- */

static CURLcode smtp_perform(struct smtp_channel *c, int64_t ms)
{
    int64_t connect = ms / 2 < SMTP_CONNECT_MAX_MS ? ms / 2 : SMTP_CONNECT_MAX_MS;
    smtp_dialogue_reset(&c->dialogue);
    c->taken = 0;
    c->error[0] = '\0';
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)ms);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(connect > 0 ? connect : 1));
    curl_easy_setopt(c->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)c->message.len);
    curl_easy_setopt(c->curl, CURLOPT_FRESH_CONNECT, c->spoilt ? 1L : 0L);
    c->spoilt = false;
    CURLcode code = curl_easy_perform(c->curl);
    if (code != CURLE_OK)
        smtp_spoil(c);
    return code;
}

static CURLcode smtp_perform_to(struct smtp_channel *c, const char *recipient)
{
    uint64_t start = clock_mono_ms();
    struct curl_slist *to = curl_slist_append(NULL, recipient);
    curl_easy_setopt(c->curl, CURLOPT_MAIL_RCPT, to);
    CURLcode code = smtp_perform(c, c->timeout_ms);
    int64_t left = c->timeout_ms - (int64_t)(clock_mono_ms() - start);
    if (smtp_was_stale(c, code) && left > 0)
        code = smtp_perform(c, left);
    curl_easy_setopt(c->curl, CURLOPT_MAIL_RCPT, NULL);
    curl_slist_free_all(to);
    return code;
}

void smtp_channel_send(struct smtp_channel *channel, const struct message *message, struct smtp_result *result)
{
    strbuf_reset(&channel->message);
    strbuf_reset(&result->answer);
    if (!message_write(message, &channel->message, &result->answer)) {
        result->outcome = SMTP_REFUSED;
        return;
    }
    CURLcode code = smtp_perform_to(channel, message->to);
    result->outcome = smtp_judge(channel, code);
    smtp_explain(channel, code, message->secret, &result->answer);
}

bool smtp_send_now(const struct mail_settings *settings, const struct message *message, int64_t timeout_ms,
                   struct strbuf *error)
{
    struct smtp_result result = {.answer = STRBUF_INIT};
    if (!settings->configured)
        return strbuf_error(error, "%s", settings->fault ? settings->fault : "no SMTP server is given");
    struct smtp_channel *channel = smtp_channel_new(settings, timeout_ms, NULL);
    smtp_channel_send(channel, message, &result);
    smtp_channel_free(&channel);
    bool sent = result.outcome == SMTP_SENT || strbuf_error(error, "%s", result.answer.data);
    strbuf_release(&result.answer);
    return sent;
}
