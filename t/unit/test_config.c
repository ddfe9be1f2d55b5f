/* core/config.h: what config_load() makes of a file, the environment and flags */
#include <stdlib.h>
#include <unistd.h>

#include "core/config_private.h"
#include "core/mem.h"
#include "tap.h"

#define HASH "$2b$04$abcdefghijklmnopqrstuukgAkTNo0pgwTpCpHjZzyaVMqOEmRJPe"

static char directory[] = "/tmp/test_config.XXXXXX";
static char path[64];

/* Each case is one file; its error is what follows the file's name, NULL when it is right. */
static const struct {
    const char *text, *error;
} files[] = {
    {"", NULL},
    {"# nothing\n", NULL},
    {"---\n", NULL},
    {"{}\n", NULL},
    {"server:\n", NULL},
    {"server: {}\nlog:\n  level: debug\n", NULL},
    {"\xef\xbb\xbfserver:\n  workers: 3\n", NULL},
    {"server:\r\n  workers: 3\r\n", NULL},
    {"{server: {workers: 3}, log: {level: debug}}", NULL},
    {"---\nserver:\n  workers: 3\n...\n", NULL},
    {"server:\n  user: \"w\\u00e4chter\"\n", NULL},
    /* structure */
    {"server\n", ":1: expected sections, like 'server:'"},
    {"- server\n", ":1: expected sections, like 'server:'"},
    {"log:\n  level: info: debug\n", ":2: mapping values are not allowed in this context"},
    {"server:\n\tworkers: 3\n", ":2: found character that cannot start any token"},
    {"server:\n  workers: [3\n", ":2: server.workers: needs a single value, not a list"},
    {"log:\n  level: 'debug\n", ":3: found unexpected end of stream"},
    {"servr:\n  workers: 3\n", ":1: servr: unknown section; --help lists all sections and keys"},
    {"workers: 3\n", ":1: workers: unknown section; --help lists all sections and keys"},
    {"[a]: b\n", ":1: unknown section; --help lists all sections and keys"},
    {"\n\nserver:\n  # x\n  worker: 3\n", ":5: server.worker: unknown key; --help lists all keys"},
    {"server:\n  server.workers: 3\n", ":2: server.server.workers: unknown key; --help lists all keys"},
    {"server:\n  [a]: 3\n", ":2: server: a key is a single word"},
    {"server:\n  <<: {workers: 3}\n", ":2: server.<<: unknown key; --help lists all keys"},
    {"server: 3\n", ":1: server: is a section: its keys stand below it, indented"},
    {"server: [a]\n", ":1: server: is a section: its keys stand below it, indented"},
    {"server:\n  workers: 3\n  workers: 3\n", ":3: server.workers: stands in line 2 already"},
    {"server:\n  workers: 3\nserver:\n  user: a\n", ":3: server: stands in line 1 already"},
    {"admin:\nadmin:\n", ":2: admin: stands in line 1 already"},
    {"server:\n  workers: 3\n---\nserver:\n  workers: 4\n", ":3: only one document is allowed here"},
    {"server:\n  workers:\n", ":2: server.workers: has no value; write \"\" for an empty one"},
    {"server:\n  user: ~\n", ":2: server.user: has no value; write \"\" for an empty one"},
    {"server:\n  trusted_proxies: null\n", ":2: server.trusted_proxies: has no value; write [] for an empty one"},
    {"server:\n  user: {a: b}\n", ":2: server.user: needs a single value, not a mapping"},
    {"server:\n  user: \"a\\0b\"\n", ":2: server.user: the value has a zero byte"},
    {"server:\n  user: \"a\\nb\"\n", ":2: server.user: the value has control characters or is not UTF-8"},
    /* what YAML offers beyond */
    {"server: &a\n  workers: 3\n", ":1: anchors and aliases are not allowed here"},
    {"server:\n  workers: &a 3\n", ":2: anchors and aliases are not allowed here"},
    {"server:\n  workers: *a\n", ":2: anchors and aliases are not allowed here"},
    {"a: &a [x,x]\nb: &b [*a,*a]\n", ":1: a: unknown section; --help lists all sections and keys"},
    {"server:\n  workers: !!int 3\n", ":2: tags are not allowed here"},
    {"server: !x\n  workers: 3\n", ":1: tags are not allowed here"},
    {"%YAML 2.0\n---\nserver:\n", ":1: found incompatible YAML document"},
    /* bytes */
    {"log:\n  level: debug\n# \xff\n", ":3: the file is not UTF-8"},
    {"log:\n  level: \xc0\xaf\n", ":2: the file is not UTF-8"},
    {"log:\n  level: \x01\n", ":2: control characters are not allowed"},
    {"\xff\xfes\0e\0", ":1: the file is not UTF-8"},
    /* values */
    {"server:\n  workers: many\n", ":2: server.workers: 'many' is not a whole number"},
    {"server:\n  workers: 1.5\n", ":2: server.workers: '1.5' is not a whole number"},
    {"server:\n  workers: 0x10\n", ":2: server.workers: '0x10' is not a whole number"},
    {"server:\n  workers: 010\n", ":2: server.workers: '010' is not a whole number"},
    {"server:\n  workers: \"\"\n", ":2: server.workers: '' is not a whole number"},
    {"server:\n  workers: -\n", ":2: block sequence entries are not allowed in this context"},
    {"server:\n  workers: '-'\n", ":2: server.workers: '-' is not a whole number"},
    {"server:\n  workers: 1k\n", ":2: server.workers: '1k' is not a whole number"},
    {"server:\n  workers: -1\n", ":2: server.workers: '-1' is out of range (0 to 256)"},
    {"server:\n  workers: 257\n", ":2: server.workers: '257' is out of range (0 to 256)"},
    {"server:\n  workers: 99999999999999999999999\n",
     ":2: server.workers: '99999999999999999999999' is out of range (0 to 256)"},
    {"limits:\n  push_body: 1KiB\n  push_payload: 64\n", NULL},
    {"limits:\n  push_body: 1023\n", ":2: limits.push_body: '1023' is out of range (1KiB to 256MiB)"},
    {"limits:\n  push_body: 1MB\n",
     ":2: limits.push_body: '1MB' is not a size; give bytes or a number with KiB, MiB, GiB or TiB"},
    {"limits:\n  push_body: 1 KiB\n",
     ":2: limits.push_body: '1 KiB' is not a size; give bytes or a number with KiB, MiB, GiB or TiB"},
    {"limits:\n  push_body: 9999999999TiB\n", ":2: limits.push_body: '9999999999TiB' is out of range (1KiB to 256MiB)"},
    {"http:\n  idle_timeout: 999ms\n", ":2: http.idle_timeout: '999ms' is out of range (1s to 1h)"},
    {"http:\n  idle_timeout: 75\n",
     ":2: http.idle_timeout: '75' is not a duration; give a number with ms, s, m, h or d"},
    {"http:\n  idle_timeout: 1h30m\n",
     ":2: http.idle_timeout: '1h30m' is not a duration; give a number with ms, s, m, h or d"},
    {"http:\n  idle_timeout: 0\n", ":2: http.idle_timeout: '0' is out of range (1s to 1h)"},
    {"log:\n  level: Debug\n", ":2: log.level: 'Debug' is not one of debug, info, warning or error"},
    {"log:\n  level: inf\n", ":2: log.level: 'inf' is not one of debug, info, warning or error"},
    {"log:\n  level: debug|info\n", ":2: log.level: 'debug|info' is not one of debug, info, warning or error"},
    {"log:\n  level: \"\"\n", ":2: log.level: '' is not one of debug, info, warning or error"},
    {"log:\n  requests: yes\n", ":2: log.requests: 'yes' is neither true nor false"},
    {"log:\n  requests: 1\n", ":2: log.requests: '1' is neither true nor false"},
    {"log:\n  file: syslog\n", NULL},
    {"log:\n  file: /var/log/verstak.log\n", NULL},
    {"log:\n  file: verstak.log\n", ":2: log.file: 'verstak.log' is neither stderr nor syslog nor an absolute path"},
    {"server:\n  pid_file: run/pid\n", ":2: server.pid_file: 'run/pid' is not an absolute path"},
    {"server:\n  public_url: https://sync.example.org/verstak/\n", NULL},
    {"server:\n  public_url: sync.example.org\n",
     ":2: server.public_url: 'sync.example.org' is not a URL like https://sync.example.org"},
    {"server:\n  public_url: https://\n",
     ":2: server.public_url: 'https://' is not a URL like https://sync.example.org"},
    {"server:\n  public_url: https://a/?b\n",
     ":2: server.public_url: 'https://a/?b' is not a URL like https://sync.example.org"},
    {"server:\n  trusted_proxies: [127.0.0.1, 10.0.0.0/8, \"::1\", fd00::/8]\n", NULL},
    {"server:\n  trusted_proxies:\n    - 127.0.0.1\n    - 10.0.0.0/33\n",
     ":3: server.trusted_proxies: '10.0.0.0/33' is neither an address nor a network like 10.0.0.0/8"},
    {"server:\n  trusted_proxies: [proxy.example.org]\n",
     ":2: server.trusted_proxies: 'proxy.example.org' is neither an address nor a network like 10.0.0.0/8"},
    {"server:\n  trusted_proxies: [\"::1/129\"]\n",
     ":2: server.trusted_proxies: '::1/129' is neither an address nor a network like 10.0.0.0/8"},
    {"server:\n  trusted_proxies: [10.0.0.1/]\n",
     ":2: server.trusted_proxies: '10.0.0.1/' is neither an address nor a network like 10.0.0.0/8"},
    {"server:\n  trusted_proxies: 127.0.0.1\n", ":2: server.trusted_proxies: needs a list, like [10.0.0.0/8] or []"},
    {"server:\n  trusted_proxies: [[127.0.0.1]]\n",
     ":2: server.trusted_proxies: each item of the list is a single value"},
    /* admins */
    {"admin:\n", NULL},
    {"admin: []\n", NULL},
    {"admin:\n  - username: a\n    password_hash: " HASH "\n  - {password_hash: '" HASH "', username: b}\n", NULL},
    {"admin: root\n", ":1: admin: needs a list of username and password_hash"},
    {"admin: {username: a}\n", ":1: admin: needs a list of username and password_hash"},
    {"admin:\n  - root\n", ":2: admin: an entry has the keys username and password_hash"},
    {"admin:\n  - username: a\n", ":2: admin: the entry has no password_hash"},
    {"admin:\n  - password_hash: " HASH "\n", ":2: admin: the entry has no username"},
    {"admin:\n  - {}\n", ":2: admin: the entry has no username"},
    {"admin:\n  - username: a\n    username: b\n", ":3: admin: the entry has two usernames"},
    {"admin:\n  - username: a\n    password: b\n", ":3: admin: an entry has the keys username and password_hash"},
    {"admin:\n  - username: [a]\n", ":2: admin: username and password_hash are single values"},
    {"admin:\n  - username: a\n    password_hash: secret\n",
     ":2: admin: password_hash of 'a' is not a bcrypt hash; set it with --admin-user"},
    {"admin:\n  - username: \"\"\n    password_hash: " HASH "\n",
     ":2: admin: a user name has 1 to 128 bytes, no control characters and no space around it"},
    {"admin:\n  - username: a\n    password_hash: " HASH "\n  - username: a\n    password_hash: " HASH "\n",
     ":4: admin: 'a' has an entry already"},
};

static void write_file(const char *text, size_t len)
{
    FILE *f = fopen(path, "w");
    if (!f || fwrite(text, 1, len, f) != len || fclose(f) != 0)
        ok(false, "cannot write %s", path);
}

static void test_files(void)
{
    struct config_flags flags = {.data = directory};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        struct strbuf error = STRBUF_INIT;
        write_file(files[i].text, strlen(files[i].text));
        struct config *config = config_load(&flags, &error);
        char *wanted = files[i].error ? mem_printf("%s%s", path, files[i].error) : mem_strdup("");
        is_str(error.data, wanted, "%s", files[i].text);
        ok(!config == !!files[i].error, "… and the result says the same");
        config_free(&config);
        ok(!config, "… and is freed");
        free(wanted);
        strbuf_release(&error);
    }
    write_file("log:\n  level: deb\0ug\n", 22);
    struct config *none = config_load(&flags, NULL);
    ok(!none, "a zero byte in the file, with nobody who wants the reason");
}

/* Sizes that must not cost more than their length. */
static void test_bombs(void)
{
    static const struct {
        const char *piece;
        unsigned times;
    } bombs[] = {{"[", 500000},  {"{", 500000}, {"{a: ", 200000}, {"- ", 400000}, {"? ", 400000}, {"a:\n", 300000},
                 {"  ", 500000}, {"'", 500001}, {"&a ", 300000},  {"#", 1000000}, {"\n", 1000000}};
    struct config_flags flags = {.data = directory};
    for (size_t i = 0; i < ARRAY_SIZE(bombs); i++) {
        struct strbuf text = STRBUF_INIT, error = STRBUF_INIT;
        for (unsigned n = 0; n < bombs[i].times; n++)
            strbuf_append_str(&text, bombs[i].piece);
        write_file(text.data, text.len);
        struct config *config = config_load(&flags, &error);
        bool harmless = strspn(bombs[i].piece, " \n#") == strlen(bombs[i].piece);
        ok(!config == !harmless, "%u times '%s': %s", bombs[i].times, bombs[i].piece, error.data);
        config_free(&config);
        strbuf_release(&text);
        strbuf_release(&error);
    }
    struct strbuf error = STRBUF_INIT;
    char *large = mem_alloc((1 << 20) + 1);
    memset(large, '#', (1 << 20) + 1);
    write_file(large, (1 << 20) + 1);
    struct config *config = config_load(&flags, &error);
    ok(!config && strstr(error.data, "larger than a configuration may be"), "a file over 1 MiB: %s", error.data);
    free(large);
    strbuf_release(&error);
}

static void test_values(void)
{
    static const char text[] =
        "server:\n  listen: '[::1]:0'\n  trusted_proxies: [127.0.0.1, 10.0.0.0/8]\n"
        "  public_url: https://sync.example.org/v//\n  shutdown_timeout: 1500ms\n"
        "log:\n  requests: false\n  health: true\nlimits:\n  vault_quota: 3TiB\n  push_body: 4096\n"
        "postgres:\n  shared_buffers: 0\nretention:\n  idempotency: 2d\n"
        "database:\n  url: 'host=a,b password=''x y'''\n"
        "admin:\n  - username: root\n    password_hash: " HASH "\n";
    struct config_flags flags = {.data = directory};
    struct strbuf error = STRBUF_INIT;
    write_file(text, strlen(text));
    struct config *c = config_load(&flags, &error);
    if (!ok(c != NULL, "a file with values of all types %s", error.data))
        return;
    is_str(c->data, directory, "data");
    is_str(c->file, path, "file");
    is_str(c->server_listen, "[::1]:0", "ADDRESS");
    is_int(c->server_trusted_proxies.count, 2, "NETWORKS");
    is_str(c->server_trusted_proxies.items[1], "10.0.0.0/8", "… its last");
    is_str(c->server_public_url, "https://sync.example.org/v", "URL, without the slashes at its end");
    is_int(c->server_shutdown_timeout, 1500, "DURATION in ms");
    is_int(c->retention_idempotency, 172800000, "DURATION in d");
    ok(!c->log_requests && c->log_health, "BOOLEAN");
    is_int(c->limits_vault_quota, INT64_C(3) << 40, "SIZE in TiB");
    is_int(c->limits_push_body, 4096, "SIZE in bytes");
    is_int(c->postgres_shared_buffers, 0, "SIZE 0");
    is_str(c->database_url, "host=a,b password='x y'", "STRING");
    is_int(c->limits_push_operations, 100, "what is not set has its default");
    is_int(c->admin_count, 1, "one admin");
    is_str(c->admins[0].username, "root", "its name");
    is_str(c->admins[0].password_hash, HASH, "its hash");
    config_free(&c);
    strbuf_release(&error);
}

/* The example is a file that is right, as it is and with every option switched on; then it says what holds without it.
 */
static void test_example(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    config_print_example(out);
    fclose(out);
    struct strbuf on = STRBUF_INIT, error = STRBUF_INIT;
    for (const char *c = text; *c; c++)
        if (!(*c == '#' && c[1] >= 'a' && c[1] <= 'z' && c > text + 2 && strncmp(c - 3, "\n  ", 3) == 0))
            strbuf_append_char(&on, *c);
    struct config_flags flags = {.data = directory};
    write_file(text, len);
    struct config *as_it_is = config_load(&flags, &error);
    write_file(on.data, on.len);
    struct config *switched_on = config_load(&flags, &error);
    unlink(path);
    struct config *without = config_load(&flags, &error);
    is_str(error.data, "", "the example, the same with every option on, and no file at all are right");
    for (size_t i = 0; as_it_is && switched_on && without && i < config_option_count; i++) {
        const struct config_option *o = &config_options[i];
        char *line = mem_printf("\n  %s: ", o->key);
        ok(strstr(on.data, line) != NULL, "%s is in the example", o->name);
        free(line);
        if (o->type == CONFIG_INTEGER || o->type == CONFIG_SIZE || o->type == CONFIG_DURATION)
            ok(*(int64_t *)((char *)switched_on + o->offset) == *(int64_t *)((char *)without + o->offset) &&
                   *(int64_t *)((char *)as_it_is + o->offset) == *(int64_t *)((char *)without + o->offset),
               "… with its default");
        else if (o->type != CONFIG_BOOLEAN && o->type != CONFIG_NETWORKS)
            is_str(*(char **)((char *)switched_on + o->offset), *(char **)((char *)without + o->offset),
                   "… with its default");
    }
    config_free(&as_it_is);
    config_free(&switched_on);
    config_free(&without);
    strbuf_release(&on);
    strbuf_release(&error);
    free(text);
}

static void test_order(void)
{
    static const struct {
        const char *file, *environment[3], *settings[3], *listen;
        int64_t workers;
    } orders[] = {
        {"", {0}, {0}, "127.0.0.1:47732", 0},
        {"server:\n  listen: 0.0.0.0:80\n  workers: 2\n", {0}, {0}, "0.0.0.0:80", 2},
        {"server:\n  listen: 0.0.0.0:80\n", {"VERSTAK_PORT=81"}, {0}, "0.0.0.0:81", 0},
        {"server:\n  listen: 0.0.0.0:80\n", {"VERSTAK_PORT=81", "VERSTAK_LISTEN=[::1]:82"}, {0}, "[::1]:81", 0},
        {"server:\n  listen: 0.0.0.0:80\n", {"VERSTAK_PORT=81"}, {"server.listen=127.0.0.2:83"}, "127.0.0.2:83", 0},
        {"server:\n  listen: '[::]:80'\n", {"VERSTAK_PORT=81"}, {"port=84"}, "[::]:84", 0},
        {"", {0}, {"port=0"}, "127.0.0.1:0", 0},
        {"", {0}, {"port=84", "server.listen=127.0.0.2:83"}, "127.0.0.2:84", 0},
        {"server:\n  workers: 2\n", {0}, {"server.workers=3", "server.workers=4"}, "127.0.0.1:47732", 4},
    };
    for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
        struct config_flags flags = {
            .data = directory, .settings = (char **)orders[i].settings, .environment = (char **)orders[i].environment};
        while (flags.setting_count < 3 && orders[i].settings[flags.setting_count])
            flags.setting_count++;
        while (flags.environment_count < 3 && orders[i].environment[flags.environment_count])
            flags.environment_count++;
        struct strbuf error = STRBUF_INIT;
        write_file(orders[i].file, strlen(orders[i].file));
        struct config *c = config_load(&flags, &error);
        is_str(c ? c->server_listen : error.data, orders[i].listen, "order %zu: listen", i);
        is_int(c ? c->server_workers : -1, orders[i].workers, "order %zu: workers", i);
        config_free(&c);
        strbuf_release(&error);
    }
}

/* Who gave a value, and that an empty one is none. */
static void test_given(void)
{
    static const struct {
        const char *file, *environment, *setting, *name;
        bool given;
    } cases[] = {
        {"", NULL, NULL, "server.public_url", false},
        {"server:\n  public_url: https://a.example\n", NULL, NULL, "server.public_url", true},
        {"server:\n  public_url: \"\"\n", NULL, NULL, "server.public_url", false},
        {"", "VERSTAK_PUBLIC_URL=https://a.example", NULL, "server.public_url", true},
        {"", NULL, "server.public_url=https://a.example", "server.public_url", true},
        {"server:\n  public_url: https://a.example\n", NULL, "server.public_url=", "server.public_url", false},
        {"", NULL, "port=1", "server.listen", true},
        {"server:\n  registration: open\n", NULL, NULL, "server.registration", true}, /* though it is the default */
        {"server:\n  trusted_proxies: []\n", NULL, NULL, "server.trusted_proxies", false},
        {"server:\n  trusted_proxies: ['::1']\n", NULL, NULL, "server.trusted_proxies", true},
        {"server:\n  workers: 2\n", NULL, NULL, "server.listen", false},
        {"", "VERSTAK_SMTP_PASSWORD=x", NULL, "smtp.password", true},
        {"", NULL, NULL, "no.option", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct config_flags flags = {.data = directory,
                                     .settings = (char *[]){(char *)cases[i].setting},
                                     .setting_count = cases[i].setting != NULL,
                                     .environment = (char *[]){(char *)cases[i].environment},
                                     .environment_count = cases[i].environment != NULL};
        struct strbuf error = STRBUF_INIT;
        write_file(cases[i].file, strlen(cases[i].file));
        struct config *c = config_load(&flags, &error);
        ok(c && config_is_set(c, cases[i].name) == cases[i].given, "given %zu: %s%s", i, cases[i].name, error.data);
        config_free(&c);
        strbuf_release(&error);
    }
}

static void test_origins(void)
{
    static const struct {
        const char *environment, *setting, *error;
    } origins[] = {
        {"VERSTAK_PORT=65536", NULL, "VERSTAK_PORT: '65536' is not a port (0 to 65535)"},
        {"VERSTAK_PORT=http", NULL, "VERSTAK_PORT: 'http' is not a port (0 to 65535)"},
        {"VERSTAK_LISTEN=localhost", NULL,
         "VERSTAK_LISTEN: 'localhost' is not ADDRESS:PORT with a numeric address, like 127.0.0.1:47732 or [::1]:47732"},
        {"VERSTAK_TRUSTED_PROXIES=10.0.0.1, x", NULL,
         "VERSTAK_TRUSTED_PROXIES: 'x' is neither an address nor a network like 10.0.0.0/8"},
        {"VERSTAK_DATABASE_URL=password=geheim\n", NULL,
         "VERSTAK_DATABASE_URL: the value has control characters or is not UTF-8"},
        {NULL, "server.workers=x", "--server.workers: 'x' is not a whole number"},
        {NULL, "port=", "--port: '' is not a port (0 to 65535)"},
    };
    unlink(path);
    for (size_t i = 0; i < ARRAY_SIZE(origins); i++) {
        char *environment = (char *)origins[i].environment, *setting = (char *)origins[i].setting;
        struct config_flags flags = {.data = directory,
                                     .settings = &setting,
                                     .setting_count = setting != NULL,
                                     .environment = &environment,
                                     .environment_count = environment != NULL};
        struct strbuf error = STRBUF_INIT;
        struct config *c = config_load(&flags, &error);
        ok(!c, "origin %zu is refused", i);
        is_str(error.data, origins[i].error, "and named");
        config_free(&c);
        strbuf_release(&error);
    }
}

static void test_missing(void)
{
    struct strbuf error = STRBUF_INIT;
    struct config_flags flags = {.data = directory, .config = path};
    unlink(path);
    struct config *c = config_load(&flags, &error);
    char *wanted = mem_printf("cannot read '%s': No such file or directory", path);
    is_str(error.data, wanted, "a --config that is not there");
    ok(!c, "is an error");
    strbuf_reset(&error);
    flags.config = directory;
    c = config_load(&flags, &error);
    ok(!c && strstr(error.data, "Is a directory"), "a directory is no file: %s", error.data);
    flags.data = (char *)"/nonexistent";
    flags.config = NULL;
    c = config_load(&flags, NULL);
    ok(c != NULL, "a data directory that is not there yet");
    struct config_flags own = {.data = mem_strdup("/nonexistent")};
    ok(!config_resolve_data(c, &own, NULL), "has no real path");
    free(own.data);
    own.data = mem_printf("/../%s/.", directory);
    ok(config_resolve_data(c, &own, NULL), "one that is there has");
    is_str(own.data, directory, "in the flags");
    is_str(c->data, directory, "in the configuration");
    is_str(c->file, path, "and its file with it");
    free(own.data);
    config_free(&c);
    free(wanted);
    strbuf_release(&error);
}

static void test_listen(void)
{
    static const struct {
        const char *listen, *host;
        unsigned port;
    } listens[] = {
        {"127.0.0.1:47732", "127.0.0.1", 47732},
        {"[::1]:0", "::1", 0},
        {"0.0.0.0:65535", "0.0.0.0", 65535},
        {"[fe80::1:2]:80", "fe80::1:2", 80},
        {"::1:80", NULL, 0},
        {"127.0.0.1", NULL, 0},
        {"127.0.0.1:", NULL, 0},
        {":80", NULL, 0},
        {"[]:80", NULL, 0},
        {"[::1]", NULL, 0},
        {"[::1:80", NULL, 0},
        {"[127.0.0.1]:80", NULL, 0},
        {"127.0.0.1:65536", NULL, 0},
        {"127.0.0.1:-1", NULL, 0},
        {"127.0.0.1:8x", NULL, 0},
        {"127.0.0.1:000080", NULL, 0},
        {"localhost:80", NULL, 0},
        {"", NULL, 0},
        {":", NULL, 0},
        {"[", NULL, 0},
        {"]:80", NULL, 0},
        {"1111111111111111111111111111111111111111111111111111111111111111111111:80", NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(listens); i++) {
        char host[64];
        unsigned port = 0;
        bool is = config_split_listen(listens[i].listen, host, &port);
        is_str(is ? host : NULL, listens[i].host, "'%s': address", listens[i].listen);
        is_int(is ? port : 0, listens[i].port, "'%s': port", listens[i].listen);
    }
}

int main(void)
{
    if (!mkdtemp(directory))
        return 1;
    snprintf(path, sizeof(path), "%s/config.yml", directory);
    test_files();
    test_bombs();
    test_values();
    test_example();
    test_order();
    test_given();
    test_origins();
    test_missing();
    test_listen();
    unlink(path);
    rmdir(directory);
    return tap_done();
}
