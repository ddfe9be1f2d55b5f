/* message: see the header. Written at each try; the same row gives the same Message-ID and date. */
#include "mail/message.h"

#include <stdlib.h>
#include <string.h>

#include "core/digest.h"
#include "core/hex.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "mail/encoding.h"

#define MESSAGE_ADDRESS_MAX 320
#define MESSAGE_BOUNDARY_SIZE 27

void message_init(struct message *message)
{
    *message = (struct message){0};
    strbuf_init(&message->text);
    strbuf_init(&message->html);
}

void message_release(struct message *message)
{
    strbuf_release(&message->text);
    strbuf_release(&message->html);
    free(message->id);
    free(message->from);
    free(message->to);
    free(message->from_name);
    free(message->subject);
    free(message->language);
    free(message->secret);
    message_init(message);
}

/* What goes between < and >, in headers and in SMTP commands: refused rather than repaired. */
bool message_takes_address(const char *text)
{
    size_t len = text ? strlen(text) : 0;
    const char *at = text ? strrchr(text, '@') : NULL;
    if (!at || at == text || !at[1] || len > MESSAGE_ADDRESS_MAX || !utf8_valid(text, len))
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= 0x20 || c == 0x7f || strchr("<>()[]:;\\,\"", c) || (c == 0xc2 && (unsigned char)text[i + 1] <= 0xa0))
            return false;
    }
    return true;
}

static bool message_check(const struct message *message, struct strbuf *error)
{
    if (!message_takes_address(message->from))
        return strbuf_error(error, "the sender's address cannot stand in an e-mail");
    if (!message_takes_address(message->to))
        return strbuf_error(error, "the recipient's address cannot stand in an e-mail");
    if (!message_takes_address(message->id))
        return strbuf_error(error, "the Message-ID cannot stand in an e-mail");
    return true;
}

/* RFC 5322, 3.3; never in the words of a locale. */
static void message_date(time_t date, struct strbuf *out)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm;
    time_t t = date ? date : time(NULL);
    gmtime_r(&t, &tm);
    strbuf_printf(out, "Date: %s, %02d %s %d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
                  tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* No List-*, nothing that tracks. Auto-Submitted (RFC 3834) keeps holiday notices from answering. */
static void message_headers(const struct message *message, struct strbuf *out)
{
    message_date(message->date, out);
    strbuf_append_str(out, "From: ");
    if (message->from_name && *message->from_name) {
        encoding_phrase(message->from_name, strlen("From: "), out);
        strbuf_append_str(out, "\r\n ");
    }
    strbuf_printf(out, "<%s>\r\nTo: <%s>\r\nMessage-ID: <%s>\r\nSubject: ", message->from, message->to, message->id);
    encoding_header(message->subject ? message->subject : "", strlen("Subject: "), out);
    strbuf_append_str(out, "\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n");
    if (message->language) {
        strbuf_append_str(out, "Content-Language: ");
        encoding_header(message->language, strlen("Content-Language: "), out);
        strbuf_append_str(out, "\r\n");
    }
}

/* The content headers and content of a part, or of the whole message. */
static void message_part(const char *type, const struct strbuf *content, struct strbuf *out)
{
    bool plain = encoding_is_7bit(content->data, content->len);
    strbuf_printf(out, "Content-Type: %s; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n", type,
                  plain ? "us-ascii" : "utf-8", plain ? "7bit" : "quoted-printable");
    if (plain)
        encoding_crlf(content->data, content->len, out);
    else
        encoding_quoted_printable(content->data, content->len, out);
}

/* Cannot stand in a quoted-printable part, nor be guessed for another one. */
static void message_boundary(const struct message *message, char boundary_r[MESSAGE_BOUNDARY_SIZE])
{
    unsigned char digest[DIGEST_SIZE];
    digest_sha256(message->id, strlen(message->id), digest);
    memcpy(boundary_r, "=_", 2);
    hex_encode(digest, (MESSAGE_BOUNDARY_SIZE - 3) / 2, boundary_r + 2);
}

static void message_alternatives(const struct message *message, struct strbuf *out)
{
    char boundary[MESSAGE_BOUNDARY_SIZE];
    message_boundary(message, boundary);
    strbuf_printf(out, "Content-Type: multipart/alternative; boundary=\"%s\"\r\n\r\n--%s\r\n", boundary, boundary);
    message_part("text/plain", &message->text, out);
    strbuf_printf(out, "\r\n--%s\r\n", boundary);
    message_part("text/html", &message->html, out);
    strbuf_printf(out, "\r\n--%s--\r\n", boundary);
}

bool message_write(const struct message *message, struct strbuf *out, struct strbuf *error)
{
    if (!message_check(message, error))
        return false;
    strbuf_reserve(out, 2048 + 2 * (message->text.len + message->html.len));
    message_headers(message, out);
    if (message->html.len)
        message_alternatives(message, out);
    else
        message_part("text/plain", &message->text, out);
    return true;
}
