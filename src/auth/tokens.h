/* Tokens: 32 random bytes, shown once as 64 lower-case hexadecimal digits, stored as the SHA-256 of those digits. */
#ifndef AUTH_TOKENS_H
#define AUTH_TOKENS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"
#include "core/digest.h"

#define TOKEN_LENGTH 64

struct token {
    char text[TOKEN_LENGTH + 1];
    unsigned char hash[DIGEST_SIZE];
};

void token_make(struct token *token_r);
/* The hash under which a token is stored. False when the text is no token (length, digits). */
bool token_hash(const char *text, size_t len, unsigned char hash_r[DIGEST_SIZE]) WARN_UNUSED;
/* "dev_" and 24 hexadecimal digits. */
#define DEVICE_ID_LENGTH 28
void token_device_id(char out_r[DEVICE_ID_LENGTH + 1]);

#endif
