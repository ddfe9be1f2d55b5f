/* core/utf8.h */
#include "core/utf8.h"
#include "tap.h"

#define BYTES(s) (s), sizeof(s) - 1

static const struct {
    const char *name, *bytes;
    size_t len;
    bool valid, storable;
} cases[] = {
    {"empty", BYTES(""), true, true},
    {"ASCII", BYTES("plain text, longer than a word"), true, true},
    {"zero byte", BYTES("a\0b"), true, false},
    {"DEL", BYTES("\x7f"), true, true},
    {"two bytes, least", BYTES("\xc2\x80"), true, true},
    {"two bytes, most", BYTES("\xdf\xbf"), true, true},
    {"three bytes, least", BYTES("\xe0\xa0\x80"), true, true},
    {"three bytes, most", BYTES("\xef\xbf\xbf"), true, true},
    {"before the surrogates", BYTES("\xed\x9f\xbf"), true, true},
    {"after the surrogates", BYTES("\xee\x80\x80"), true, true},
    {"four bytes, least", BYTES("\xf0\x90\x80\x80"), true, true},
    {"four bytes, most", BYTES("\xf4\x8f\xbf\xbf"), true, true},
    {"mixed", BYTES("gr\xc3\xbc\xc3\x9f dich, \xe4\xb8\x96\xe7\x95\x8c \xf0\x9f\x8c\x8d!"), true, true},
    {"a continuation alone", BYTES("\x80"), false, false},
    {"a continuation in text", BYTES("12345678\xbfxyz"), false, false},
    {"overlong slash", BYTES("\xc0\xaf"), false, false},
    {"overlong C1", BYTES("\xc1\xbf"), false, false},
    {"overlong zero", BYTES("\xc0\x80"), false, false},
    {"overlong in three", BYTES("\xe0\x9f\xbf"), false, false},
    {"overlong in four", BYTES("\xf0\x8f\xbf\xbf"), false, false},
    {"first surrogate", BYTES("\xed\xa0\x80"), false, false},
    {"last surrogate", BYTES("\xed\xbf\xbf"), false, false},
    {"above U+10FFFF", BYTES("\xf4\x90\x80\x80"), false, false},
    {"F5", BYTES("\xf5\x80\x80\x80"), false, false},
    {"FF", BYTES("\xff"), false, false},
    {"two bytes, cut", BYTES("\xc3"), false, false},
    {"three bytes, cut after one", BYTES("\xe4"), false, false},
    {"three bytes, cut after two", BYTES("abcdefg\xe4\xb8"), false, false},
    {"four bytes, cut after three", BYTES("\xf0\x9f\x8c"), false, false},
    {"a letter where a continuation belongs", BYTES("\xe4\xb8z"), false, false},
    {"another start where a continuation belongs", BYTES("\xc3\xc3\xa4"), false, false},
    {"a broken byte behind a long run", BYTES("0123456701234567\xff"), false, false},
    {"CESU-8 pair", BYTES("\xed\xa0\xbd\xed\xb8\x80"), false, false},
};

/* Every code point that UTF-8 can hold, encoded by the book, and every other sequence of its shape. */
static void test_all_code_points(void)
{
    unsigned wrong = 0;
    for (unsigned c = 0; c <= 0x1fffff; c++) {
        char s[4] = {(char)(0xf0 | c >> 18), (char)(0x80 | (c >> 12 & 63)), (char)(0x80 | (c >> 6 & 63)),
                     (char)(0x80 | (c & 63))};
        size_t four = utf8_sequence(s, 4);
        wrong += four != (c >= 0x10000 && c <= 0x10ffff ? 4u : 0u);
        if (c > 0xffff)
            continue;
        s[1] = (char)(0xe0 | c >> 12);
        wrong += utf8_sequence(s + 1, 3) != (c >= 0x800 && (c < 0xd800 || c > 0xdfff) ? 3u : 0u);
        if (c > 0x7ff)
            continue;
        s[2] = (char)(0xc0 | c >> 6);
        wrong += utf8_sequence(s + 2, 2) != (c >= 0x80 ? 2u : 0u);
    }
    is_int(wrong, 0, "every code point in every length is judged right");
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        is_int(utf8_valid(cases[i].bytes, cases[i].len), cases[i].valid, "valid: %s", cases[i].name);
        is_int(utf8_storable(cases[i].bytes, cases[i].len), cases[i].storable, "storable: %s", cases[i].name);
    }
    ok(utf8_valid(NULL, 0) && utf8_storable(NULL, 0), "no text at all");
    is_int(utf8_sequence("", 0), 0, "no sequence begins behind the end");
    test_all_code_points();
    return tap_done();
}
