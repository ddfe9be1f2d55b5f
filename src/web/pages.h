/*
 * The pages behind the links in e-mails: confirming an address, setting a new password. Plain HTML without script, in
 * the language of Accept-Language; one style sheet, served at /assets/page.css. Each call answers the request.
 */
#ifndef WEB_PAGES_H
#define WEB_PAGES_H

#include <stddef.h>
#include <stdint.h>

struct http_request;

/* Links are relative, since a proxy may give the server a path of its own: from the page's path to the root. */
#define PAGES_AT_ROOT ""          /* /confirm */
#define PAGES_AT_AUTH "../../../" /* /api/v1/auth/confirm */

/* With the button that confirms. token: 64 hexadecimal digits, checked by the caller. */
void pages_confirm(struct http_request *request, const char *root, const char *token);
/*
 * With the form for the new password. fault: NULL, or what is wrong with the last one (PASSWORD_TOO_SHORT and the
 * like); then the status is 400.
 */
void pages_reset(struct http_request *request, const char *root, const char *token, const char *fault);

enum pages_notice { PAGES_CONFIRMED, PAGES_CONFIRM_REFUSED, PAGES_RESET_DONE, PAGES_RESET_REFUSED };
/* What came of it: 200, or 400 for a refusal. */
void pages_notice(struct http_request *request, const char *root, enum pages_notice notice);
/* 429 with Retry-After. */
void pages_wait(struct http_request *request, const char *root, int64_t seconds);

extern const char page_css[];
extern const size_t page_css_size; /* bytes, without the terminating zero */

#endif
