/* The languages of e-mails and pages: which one a person reads. */
#ifndef MAIL_LOCALE_H
#define MAIL_LOCALE_H

#include <stdbool.h>

#define LOCALE_DEFAULT "en"

/*
 * The language that an Accept-Language header asks for, of those that there are: "en" or "ru" (RFC 9110, 12.5.4:
 * quality values; "ru-RU" counts for "ru"; what cannot be parsed is passed over). LOCALE_DEFAULT when it is NULL or
 * asks for none of them. Static text.
 */
const char *locale_pick(const char *accept_language);
/* The same text as a static one when there is such a language, else LOCALE_DEFAULT. NULL allowed. */
const char *locale_known(const char *locale);

#endif
