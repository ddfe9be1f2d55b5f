/* The texts of e-mails in all languages, made at build time from src/mail/catalogues (README there says their form). */
#ifndef MAIL_CATALOGUE_H
#define MAIL_CATALOGUE_H

#include <stddef.h>

enum catalogue_kind {
    CATALOGUE_PARAGRAPH,
    CATALOGUE_FACT, /* one line: "Account: anna" */
    CATALOGUE_LINK, /* what to open */
    CATALOGUE_END,  /* after the last block */
};

struct catalogue_block {
    enum catalogue_kind kind;
    const char *text; /* with {placeholders} */
};

struct catalogue_mail {
    const char *locale, *name, *subject;
    const struct catalogue_block *blocks;
};

extern const struct catalogue_mail catalogue_mails[];
extern const size_t catalogue_mail_count;

/* NULL when there is no such mail in this language. */
const struct catalogue_mail *catalogue_find(const char *locale, const char *name);

#endif
