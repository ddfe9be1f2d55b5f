/* clock: reads the two clocks. Stateless; every process and thread. */
#include "core/clock.h"

uint64_t clock_mono_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

void clock_rfc3339(time_t t, char out_r[CLOCK_RFC3339_SIZE])
{
    struct tm tm;
    /* RFC 3339 has four digits for the year: what lies outside becomes its first or last second. */
    if (t < -62167219200)
        t = -62167219200;
    if (t > 253402300799)
        t = 253402300799;
    gmtime_r(&t, &tm);
    /* strftime's %Y does not pad to four digits. */
    unsigned year = (unsigned)(tm.tm_year + 1900) % 10000;
    out_r[0] = (char)('0' + year / 1000);
    out_r[1] = (char)('0' + year / 100 % 10);
    out_r[2] = (char)('0' + year / 10 % 10);
    out_r[3] = (char)('0' + year % 10);
    strftime(out_r + 4, CLOCK_RFC3339_SIZE - 4, "-%m-%dT%H:%M:%SZ", &tm);
}
