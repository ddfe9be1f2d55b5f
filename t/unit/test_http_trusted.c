/* http/trusted.h */
#include "http/trusted.h"
#include "tap.h"

static const struct {
    const char *network, *address;
    bool inside;
} networks[] = {
    {"10.0.0.0/8", "10.255.0.1", true},
    {"10.0.0.0/8", "11.0.0.1", false},
    {"10.1.2.3/8", "10.9.9.9", true},
    {"192.0.2.7", "192.0.2.7", true},
    {"192.0.2.7", "192.0.2.8", false},
    {"192.0.2.0/25", "192.0.2.127", true},
    {"192.0.2.0/25", "192.0.2.128", false},
    {"0.0.0.0/0", "198.51.100.1", true},
    {"0.0.0.0/0", "2001:db8::1", false},
    {"127.0.0.1", "::ffff:127.0.0.1", true},
    {"::ffff:10.0.0.0/104", "10.1.1.1", true},
    {"2001:db8::/32", "2001:db8:ffff::1", true},
    {"2001:db8::/32", "2001:db9::1", false},
    {"2001:db8::1", "2001:db8::1", true},
    {"::/0", "10.0.0.1", true},
    {"::1", "127.0.0.1", false},
};

static const char *const no_networks[] = {"",
                                          "localhost",
                                          "10.0.0.0/33",
                                          "10.0.0.0/",
                                          "10.0.0.0/-1",
                                          "10.0.0.0/8x",
                                          "10.0.0",
                                          "::/129",
                                          "::1/1000",
                                          "[::1]",
                                          "10.0.0.1:80",
                                          "/8",
                                          "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc"};

/* The walk over X-Forwarded-For with 10.0.0.0/8 and 2001:db8:: trusted. */
static const struct {
    const char *peer, *forwarded, *client;
} walks[] = {
    {"10.0.0.1", "203.0.113.5", "203.0.113.5"},
    {"10.0.0.1", "198.51.100.9, 203.0.113.5", "203.0.113.5"},
    {"10.0.0.1", "203.0.113.5, 10.0.0.2", "203.0.113.5"},
    {"10.0.0.1", "1.1.1.1,203.0.113.5 ,\t10.0.0.2,10.0.0.3", "203.0.113.5"},
    {"10.0.0.1", "10.0.0.9, 10.0.0.2", "10.0.0.9"},
    {"10.0.0.1", "", "10.0.0.1"},
    {"10.0.0.1", "unknown", "10.0.0.1"},
    {"10.0.0.1", "203.0.113.5, unknown", "10.0.0.1"},
    {"10.0.0.1", "203.0.113.5, unknown, 10.0.0.2", "10.0.0.2"},
    {"10.0.0.1", "203.0.113.5,", "10.0.0.1"},
    {"10.0.0.1", "203.0.113.5:4711", "203.0.113.5"},
    {"10.0.0.1", "[2001:db9::5]:4711", "2001:db9::5"},
    {"10.0.0.1", "[2001:db9::5]", "2001:db9::5"},
    {"10.0.0.1", "2001:db9::5", "2001:db9::5"},
    {"10.0.0.1", "[2001:db9::5", "10.0.0.1"},
    {"10.0.0.1", "::ffff:203.0.113.5", "203.0.113.5"},
    {"2001:db8::", "203.0.113.5", "203.0.113.5"},
    {"203.0.113.1", "198.51.100.9", "203.0.113.1"},
};

static void test_networks(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(networks); i++) {
        struct trusted *trusted = trusted_new();
        struct trusted_address address;
        bool parsed = trusted_add(trusted, networks[i].network, NULL) &&
                      trusted_from_text(networks[i].address, strlen(networks[i].address), &address);
        ok(parsed && trusted_contains(trusted, &address) == networks[i].inside, "%s is %s %s", networks[i].address,
           networks[i].inside ? "in" : "not in", networks[i].network);
        trusted_free(&trusted);
    }
    struct trusted *trusted = trusted_new();
    struct strbuf error = STRBUF_INIT;
    for (size_t i = 0; i < ARRAY_SIZE(no_networks); i++) {
        strbuf_reset(&error);
        ok(!trusted_add(trusted, no_networks[i], &error) && error.len > 0, "'%s' is no network", no_networks[i]);
    }
    strbuf_release(&error);
    trusted_free(&trusted);
    ok(trusted == NULL, "freed");
}

static void test_walks(void)
{
    struct trusted *trusted = trusted_new();
    bool added = trusted_add(trusted, "10.0.0.0/8", NULL) && trusted_add(trusted, "2001:db8::", NULL);
    ok(added, "two networks");
    for (size_t i = 0; i < ARRAY_SIZE(walks); i++) {
        struct trusted_address address;
        char text[TRUSTED_ADDRESS_SIZE] = "";
        if (trusted_from_text(walks[i].peer, strlen(walks[i].peer), &address)) {
            trusted_walk(trusted, walks[i].forwarded, strlen(walks[i].forwarded), &address);
            trusted_format(&address, text);
        }
        is_str(text, walks[i].client, "%s forwards '%s'", walks[i].peer, walks[i].forwarded);
    }
    trusted_free(&trusted);
}

int main(void)
{
    test_networks();
    test_walks();
    return tap_done();
}
