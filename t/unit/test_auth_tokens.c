/* auth/tokens.h and auth/csrf.h */
#include "auth/csrf.h"
#include "auth/tokens.h"
#include "core/hex.h"
#include "tap.h"

static void test_token(void)
{
    struct token a, b;
    unsigned char hash[DIGEST_SIZE], expected[DIGEST_SIZE];
    token_make(&a);
    token_make(&b);
    is_int(strlen(a.text), TOKEN_LENGTH, "64 digits");
    ok(hex_decode(a.text, TOKEN_LENGTH, NULL), "lower-case hexadecimal");
    ok(strcmp(a.text, b.text) != 0, "each is another");
    digest_sha256(a.text, TOKEN_LENGTH, expected);
    ok(memcmp(a.hash, expected, DIGEST_SIZE) == 0, "stored as the SHA-256 of its digits");
    ok(token_hash(a.text, TOKEN_LENGTH, hash) && memcmp(hash, a.hash, DIGEST_SIZE) == 0,
       "the same hash when it comes back");
}

static void test_no_token(void)
{
    static const char digits[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    unsigned char hash[DIGEST_SIZE];
    char text[80];
    ok(token_hash(digits, 64, hash), "a token");
    ok(!token_hash(digits, 63, hash), "one digit less");
    ok(!token_hash(digits, 0, hash), "none");
    snprintf(text, sizeof(text), "%s0", digits);
    ok(!token_hash(text, 65, hash), "one digit more");
    for (const char *bad = "ABCDEFGgxz /:`\n"; *bad; bad++) {
        snprintf(text, sizeof(text), "%s", digits);
        text[40] = *bad;
        ok(!token_hash(text, 64, hash), "character %d in it", *bad);
    }
    memcpy(text, digits, 64);
    text[63] = '\0';
    ok(!token_hash(text, 64, hash), "a zero byte in it");
}

static void test_device_id(void)
{
    char a[DEVICE_ID_LENGTH + 1], b[DEVICE_ID_LENGTH + 1];
    token_device_id(a);
    token_device_id(b);
    is_int(strlen(a), DEVICE_ID_LENGTH, "its length");
    ok(strncmp(a, "dev_", 4) == 0 && hex_decode(a + 4, 24, NULL), "dev_ and 24 hexadecimal digits");
    ok(strcmp(a, b) != 0, "each is another");
}

static void test_csrf(void)
{
    struct token one, two;
    char first[DIGEST_HEX_SIZE], second[DIGEST_HEX_SIZE], again[DIGEST_HEX_SIZE];
    token_make(&one);
    token_make(&two);
    csrf_token(one.text, TOKEN_LENGTH, first);
    csrf_token(two.text, TOKEN_LENGTH, second);
    csrf_token(one.text, TOKEN_LENGTH, again);
    is_str(first, again, "the same for the same session");
    ok(strcmp(first, second) != 0, "another for another session");
    ok(strcmp(first, one.text) != 0, "not the session itself");
    ok(csrf_valid(one.text, TOKEN_LENGTH, first, 64), "valid for its session");
    ok(!csrf_valid(two.text, TOKEN_LENGTH, first, 64), "not for another");
    ok(!csrf_valid(one.text, TOKEN_LENGTH, first, 63), "not without its last digit");
    ok(!csrf_valid(one.text, TOKEN_LENGTH, "", 0), "not empty");
    ok(!csrf_valid(one.text, TOKEN_LENGTH, NULL, 0), "not absent");
    first[63] = first[63] == '0' ? '1' : '0';
    ok(!csrf_valid(one.text, TOKEN_LENGTH, first, 64), "not with another last digit");
}

int main(void)
{
    test_token();
    test_no_token();
    test_device_id();
    test_csrf();
    return tap_done();
}
