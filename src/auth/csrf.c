/* Makes and checks CSRF tokens for requests that carry a session cookie. Called by the router, and by what hands the
 * token out. */
#include "auth/csrf.h"

#include "core/hex.h"

static const char label[] = "verstak-sync-server csrf 1";

void csrf_token(const char *session_token, size_t len, char out_r[DIGEST_HEX_SIZE])
{
    unsigned char mac[DIGEST_SIZE];
    digest_hmac(session_token, len, label, sizeof(label) - 1, mac);
    hex_encode(mac, sizeof(mac), out_r);
}

bool csrf_valid(const char *session_token, size_t len, const char *given, size_t given_len)
{
    char expected[DIGEST_HEX_SIZE];
    if (given == NULL || given_len != DIGEST_HEX_SIZE - 1)
        return false;
    csrf_token(session_token, len, expected);
    return digest_equal(expected, given, given_len);
}
