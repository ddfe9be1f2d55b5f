/*
 * tap: assertions that print TAP (Test Anything Protocol) for prove. A test program's main() calls its functions, then
 * returns tap_done(). Names are printf formats; a failure prints where it stands and what was expected.
 */
#ifndef T_UNIT_TAP_H
#define T_UNIT_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/compiler.h"

static unsigned tap_count, tap_failures;

/* The assertion's line without what would end the line or begin a directive. */
static inline void tap_name(const char *format, va_list args) PRINTF_LIKE(1, 0);
static inline void tap_name(const char *format, va_list args)
{
    char name[512];
    vsnprintf(name, sizeof(name), format, args);
    for (char *c = name; *c; c++)
        putchar(*c == '\n' || *c == '#' || *c == '\r' ? '.' : *c);
    putchar('\n');
}

PRINTF_LIKE(4, 5)
static inline bool tap_ok(bool passed, const char *file, int line, const char *format, ...)
{
    va_list args;
    printf("%sok %u - ", passed ? "" : "not ", ++tap_count);
    va_start(args, format);
    tap_name(format, args);
    va_end(args);
    if (!passed) {
        tap_failures++;
        printf("# failed at %s:%d\n", file, line);
    }
    fflush(stdout);
    return passed;
}

static inline void tap_differ(const char *got, const char *wanted)
{
    printf("#      got: %s\n# expected: %s\n", got ? got : "(null)", wanted ? wanted : "(null)");
}

/* Evaluates the condition before the name's values, which it may change (a reason). */
#define ok(condition, ...)                                   \
    ({                                                       \
        bool tap_passed = (condition);                       \
        tap_ok(tap_passed, __FILE__, __LINE__, __VA_ARGS__); \
    })

#define is_str(got, wanted, ...)                                                                                   \
    do {                                                                                                           \
        const char *tap_g = (got), *tap_w = (wanted);                                                              \
        if (!tap_ok(tap_g && tap_w ? strcmp(tap_g, tap_w) == 0 : tap_g == tap_w, __FILE__, __LINE__, __VA_ARGS__)) \
            tap_differ(tap_g, tap_w);                                                                              \
    } while (0)

#define is_int(got, wanted, ...)                                        \
    do {                                                                \
        intmax_t tap_g = (got), tap_w = (wanted);                       \
        if (!tap_ok(tap_g == tap_w, __FILE__, __LINE__, __VA_ARGS__))   \
            printf("#      got: %jd\n# expected: %jd\n", tap_g, tap_w); \
    } while (0)

/* Prints the plan; the exit status of main(). */
static inline int tap_done(void)
{
    printf("1..%u\n", tap_count);
    return tap_failures != 0;
}

#endif
