/* mail/locale.h: what Accept-Language asks for, and that each language has a catalogue */
#include "mail/catalogue.h"
#include "mail/locale.h"
#include "tap.h"

static const struct {
    const char *header, *locale;
} cases[] = {
    {NULL, "en"},
    {"", "en"},
    {"ru", "ru"},
    {"RU", "ru"},
    {"ru-RU", "ru"},
    {"ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", "ru"},
    {"en-US,en;q=0.9,ru;q=0.8", "en"},
    {"de-DE,de;q=0.9,ru;q=0.5,en;q=0.4", "ru"},
    {"de, fr", "en"},
    {"*", "en"},
    {"ru;q=0.5, *", "en"},
    {"*;q=0.1, ru", "ru"},
    {"*;q=0.5, en;q=0, ru;q=0.1", "ru"},
    {"en, ru", "en"},
    {"ru, en", "en"},
    {"ru;q=0", "en"},
    {"ru;q=0.000", "en"},
    {"ru;q=0.001", "ru"},
    {"ru;q=1.000", "ru"},
    {"en;q=0.5,ru;q=0.51", "ru"},
    {" \t ru \t; \tq=1 , en;q=0.1", "ru"},
    {",,,ru,,,", "ru"},
    /* what is none of RFC 9110 is passed over */
    {"ru;q=2", "en"},
    {"ru;q=1.001", "en"},
    {"ru;q=-1", "en"},
    {"ru;q=0.1234", "en"},
    {"ru;q=", "en"},
    {"ru;q", "en"},
    {"ru;level=1", "en"},
    {"rus", "en"},
    {"r", "en"},
    {"russian", "en"},
    {";q=1", "en"},
    {"ru q=1", "en"},
    {"\xff\xfe,ru", "ru"},
};

int main(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        is_str(locale_pick(cases[i].header), cases[i].locale, "'%s'", cases[i].header ? cases[i].header : "none");
    is_str(locale_known("ru"), "ru", "a locale that there is");
    is_str(locale_known("de"), "en", "one that there is not");
    is_str(locale_known(NULL), "en", "none");
    ok(catalogue_find("en", "confirm") && catalogue_find("ru", "confirm"), "both have a catalogue");
    for (size_t i = 0; i < catalogue_mail_count; i++)
        is_str(locale_known(catalogue_mails[i].locale), catalogue_mails[i].locale, "the catalogue of '%s' is used",
               catalogue_mails[i].locale);
    return tap_done();
}
