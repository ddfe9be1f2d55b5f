/* One password against one bcrypt hash, in a worker's hashing threads. */
#ifndef API_PASSWORD_CHECK_H
#define API_PASSWORD_CHECK_H

#include <stdbool.h>

#include "core/compiler.h"

struct http_request;

/*
 * Before the attempt is counted: one that finds the queue full is no attempt, else whoever keeps the threads busy locks
 * others out. False: answered with 503.
 */
bool password_check_possible(struct http_request *request) WARN_UNUSED;

typedef void password_check_step(struct http_request *request, bool right);

/*
 * password: valid as long as the request object (from its JSON or form). hash: copied; NULL: no such account, takes as
 * long and is wrong. A full queue is answered with 503.
 */
void password_check(struct http_request *request, const char *password, const char *hash, password_check_step *step);

#endif
