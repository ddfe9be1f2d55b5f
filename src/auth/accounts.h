/*
 * What a user's name, e-mail address and password must be like, the same for every way in which one is made. Each call
 * returns NULL when the text is good, otherwise the sentence that says what is wrong with it.
 */
#ifndef AUTH_ACCOUNTS_H
#define AUTH_ACCOUNTS_H

#include <stddef.h>

#include "core/compiler.h"

#define ACCOUNTS_NAME_MAX 64   /* bytes */
#define ACCOUNTS_EMAIL_MAX 254 /* bytes, RFC 5321 4.5.3.1.3 */

/* 1 to 64 bytes of UTF-8; no '@' (it tells names from addresses), no control characters, no blanks at the ends. */
const char *accounts_name_fault(const char *name, size_t len) WARN_UNUSED;
/* Something that can be an SMTP address without quoting: local part, '@', host name. */
const char *accounts_email_fault(const char *email, size_t len) WARN_UNUSED;
/* 8 to 256 bytes: PASSWORD_TOO_SHORT, PASSWORD_TOO_LONG (words of the wire contract). */
const char *accounts_password_fault(const char *password, size_t len) WARN_UNUSED;

#endif
