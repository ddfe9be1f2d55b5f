/* render: see the header. Runs in the mailer at each try, and in workers for the SMTP test. */
#include "mail/render.h"

#include <stdlib.h>
#include <string.h>

#include "core/hex.h"
#include "core/mem.h"
#include "mail/catalogue.h"
#include "mail/encoding.h"
#include "mail/locale.h"
#include "mail/message.h"
#include "mail/settings.h"

#define RENDER_COLUMNS 72
#define RENDER_VALUE_MAX 300 /* bytes of one value */
#define RENDER_TOKEN 64      /* digits */

/* Where the links of templates go; a template that is not here has none. */
static const struct render_link {
    const char *template, *path;
} render_links[] = {
    {"confirm", "/api/v1/auth/confirm?token="},
    {"address_confirm", "/api/v1/auth/confirm?token="},
    {"reset", "/reset?token="},
};

enum render_value {
    RENDER_SERVER,
    RENDER_URL,
    RENDER_USER,
    RENDER_DETAIL,
    RENDER_LINK,
    RENDER_TIME,
    RENDER_YEAR,
    RENDER_MONTH,
    RENDER_DAY,
    RENDER_HOUR,
    RENDER_MINUTE,
    RENDER_VALUES
};

static const char *const render_names[RENDER_VALUES] = {
    [RENDER_SERVER] = "server", [RENDER_URL] = "url",   [RENDER_USER] = "user",    [RENDER_DETAIL] = "detail",
    [RENDER_LINK] = "link",     [RENDER_TIME] = "time", [RENDER_YEAR] = "year",    [RENDER_MONTH] = "month",
    [RENDER_DAY] = "day",       [RENDER_HOUR] = "hour", [RENDER_MINUTE] = "minute"};

struct render {
    struct strbuf values[RENDER_VALUES]; /* empty: no value */
    struct strbuf *text, *html;
};

/* How a block is written into one of the parts. */
typedef void render_append(struct strbuf *out, const char *text, size_t len);

/* --- values --- */

static void render_set(struct render *r, enum render_value value, const char *text)
{
    if (text)
        encoding_one_line(text, strlen(text), RENDER_VALUE_MAX, &r->values[value]);
}

/*
 * Whoever registers with a stranger's address chooses a name that the stranger reads. What mail programs could show as
 * a link is not passed on in such a mail.
 */
static bool render_may_be_link(const char *name)
{
    bool blank = strchr(name, ' ') != NULL;
    for (const char *dot = strchr(name, '.'); blank && dot; dot = strchr(dot + 1, '.'))
        if (dot[1] && dot[1] != ' ' && dot[1] != '.')
            return true;
    return strpbrk(name, "/:\\") || strcasestr(name, "www.");
}

static void render_set_time(struct render *r, time_t t)
{
    struct tm tm;
    gmtime_r(&t, &tm);
    strbuf_printf(&r->values[RENDER_YEAR], "%04d", tm.tm_year + 1900);
    strbuf_printf(&r->values[RENDER_MONTH], "%02d", tm.tm_mon + 1);
    strbuf_printf(&r->values[RENDER_DAY], "%02d", tm.tm_mday);
    strbuf_printf(&r->values[RENDER_HOUR], "%02d", tm.tm_hour);
    strbuf_printf(&r->values[RENDER_MINUTE], "%02d", tm.tm_min);
}

static bool render_set_link(struct render *r, const struct render_input *input, const char *url, struct strbuf *error)
{
    for (size_t i = 0; i < ARRAY_SIZE(render_links); i++) {
        if (strcmp(render_links[i].template, input->template) != 0)
            continue;
        if (!input->secret || strlen(input->secret) != RENDER_TOKEN || !hex_decode(input->secret, RENDER_TOKEN, NULL))
            return strbuf_error(error, "the token of the link is not there any more");
        strbuf_printf(&r->values[RENDER_LINK], "%s%s%s", url, render_links[i].path, input->secret);
    }
    return true;
}

/* --- placeholders --- */

static void render_plain(struct strbuf *out, const char *text, size_t len)
{
    strbuf_append(out, text, len);
}

static void render_escaped(struct strbuf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const char *entity = text[i] == '&'   ? "&amp;"
                             : text[i] == '<' ? "&lt;"
                             : text[i] == '>' ? "&gt;"
                             : text[i] == '"' ? "&quot;"
                                              : NULL;
        if (entity)
            strbuf_append_str(out, entity);
        else
            strbuf_append_char(out, text[i]);
    }
}

/* The value of the placeholder that begins behind the brace; embed.pl knows no other names. */
static const struct strbuf *render_value_of(const struct render *r, const char *name, size_t len)
{
    for (size_t i = 0; i < RENDER_VALUES; i++)
        if (strlen(render_names[i]) == len && strncmp(render_names[i], name, len) == 0)
            return &r->values[i];
    abort();
}

/* Appends the text with its values; false, and nothing appended, when one of them is missing. */
static bool render_fill(const struct render *r, const char *text, render_append *append, struct strbuf *out)
{
    struct strbuf filled = STRBUF_INIT;
    bool complete = true;
    while (*text && complete) {
        size_t len = strcspn(text, "{");
        append(&filled, text, len);
        text += len;
        if (*text) {
            len = strcspn(++text, "}");
            const struct strbuf *value = render_value_of(r, text, len);
            complete = value->len > 0;
            append(&filled, value->data, value->len);
            text += len + 1;
        }
    }
    if (complete)
        strbuf_append(out, filled.data, filled.len);
    strbuf_release(&filled);
    return complete;
}

/* --- blocks --- */

static size_t render_columns(const char *text, size_t len)
{
    size_t columns = 0;
    for (size_t i = 0; i < len; i++)
        columns += ((unsigned char)text[i] & 0xc0) != 0x80;
    return columns;
}

/* Breaks a paragraph into lines, at its spaces. */
static void render_wrap(const char *text, struct strbuf *out)
{
    size_t column = 0;
    while (*text) {
        size_t len = strcspn(text, " "), columns = render_columns(text, len);
        if (column && column + 1 + columns > RENDER_COLUMNS) {
            strbuf_append_char(out, '\n');
            column = 0;
        } else if (column) {
            strbuf_append_char(out, ' ');
            column++;
        }
        strbuf_append(out, text, len);
        column += columns;
        text += len + strspn(text + len, " ");
    }
    strbuf_append_char(out, '\n');
}

static void render_text_block(struct render *r, const struct catalogue_block *block, const char *filled)
{
    bool fact = block->kind == CATALOGUE_FACT;
    if (r->text->len && !(fact && block[-1].kind == CATALOGUE_FACT))
        strbuf_append_char(r->text, '\n');
    if (block->kind == CATALOGUE_PARAGRAPH)
        render_wrap(filled, r->text);
    else
        strbuf_printf(r->text, "%s%s\n", fact ? "  " : "", filled);
}

static void render_html_block(struct render *r, const struct catalogue_block *block, const char *filled)
{
    if (block->kind == CATALOGUE_LINK)
        strbuf_printf(r->html, "<p><a href=\"%s\">%s</a></p>\n", filled, filled);
    else if (block->kind == CATALOGUE_FACT)
        strbuf_printf(r->html, "<p style=\"margin:0 0 0 2em\">%s</p>\n", filled);
    else
        strbuf_printf(r->html, "<p>%s</p>\n", filled);
}

static void render_blocks(struct render *r, const struct catalogue_block *block)
{
    struct strbuf filled = STRBUF_INIT;
    for (; block->kind != CATALOGUE_END; block++) {
        if (!render_fill(r, block->text, render_plain, &filled))
            continue;
        render_text_block(r, block, filled.data);
        strbuf_reset(&filled);
        if (render_fill(r, block->text, render_escaped, &filled))
            render_html_block(r, block, filled.data);
        strbuf_reset(&filled);
    }
    strbuf_release(&filled);
}

/* --- the message --- */

/* A part that every catalogue has (embed.pl). */
static const struct catalogue_mail *render_part(const char *locale, const char *name)
{
    const struct catalogue_mail *part = catalogue_find(locale, name);
    if (!part)
        abort();
    return part;
}

static void render_body(struct render *r, const struct catalogue_mail *mail, struct message *message)
{
    r->text = &message->text;
    r->html = &message->html;
    strbuf_printf(r->html, "<!DOCTYPE html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n<title>",
                  mail->locale);
    render_escaped(r->html, message->subject, strlen(message->subject));
    strbuf_append_str(r->html, "</title>\n</head>\n<body>\n");
    render_blocks(r, render_part(mail->locale, "greeting")->blocks);
    render_blocks(r, mail->blocks);
    render_blocks(r, render_part(mail->locale, "closing")->blocks);
    strbuf_append_str(r->html, "</body>\n</html>\n");
}

static bool render_values(struct render *r, const struct render_input *input, const struct mail_settings *settings,
                          const char *url, struct strbuf *error)
{
    const char *locale = locale_known(input->locale);
    bool stranger = strcmp(input->template, "confirm") == 0 || strcmp(input->template, "address_confirm") == 0;
    render_set(r, RENDER_SERVER, settings->server_name);
    render_set(r, RENDER_URL, url);
    if (input->user_name && !(stranger && render_may_be_link(input->user_name)))
        render_set(r, RENDER_USER, input->user_name);
    render_set(r, RENDER_DETAIL, input->detail);
    render_set_time(r, input->created_at);
    /* @time is digits with signs between them: it never misses a value */
    (void)render_fill(r, render_part(locale, "time")->blocks->text, render_plain, &r->values[RENDER_TIME]);
    return render_set_link(r, input, url, error);
}

static void render_envelope(struct render *r, const struct render_input *input, const struct mail_settings *settings,
                            const struct catalogue_mail *mail, struct message *message)
{
    struct strbuf subject = STRBUF_INIT;
    (void)render_fill(r, mail->subject, render_plain, &subject); /* the server always has a name */
    message->subject = strbuf_detach(&subject);
    message->id = mem_strdup(input->message_id ? input->message_id : "");
    message->from = mem_strdup(settings->from);
    message->from_name = mem_strdup(settings->server_name);
    message->to = mem_strdup(input->recipient ? input->recipient : "");
    message->language = mem_strdup(mail->locale);
    message->date = input->created_at;
    message->secret = input->secret ? mem_strdup(input->secret) : NULL;
}

bool render_message(const struct render_input *input, const struct mail_settings *settings, const char *url,
                    struct message *message_r, struct strbuf *error)
{
    struct render r = {0};
    const struct catalogue_mail *mail = catalogue_find(locale_known(input->locale), input->template);
    if (!mail)
        return strbuf_error(error, "this version knows no e-mail '%s'", input->template);
    for (size_t i = 0; i < RENDER_VALUES; i++)
        strbuf_init(&r.values[i]);
    bool ok = render_values(&r, input, settings, url, error);
    if (ok) {
        render_envelope(&r, input, settings, mail, message_r);
        render_body(&r, mail, message_r);
    }
    for (size_t i = 0; i < RENDER_VALUES; i++)
        strbuf_release(&r.values[i]);
    return ok;
}
