/* Makes device and session tokens and the hashes under which they are stored. Runs in workers. */
#include "auth/tokens.h"

#include <string.h>

#include "core/hex.h"

void token_make(struct token *token_r)
{
    unsigned char random[TOKEN_LENGTH / 2];
    digest_random(random, sizeof(random));
    hex_encode(random, sizeof(random), token_r->text);
    digest_sha256(token_r->text, TOKEN_LENGTH, token_r->hash);
}

bool token_hash(const char *text, size_t len, unsigned char hash_r[DIGEST_SIZE])
{
    if (len != TOKEN_LENGTH || !hex_decode(text, len, NULL))
        return false;
    digest_sha256(text, len, hash_r);
    return true;
}

void token_device_id(char out_r[DEVICE_ID_LENGTH + 1])
{
    unsigned char random[12];
    digest_random(random, sizeof(random));
    memcpy(out_r, "dev_", 4);
    hex_encode(random, sizeof(random), out_r + 4);
}
