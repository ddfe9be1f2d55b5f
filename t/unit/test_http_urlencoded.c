/* http/urlencoded.h */
#include "http/urlencoded.h"
#include "tap.h"

static const struct {
    const char *encoded, *decoded; /* NULL: refused */
} cases[] = {
    {"", ""},
    {"abc", "abc"},
    {"a+b", "a b"},
    {"a%20b", "a b"},
    {"%41%4a%4A", "AJJ"},
    {"%D0%B6", "\xd0\xb6"},
    {"%2B%26%3D", "+&="},
    {"%", NULL},
    {"%4", NULL},
    {"a%4", NULL},
    {"%4g", NULL},
    {"%g4", NULL},
    {"%00", NULL},
    {"%ff", NULL},
    {"\xff", NULL},
    {"%ed%a0%80", NULL},
    {"%+1", NULL},
    {"%%41", NULL},
};

/* All pairs of a string as "name=value|". */
static const struct {
    const char *string, *pairs;
} splits[] = {
    {"", ""},           {"a=1", "a=1|"},     {"a=1&b=2", "a=1|b=2|"}, {"a", "a=|"}, {"a=", "a=|"}, {"=1", "=1|"},
    {"&&a=1&", "a=1|"}, {"a=1=2", "a=1=2|"}, {"a=1;b=2", "a=1;b=2|"},
};

static void test_decode(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char out[64];
        size_t len;
        bool decoded = urlencoded_decode(cases[i].encoded, strlen(cases[i].encoded), out, &len);
        is_str(decoded ? out : NULL, cases[i].decoded, "'%s'", cases[i].encoded);
        if (decoded)
            is_int((intmax_t)len, (intmax_t)strlen(out), "'%s': length", cases[i].encoded);
    }
}

static void test_split(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(splits); i++) {
        const char *at = splits[i].string, *name, *value;
        size_t left = strlen(at), name_len, value_len;
        char pairs[128] = "";
        while (urlencoded_next(&at, &left, &name, &name_len, &value, &value_len))
            sprintf(pairs + strlen(pairs), "%.*s=%.*s|", (int)name_len, name, (int)value_len, value);
        is_str(pairs, splits[i].pairs, "pairs of '%s'", splits[i].string);
    }
}

int main(void)
{
    test_decode();
    test_split();
    return tap_done();
}
