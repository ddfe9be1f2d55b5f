/* hex: tokens, hashes and etags as text. Stateless; every process and thread. */
#include "core/hex.h"

static const char hex_digits[] = "0123456789abcdef";

void hex_encode(const void *data, size_t len, char *out_r)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < len; i++) {
        *out_r++ = hex_digits[bytes[i] >> 4];
        *out_r++ = hex_digits[bytes[i] & 15];
    }
    *out_r = '\0';
}

/* The digit's value, or -1. No table look-up: what is decoded may be a token. */
static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_decode(const char *digits, size_t len, void *out_r)
{
    unsigned char *bytes = out_r;
    if (len % 2)
        return false;
    for (size_t i = 0; i < len; i += 2) {
        int high = hex_value(digits[i]), low = hex_value(digits[i + 1]);
        if (high < 0 || low < 0)
            return false;
        if (bytes)
            bytes[i / 2] = (unsigned char)(high << 4 | low);
    }
    return true;
}
