/* core/clock.h and core/error_codes.h */
#include "core/clock.h"
#include "core/error_codes.h"
#include "tap.h"

static const struct {
    time_t t;
    const char *text;
} times[] = {
    {0, "1970-01-01T00:00:00Z"},         {-1, "1969-12-31T23:59:59Z"},           {1795342500, "2026-11-22T10:15:00Z"},
    {951827696, "2000-02-29T12:34:56Z"}, {253402300799, "9999-12-31T23:59:59Z"}, {253402300800, "9999-12-31T23:59:59Z"},
    {INT64_MAX, "9999-12-31T23:59:59Z"}, {-62135596800, "0001-01-01T00:00:00Z"}, {-62167219201, "0000-01-01T00:00:00Z"},
    {INT64_MIN, "0000-01-01T00:00:00Z"},
};

static void test_codes(void)
{
    for (int i = 0; i < ERROR_COUNT; i++) {
        const struct error_info *e = error_info((enum error_code)i);
        ok(e->status >= 400 && e->status < 600 && *e->code && *e->message, "%s has a status and a sentence", e->code);
        is_int(error_code_find(e->code), i, "%s is found by its text", e->code);
    }
    is_int(error_code_find("no_such_code"), ERROR_COUNT, "a text that is no code");
    is_int(error_code_find(""), ERROR_COUNT, "the empty text");
    is_int(error_info(ERROR_BLOB_NOT_OWNED)->status, 400, "rows are where their symbols say");
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
        char text[CLOCK_RFC3339_SIZE];
        clock_rfc3339(times[i].t, text);
        is_str(text, times[i].text, "%jd", (intmax_t)times[i].t);
    }
    uint64_t ms = clock_mono_ms(), us = clock_mono_us();
    ok(us / 1000 >= ms && us / 1000 < ms + 10000, "both units come from one clock");
    test_codes();
    return tap_done();
}
