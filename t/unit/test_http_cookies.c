/* http/cookies.h */
#include "http/cookies.h"
#include "tap.h"

static const struct {
    const char *header, *value; /* of the cookie "a"; NULL: none */
} cases[] = {
    {"a=1", "1"},     {"b=2; a=1; c=3", "1"}, {"b=2;a=1", "1"}, {" a = 1 ", "1"}, {"a=1; a=2", "1"}, {"a=", ""},
    {"a=\"1\"", "1"}, {"a=\"", "\""},         {"a=b=c", "b=c"}, {"a=1;", "1"},    {";;a=1;;", "1"},  {"a", NULL},
    {"A=1", NULL},    {"aa=1; ba=2", NULL},   {"b=a=1", NULL},  {"", NULL},       {"=1", NULL},      {";", NULL},
};

static void test_find(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *value;
        size_t len;
        bool found = cookies_find(cases[i].header, strlen(cases[i].header), "a", &value, &len);
        is_int(found, cases[i].value != NULL, "'%s': found or not", cases[i].header);
        if (found && cases[i].value != NULL)
            ok(len == strlen(cases[i].value) && memcmp(value, cases[i].value, len) == 0, "'%s': value",
               cases[i].header);
    }
}

static void test_set(void)
{
    struct strbuf out = STRBUF_INIT;
    cookies_set(&out, COOKIES_ADMIN_SESSION, "abc", "/admin", 86400, true);
    is_str(out.data, "admin_session=abc; Path=/admin; Max-Age=86400; HttpOnly; SameSite=Lax; Secure", "over HTTPS");
    strbuf_reset(&out);
    cookies_set(&out, COOKIES_USER_SESSION, "", "/", -1, false);
    is_str(out.data, "user_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax", "forgotten, over HTTP");
    strbuf_release(&out);
}

int main(void)
{
    test_find();
    test_set();
    return tap_done();
}
