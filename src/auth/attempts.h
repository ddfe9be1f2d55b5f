/* Attempt classes: what is limited per client address and per account, and by which options. The counting is in the
 * database. */
#ifndef AUTH_ATTEMPTS_H
#define AUTH_ATTEMPTS_H

#include <stdint.h>

struct config;

enum attempt_class {
    ATTEMPT_NONE,
    ATTEMPT_PAIR,
    ATTEMPT_LOGIN,
    ATTEMPT_REGISTER,
    ATTEMPT_FORGOT, /* the options of ATTEMPT_REGISTER, a count of its own */
    ATTEMPT_RESET,
    ATTEMPT_ADMIN,
    ATTEMPT_COUNT
};

struct attempt_limit {
    const char *name; /* in the database and the log */
    int64_t limit;    /* attempts in one window */
    int64_t window_ms;
};

struct attempt_limit attempt_limit(const struct config *config, enum attempt_class class);

#endif
