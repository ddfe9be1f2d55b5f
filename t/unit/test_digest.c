/* core/digest.h and core/hex.h, by the examples of FIPS 180-4 and RFC 4231 */
#include <stdlib.h>

#include "core/digest.h"
#include "core/hex.h"
#include "core/mem.h"
#include "tap.h"

static const struct {
    const char *text, *hex;
} sums[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static const struct {
    const char *key, *data, *hex;
} macs[] = {
    {"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {"\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b", "Hi There",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {"", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
};

static void test_digests(void)
{
    unsigned char sum[DIGEST_SIZE];
    char hex[DIGEST_HEX_SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(sums); i++) {
        digest_sha256(sums[i].text, strlen(sums[i].text), sum);
        hex_encode(sum, sizeof(sum), hex);
        is_str(hex, sums[i].hex, "SHA-256 of '%s'", sums[i].text);
    }
    for (size_t i = 0; i < ARRAY_SIZE(macs); i++) {
        digest_hmac(macs[i].key, strlen(macs[i].key), macs[i].data, strlen(macs[i].data), sum);
        hex_encode(sum, sizeof(sum), hex);
        is_str(hex, macs[i].hex, "HMAC of '%s'", macs[i].data);
    }
}

static void test_random_and_equal(void)
{
    unsigned char a[32], b[32];
    digest_random(a, sizeof(a));
    digest_random(b, sizeof(b));
    ok(!digest_equal(a, b, sizeof(a)), "two draws differ");
    memcpy(b, a, sizeof(a));
    ok(digest_equal(a, b, sizeof(a)), "equal bytes");
    b[31] ^= 1;
    ok(!digest_equal(a, b, sizeof(a)), "the last bit counts");
    ok(digest_equal(a, b, 31), "what lies behind does not");
}

static const struct {
    const char *digits;
    size_t len;
    bool valid;
} hexes[] = {
    {"", 0, true},        {"00ff10", 6, true}, {"0123456789abcdef", 16, true},
    {"0", 1, false},      {"0g", 2, false},    {"AB", 2, false},
    {"0x", 2, false},     {" 0", 2, false},    {"00\0", 3, false},
    {"0\0", 2, false},    {"ab", 2, true},     {"a\xc3", 2, false},
    {"abcdeF", 6, false}, {"/0", 2, false},    {":0", 2, false},
    {"`0", 2, false},
};

static void test_hex(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(hexes); i++) {
        unsigned char bytes[8];
        char again[17];
        bool valid = hex_decode(hexes[i].digits, hexes[i].len, bytes);
        is_int(valid, hexes[i].valid, "hex '%s' of %zu", hexes[i].digits, hexes[i].len);
        is_int(hex_decode(hexes[i].digits, hexes[i].len, NULL), hexes[i].valid, "… without a place for the bytes");
        if (!valid)
            continue;
        hex_encode(bytes, hexes[i].len / 2, again);
        is_str(again, hexes[i].digits, "… and back");
    }
    unsigned char all[256], decoded[256];
    char digits[513];
    for (int i = 0; i < 256; i++)
        all[i] = (unsigned char)i;
    hex_encode(all, sizeof(all), digits);
    ok(hex_decode(digits, 512, decoded) && memcmp(all, decoded, 256) == 0, "all bytes there and back");
}

int main(void)
{
    test_digests();
    test_random_and_equal();
    test_hex();
    return tap_done();
}
