/* auth/passwords.h */
#include <time.h>

#include "auth/passwords.h"
#include "tap.h"

static void test_hash(void)
{
    char a[PASSWORDS_HASH_SIZE], b[PASSWORDS_HASH_SIZE];
    ok(passwords_hash("a password", 4, a) && passwords_hash("a password", 4, b), "hashes");
    ok(strncmp(a, "$2b$04$", 7) == 0, "$2b$ of the cost that was asked for");
    is_int(strlen(a), 60, "60 characters");
    ok(strcmp(a, b) != 0, "each with a salt of its own");
    ok(passwords_verify("a password", a, 4), "verifies");
    ok(passwords_verify("a password", a, 5), "also when the configured cost is another");
    ok(!passwords_verify("a Password", a, 4), "another password does not");
    ok(!passwords_verify("", a, 4), "an empty one does not");
    ok(!passwords_hash("a password", 3, a) && !passwords_hash("a password", 40, a), "a cost that bcrypt does not have");
}

/* Hashes made elsewhere. Vectors of the crypt_blowfish test suite (Openwall, public domain), where $2a$, $2b$ and $2y$
 * agree. */
static void test_foreign(void)
{
    static const char *const hashes[] = {
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
    };
    for (size_t i = 0; i < ARRAY_SIZE(hashes); i++) {
        ok(passwords_verify("U*U", hashes[i], 5), "%.4s verifies", hashes[i]);
        ok(!passwords_verify("U*V", hashes[i], 5), "%.4s refuses", hashes[i]);
    }
}

static void test_no_hash(void)
{
    static const char *const hashes[] = {
        "",
        "*0",
        "x",
        "plain text",
        "$1$abcdefgh$abcdefghijklmnopqrstuv",
        "$2b$05$short",
        "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2b$99$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2b$xx$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeWx",
    };
    ok(!passwords_verify("U*U", NULL, 4), "no hash");
    for (size_t i = 0; i < ARRAY_SIZE(hashes); i++)
        ok(!passwords_verify("U*U", hashes[i], 4), "no hash: '%s'", hashes[i]);
}

static void test_lengths(void)
{
    char hash[PASSWORDS_HASH_SIZE], password[400];
    memset(password, 'x', sizeof(password));
    password[PASSWORDS_MAX] = '\0';
    ok(passwords_hash(password, 4, hash) && passwords_verify(password, hash, 4), "256 bytes");
    password[PASSWORDS_MAX] = 'x';
    password[PASSWORDS_MAX + 1] = '\0';
    ok(!passwords_verify(password, hash, 4), "257 bytes are no password, though bcrypt would not see the last");
    ok(passwords_hash("\xd0\xb6\xf0\x9f\x92\xbe 8 bit", 4, hash) &&
           passwords_verify("\xd0\xb6\xf0\x9f\x92\xbe 8 bit", hash, 4),
       "letters of several bytes");
}

static double seconds_of(const char *hash, int cost)
{
    struct timespec a, b;
    double best = 1e9;
    for (int i = 0; i < 5; i++) {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
        if (passwords_verify("not the password", hash, cost))
            return -1;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
        double s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
        best = s < best ? s : best;
    }
    return best;
}

/* An unknown account, a wrong password, and a wrong password against a cheaper hash take the same time. */
static void test_time(void)
{
    char hash[PASSWORDS_HASH_SIZE], cheap[PASSWORDS_HASH_SIZE];
    ok(passwords_hash("the password", 9, hash) && passwords_hash("the password", 6, cheap), "hashes of cost 9 and 6");
    double known = seconds_of(hash, 9), unknown = seconds_of(NULL, 9), foreign = seconds_of(cheap, 9);
    double text = seconds_of("no hash", 9);
    ok(unknown > known * 0.7 && unknown < known * 1.4, "no hash: %.1f ms of %.1f", 1e3 * unknown, 1e3 * known);
    ok(foreign > known * 0.7 && foreign < known * 1.4, "a cheaper hash: %.1f ms of %.1f", 1e3 * foreign, 1e3 * known);
    ok(text > known * 0.7 && text < known * 1.4, "a text that is none: %.1f ms of %.1f", 1e3 * text, 1e3 * known);
}

static void test_random(void)
{
    char a[PASSWORDS_RANDOM_LENGTH + 1], b[PASSWORDS_RANDOM_LENGTH + 1];
    passwords_random(a);
    passwords_random(b);
    is_int(strlen(a), PASSWORDS_RANDOM_LENGTH, "20 characters");
    ok(strcmp(a, b) != 0, "each is another");
    ok(strpbrk(a, "lo01IO") == NULL && strpbrk(b, "lo01IO") == NULL, "no look-alikes");
}

int main(void)
{
    test_hash();
    test_foreign();
    test_no_hash();
    test_lengths();
    test_time();
    test_random();
    return tap_done();
}
