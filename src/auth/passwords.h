/*
 * Passwords: bcrypt through crypt_r(3) of libcrypt. New hashes are $2b$; $2a$, $2b$ and $2y$ verify. Slow by intent
 * (cost 12: about 0.2 s): only in a work pool, or in a process that may wait. bcrypt reads 72 bytes, and since existing
 * hashes of other installations must go on working, bytes after the 72nd do not count.
 */
#ifndef AUTH_PASSWORDS_H
#define AUTH_PASSWORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"

#define PASSWORDS_HASH_SIZE 64
#define PASSWORDS_MIN 8
#define PASSWORDS_MAX 256

/* False when the system cannot hash (never for lack of anything in the password). */
bool passwords_hash(const char *password, int cost, char out_r[PASSWORDS_HASH_SIZE]) WARN_UNUSED;
/*
 * Compares in constant time. hash NULL or not bcrypt: takes as long as a real one of the given cost and returns false,
 * so that nobody learns from the time whether an account exists.
 */
bool passwords_verify(const char *password, const char *hash, int cost) WARN_UNUSED;
/* Random password for people: 20 characters without look-alikes. */
#define PASSWORDS_RANDOM_LENGTH 20
void passwords_random(char out_r[PASSWORDS_RANDOM_LENGTH + 1]);

#endif
