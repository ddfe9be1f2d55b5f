/* locale: runs in workers (register, forgot, pages) and in the mailer. */
#include "mail/locale.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "core/compiler.h"

/* The catalogues in src/mail/catalogues; the first is taken where a header likes two as well. */
static const char *const locales[] = {"en", "ru"};

/* One element of the header: "ru-RU;q=0.8". */
struct locale_range {
    const char *tag;
    size_t len;
    int quality; /* thousandths */
};

const char *locale_known(const char *locale)
{
    for (size_t i = 0; locale && i < ARRAY_SIZE(locales); i++)
        if (strcmp(locales[i], locale) == 0)
            return locales[i];
    return LOCALE_DEFAULT;
}

/* "0.8" as 800; -1 for what is no weight (RFC 9110, 12.4.2). */
static int locale_weight(const char *text, size_t len)
{
    int weight = 0, factor = 1000;
    if (!len || (text[0] != '0' && text[0] != '1') || len > 5 || (len > 1 && text[1] != '.'))
        return -1;
    for (size_t i = 0; i < len; i++) {
        if (i == 1)
            continue;
        if (text[i] < '0' || text[i] > '9')
            return -1;
        weight += (text[i] - '0') * factor;
        factor /= 10;
    }
    return weight > 1000 ? -1 : weight;
}

static size_t locale_blanks(const char *text)
{
    return strspn(text, " \t");
}

/* The quality of an element whose parameters begin at text and end at its comma; -1 when they are none. */
static int locale_quality(const char *text, const char *end)
{
    text += locale_blanks(text);
    if (text >= end)
        return 1000;
    if (*text++ != ';')
        return -1;
    text += locale_blanks(text);
    if (strncasecmp(text, "q=", 2) != 0)
        return -1;
    text += 2;
    while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return locale_weight(text, (size_t)(end - text));
}

/* How well the range fits: 2 the language, 1 anything ("*"), 0 not at all. */
static int locale_fit(const struct locale_range *range, const char *locale)
{
    size_t len = strlen(locale);
    if (range->len == 1 && range->tag[0] == '*')
        return 1;
    bool language = range->len >= len && strncasecmp(range->tag, locale, len) == 0;
    return language && (range->len == len || range->tag[len] == '-') ? 2 : 0;
}

/* The next element; false at the end. An element that is none has the quality -1. */
static bool locale_next(const char **rest, struct locale_range *range)
{
    const char *text = *rest + strspn(*rest, ", \t");
    if (!*text)
        return false;
    const char *end = text + strcspn(text, ",");
    range->tag = text;
    range->len = strcspn(text, ",; \t");
    range->quality = locale_quality(text + range->len, end);
    *rest = end;
    return true;
}

/* The quality that the header gives to the language; a named language beats "*". */
static int locale_wanted(const char *header, const char *locale)
{
    struct locale_range range;
    int best_fit = 0, quality = 0;
    while (locale_next(&header, &range)) {
        int fit = range.quality < 0 ? 0 : locale_fit(&range, locale);
        if (fit > best_fit || (fit && fit == best_fit && range.quality > quality)) {
            best_fit = fit;
            quality = range.quality;
        }
    }
    return quality;
}

const char *locale_pick(const char *accept_language)
{
    const char *best = LOCALE_DEFAULT;
    int best_quality = 0;
    for (size_t i = 0; accept_language && i < ARRAY_SIZE(locales); i++) {
        int quality = locale_wanted(accept_language, locales[i]);
        if (quality > best_quality) {
            best_quality = quality;
            best = locales[i];
        }
    }
    return best;
}
