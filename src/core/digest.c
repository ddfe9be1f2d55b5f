/* digest: OpenSSL's hashes and random bytes. No state of ours, so nothing is made before fork; every process and
 * thread. */
#include "core/digest.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "core/log.h"

/* OpenSSL without SHA-256 or random bytes is no machine to store tokens on. */
static void digest_require(bool ok, const char *what)
{
    if (ok)
        return;
    log_error("cannot get %s from OpenSSL; check its installation", what);
    abort();
}

void digest_sha256(const void *data, size_t len, unsigned char out_r[DIGEST_SIZE])
{
    digest_require(EVP_Digest(data, len, out_r, NULL, EVP_sha256(), NULL) == 1, "SHA-256");
}

void digest_hmac(const void *key, size_t key_len, const void *data, size_t len, unsigned char out_r[DIGEST_SIZE])
{
    unsigned size = 0;
    bool ok = key_len <= INT_MAX && HMAC(EVP_sha256(), key, (int)key_len, data, len, out_r, &size);
    digest_require(ok && size == DIGEST_SIZE, "HMAC-SHA256");
}

void digest_random(void *out_r, size_t len)
{
    digest_require(len <= INT_MAX && RAND_bytes(out_r, (int)len) == 1, "random bytes");
}

bool digest_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}
