/* auth/accounts.h, auth/admins.h, auth/attempts.h */
#include "auth/accounts.h"
#include "auth/admins.h"
#include "auth/attempts.h"
#include "core/config.h"
#include "db/params.h"
#include "tap.h"

#define X63 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X64 X63 "x"

static void test_names(void)
{
    static const struct {
        const char *name;
        bool good;
    } cases[] = {
        {"a", true},
        {"Ann", true},
        {"\xd0\x96\xd0\xb0\xd0\xbd\xd0\xbd\xd0\xb0 \xf0\x9f\x92\xbe", true},
        {"a b", true},
        {"o'brien; --", true},
        {X64, true},
        {"", false},
        {X64 "x", false},
        {" ", false},
        {" a", false},
        {"a ", false},
        {"a\xc2\xa0", false},
        {"\xe3\x80\x80"
         "a",
         false},
        {"a\xe2\x80\x8b", false},
        {"a@b", false},
        {"a\nb", false},
        {"a\tb", false},
        {"a\x7f", false},
        {"a\xc2\x85"
         "b",
         false},
        {"a\xff", false},
        {"a\xc3", false},
        {"a\xe2\x80\xaelrac", false},           /* U+202E turns what follows around */
        {"a\xe2\x80\xa8z", false},              /* U+2028 is a line's end */
        {"a\xe2\x80\x8bz", false},              /* U+200B looks like "az" */
        {"a\xe2\x81\xa6z", false},              /* U+2066 */
        {"a\xef\xbb\xbfz", false},              /* U+FEFF */
        {"\xd9\x85\xe2\x80\x8c\xd9\x85", true}, /* U+200C, a joiner of Persian */
        {"a \xe2\x80\x93 z", true},             /* a dash */
        {"\xed\xa0\x80", false},
        {"a\xc3\xa0", true}, /* ends with the byte of a no-break space, which it is not */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *fault = accounts_name_fault(cases[i].name, strlen(cases[i].name));
        ok((fault == NULL) == cases[i].good, "name '%s': %s", cases[i].name, fault == NULL ? "good" : fault);
    }
    ok(accounts_name_fault("a\0b", 3) != NULL, "a name with a zero byte");
}

static void test_emails(void)
{
    static const struct {
        const char *email;
        bool good;
    } cases[] = {
        {"a@b", true},
        {"ann@example.org", true},
        {"Ann.B+tag_x%y@mail.example-host.org", true},
        {"\xd0\xb6@\xd0\xb6.example", true},
        {X64 "@example.org", true},
        {"a@" X63 ".org", true},
        {"", false},
        {"x", false},
        {"@", false},
        {"a@", false},
        {"@b", false},
        {"a@b@c", false},
        {"a b@example.org", false},
        {" a@example.org", false},
        {"a@example.org ", false},
        {"a@exam ple.org", false},
        {"a@exam\xc2\xa0ple.org", false},     /* U+00A0 */
        {"a\xe2\x80\x83@example.org", false}, /* U+2003 */
        {"a@example.org\nBcc: x@y", false},
        {"a\r@example.org", false},
        {"a,b@example.org", false},
        {"<a@example.org>", false},
        {"a@<example.org>", false},
        {"\"a\"@example.org", false},
        {".a@example.org", false},
        {"a.@example.org", false},
        {"a..b@example.org", false},
        {"a@.org", false},
        {"a@example..org", false},
        {"a@example.org.", false},
        {"a@-example.org", false},
        {"a@example-.org", false},
        {"a@example.org-", false},
        {"a@exam_ple.org", false},
        {X64 "x@example.org", false},
        {"a@" X64 ".org", false},
        {"a@b\xff", false},
        {"a@" X63 "." X63 "." X63 "." X63 "." X63, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *fault = accounts_email_fault(cases[i].email, strlen(cases[i].email));
        ok((fault == NULL) == cases[i].good, "address '%s': %s", cases[i].email, fault == NULL ? "good" : fault);
    }
    ok(accounts_email_fault("a@b\0c", 5) != NULL, "an address with a zero byte");
}

static void test_passwords(void)
{
    char password[300];
    memset(password, 'x', sizeof(password));
    is_str(accounts_password_fault(password, 0), "PASSWORD_TOO_SHORT", "none");
    is_str(accounts_password_fault(password, 7), "PASSWORD_TOO_SHORT", "7 bytes");
    ok(accounts_password_fault(password, 8) == NULL, "8 bytes");
    ok(accounts_password_fault(password, 256) == NULL, "256 bytes");
    is_str(accounts_password_fault(password, 257), "PASSWORD_TOO_LONG", "257 bytes");
    password[9] = '\0';
    ok(accounts_password_fault(password, 20) != NULL, "a zero byte in it");
}

static void test_admins(void)
{
    char ann[] = "ann", bob[] = "Bob", hash[] = "$2b$04$x", other[] = "$2b$04$y";
    struct config_admin entries[] = {{ann, hash}, {bob, other}};
    struct config config = {.admins = entries, .admin_count = 2};
    char a[ADMINS_STAMP_SIZE], b[ADMINS_STAMP_SIZE];
    struct db_params params;
    is_str(admins_password_hash(&config, "ann"), hash, "the hash of an admin");
    ok(admins_password_hash(&config, "Ann") == NULL, "names compare exactly");
    ok(admins_password_hash(&config, "") == NULL, "none is nobody");
    admins_stamp(hash, a);
    admins_stamp(other, b);
    is_int(strlen(a), ADMINS_STAMP_SIZE - 1, "a stamp");
    ok(strcmp(a, b) != 0, "of another password is another");
    db_params_init(&params);
    admins_bind(&config, &params);
    is_int(params.count, 1, "one parameter");
    ok(memmem(params.bytes.data, params.bytes.len, "ann:", 4) != NULL &&
           memmem(params.bytes.data, params.bytes.len, a, 16) != NULL,
       "with name and stamp");
    db_params_release(&params);
    config.admin_count = 0;
    db_params_init(&params);
    admins_bind(&config, &params);
    is_int(params.count, 1, "one parameter without admins, too");
    db_params_release(&params);
}

static void test_attempts(void)
{
    struct config config = {.attempts_pair = 5,
                            .attempts_pair_window = 900000,
                            .attempts_login = 10,
                            .attempts_login_window = 600000,
                            .attempts_register = 6,
                            .attempts_register_window = 3600000,
                            .attempts_reset = 8,
                            .attempts_reset_window = 3600001,
                            .attempts_admin = 11,
                            .attempts_admin_window = 600001};
    static const struct {
        const char *name;
        int64_t limit, window_ms;
    } expected[ATTEMPT_COUNT] = {
        [ATTEMPT_NONE] = {"none", 0, 0},           [ATTEMPT_PAIR] = {"pair", 5, 900000},
        [ATTEMPT_LOGIN] = {"login", 10, 600000},   [ATTEMPT_REGISTER] = {"register", 6, 3600000},
        [ATTEMPT_FORGOT] = {"forgot", 6, 3600000}, [ATTEMPT_RESET] = {"reset", 8, 3600001},
        [ATTEMPT_ADMIN] = {"admin", 11, 600001},
    };
    for (enum attempt_class class = ATTEMPT_NONE; class < ATTEMPT_COUNT; class ++) {
        struct attempt_limit got = attempt_limit(&config, class);
        is_str(got.name, expected[class].name, "class %d", (int)class);
        ok(got.limit == expected[class].limit && got.window_ms == expected[class].window_ms, "%s: its options",
           got.name);
    }
}

int main(void)
{
    test_names();
    test_emails();
    test_passwords();
    test_admins();
    test_attempts();
    return tap_done();
}
