/* catalogue: finds a text. In the mailer, and in workers for the SMTP test. */
#include "mail/catalogue.h"

#include <string.h>

const struct catalogue_mail *catalogue_find(const char *locale, const char *name)
{
    for (size_t i = 0; i < catalogue_mail_count; i++)
        if (strcmp(catalogue_mails[i].locale, locale) == 0 && strcmp(catalogue_mails[i].name, name) == 0)
            return &catalogue_mails[i];
    return NULL;
}
