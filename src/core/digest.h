/* SHA-256 and random bytes from OpenSSL. */
#ifndef CORE_DIGEST_H
#define CORE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"

#define DIGEST_SIZE 32
#define DIGEST_HEX_SIZE 65

void digest_sha256(const void *data, size_t len, unsigned char out_r[DIGEST_SIZE]);
/* HMAC-SHA256 (RFC 2104). */
void digest_hmac(const void *key, size_t key_len, const void *data, size_t len, unsigned char out_r[DIGEST_SIZE]);
/* Cryptographically strong random bytes; ends the process when the system has none. */
void digest_random(void *out_r, size_t len);
/* Comparison whose time does not depend on where the two differ. */
bool digest_equal(const void *a, const void *b, size_t len) WARN_UNUSED;

#endif
