/* Writes the pages of pages.h, in a worker. Called by api/pages.c, api/confirm.c and api/reset.c. */
#include "web/pages.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/strbuf.h"
#include "http/reply.h"
#include "http/request.h"
#include "mail/locale.h"

enum text {
#define TEXT(symbol, en, ru) TEXT_##symbol,
#include "web/texts.def"
#undef TEXT
    TEXT_COUNT
};

static const struct {
    const char *en, *ru;
} texts[TEXT_COUNT] = {
#define TEXT(symbol, en, ru) [TEXT_##symbol] = {en, ru},
#include "web/texts.def"
#undef TEXT
};

struct page {
    struct http_request *request;
    const char *root;
    const char *locale;
    struct strbuf html;
};

static void write_escaped(struct page *page, const char *s)
{
    for (; *s != '\0'; ++s) {
        if (*s == '&')
            strbuf_append_str(&page->html, "&amp;");
        else if (*s == '<')
            strbuf_append_str(&page->html, "&lt;");
        else if (*s == '>')
            strbuf_append_str(&page->html, "&gt;");
        else if (*s == '"')
            strbuf_append_str(&page->html, "&quot;");
        else
            strbuf_append_char(&page->html, *s);
    }
}

static void write_text(struct page *page, enum text text)
{
    write_escaped(page, strcmp(page->locale, "ru") == 0 ? texts[text].ru : texts[text].en);
}

static void write_html(struct page *page, const char *html)
{
    strbuf_append_str(&page->html, html);
}

/* Markup, text, markup. */
static void write_around(struct page *page, const char *before, enum text text, const char *after)
{
    write_html(page, before);
    write_text(page, text);
    write_html(page, after);
}

static void page_begin(struct page *page, struct http_request *request, const char *root, enum text title)
{
    page->request = request;
    page->root = root;
    page->locale = locale_pick(http_request_header(request, "accept-language"));
    strbuf_init(&page->html);
    strbuf_printf(&page->html,
                  "<!DOCTYPE html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                  "<meta name=\"color-scheme\" content=\"light dark\">\n",
                  page->locale);
    write_around(page, "<title>", title, " – ");
    write_text(page, TEXT_SERVER);
    strbuf_printf(&page->html,
                  "</title>\n<link rel=\"stylesheet\" href=\"%sassets/page.css\">\n</head>\n<body>\n<main>\n",
                  page->root);
    write_around(page, "<p class=\"server\">", TEXT_SERVER, "</p>\n");
    write_around(page, "<h1>", title, "</h1>\n");
}

static void page_reply(struct page *page, int status)
{
    write_html(page, "</main>\n</body>\n</html>\n");
    reply_html(page->request, status, &page->html);
}

static void form_begin(struct page *page, const char *action, const char *token)
{
    strbuf_printf(&page->html,
                  "<form method=\"post\" action=\"%s%s\">\n<input type=\"hidden\" name=\"token\" value=\"%s\">\n",
                  page->root, action, token);
}

void pages_confirm(struct http_request *request, const char *root, const char *token)
{
    struct page page;
    page_begin(&page, request, root, TEXT_CONFIRM_TITLE);
    write_around(&page, "<p>", TEXT_CONFIRM_ASK, "</p>\n");
    form_begin(&page, "api/v1/auth/confirm", token);
    write_around(&page, "<button>", TEXT_CONFIRM_BUTTON, "</button>\n</form>\n");
    page_reply(&page, 200);
}

void pages_reset(struct http_request *request, const char *root, const char *token, const char *fault)
{
    struct page page;
    page_begin(&page, request, root, TEXT_RESET_TITLE);
    if (fault != NULL)
        write_around(&page, "<p class=\"fault\" role=\"alert\">",
                     strcmp(fault, "PASSWORD_TOO_LONG") == 0 ? TEXT_RESET_LONG : TEXT_RESET_SHORT, "</p>\n");
    form_begin(&page, "api/v1/auth/reset", token);
    write_around(&page, "<label for=\"new_password\">", TEXT_RESET_LABEL, "</label>\n");
    write_html(&page, "<input type=\"password\" id=\"new_password\" name=\"new_password\" required minlength=\"8\" "
                      "maxlength=\"256\" autocomplete=\"new-password\" aria-describedby=\"hint\">\n");
    write_around(&page, "<p class=\"hint\" id=\"hint\">", TEXT_RESET_HINT, "</p>\n");
    write_around(&page, "<button>", TEXT_RESET_BUTTON, "</button>\n</form>\n");
    page_reply(&page, fault == NULL ? 200 : 400);
}

void pages_notice(struct http_request *request, const char *root, enum pages_notice notice)
{
    static const struct {
        enum text title, text;
        int status;
    } notices[] = {
        [PAGES_CONFIRMED] = {TEXT_CONFIRMED_TITLE, TEXT_CONFIRMED, 200},
        [PAGES_CONFIRM_REFUSED] = {TEXT_LINK_TITLE, TEXT_CONFIRM_LINK, 400},
        [PAGES_RESET_DONE] = {TEXT_RESET_DONE_TITLE, TEXT_RESET_DONE, 200},
        [PAGES_RESET_REFUSED] = {TEXT_LINK_TITLE, TEXT_RESET_LINK, 400},
    };
    struct page page;
    page_begin(&page, request, root, notices[notice].title);
    write_around(&page, "<p>", notices[notice].text, "</p>\n");
    page_reply(&page, notices[notice].status);
}

void pages_wait(struct http_request *request, const char *root, int64_t seconds)
{
    struct page page;
    char value[24];
    page_begin(&page, request, root, TEXT_WAIT_TITLE);
    write_around(&page, "<p>", TEXT_WAIT, " ");
    strbuf_printf(&page.html, "%lld</p>\n", (long long)((seconds + 59) / 60));
    snprintf(value, sizeof(value), "%lld", (long long)seconds);
    reply_header(request, "retry-after", value);
    page_reply(&page, 429);
}
