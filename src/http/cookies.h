/*
 * Cookies (RFC 6265): finding one in a Cookie header and building a Set-Cookie header. Pure functions of bytes: fuzzed.
 */
#ifndef HTTP_COOKIES_H
#define HTTP_COOKIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/compiler.h"
#include "core/strbuf.h"

#define COOKIES_USER_SESSION "user_session"   /* Path / */
#define COOKIES_ADMIN_SESSION "admin_session" /* Path /admin */

/*
 * Value of the first cookie of that name in a Cookie header value, borrowed from it and not zero-terminated; a value in
 * quotation marks comes without them. False when there is none.
 */
bool cookies_find(const char *header, size_t len, const char *name, const char **value_r,
                  size_t *value_len_r) WARN_UNUSED;
/*
 * Appends the value of a Set-Cookie header: HttpOnly, SameSite=Lax and Max-Age in seconds (0 or less: the browser
 * forgets the cookie). name and value are ours (tokens of letters and digits), never text of a client.
 */
void cookies_set(struct strbuf *out, const char *name, const char *value, const char *path, int64_t max_age,
                 bool secure);

#endif
