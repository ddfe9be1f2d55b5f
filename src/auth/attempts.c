/* Which options limit which class of attempts. Called by handlers that count attempts, and by --routes. */
#include "auth/attempts.h"

#include <assert.h>

#include "core/config.h"

struct attempt_limit attempt_limit(const struct config *config, enum attempt_class class)
{
    switch (class) {
    case ATTEMPT_NONE:
        return (struct attempt_limit){"none", 0, 0};
    case ATTEMPT_PAIR:
        return (struct attempt_limit){"pair", config->attempts_pair, config->attempts_pair_window};
    case ATTEMPT_LOGIN:
        return (struct attempt_limit){"login", config->attempts_login, config->attempts_login_window};
    case ATTEMPT_REGISTER:
        return (struct attempt_limit){"register", config->attempts_register, config->attempts_register_window};
    case ATTEMPT_FORGOT:
        return (struct attempt_limit){"forgot", config->attempts_register, config->attempts_register_window};
    case ATTEMPT_RESET:
        return (struct attempt_limit){"reset", config->attempts_reset, config->attempts_reset_window};
    case ATTEMPT_ADMIN:
        return (struct attempt_limit){"admin", config->attempts_admin, config->attempts_admin_window};
    case ATTEMPT_COUNT:
        break;
    }
    assert(!"attempt class");
    return (struct attempt_limit){"none", 0, 0};
}
