/*
 * CSRF tokens: HMAC-SHA256 of a fixed label with the session token as key, in hexadecimal. Bound to the session, needs
 * no storage; who has only a database dump (hashes of session tokens) cannot make one.
 */
#ifndef AUTH_CSRF_H
#define AUTH_CSRF_H

#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"
#include "core/digest.h"

void csrf_token(const char *session_token, size_t len, char out_r[DIGEST_HEX_SIZE]);
bool csrf_valid(const char *session_token, size_t len, const char *given, size_t given_len) WARN_UNUSED;

#endif
