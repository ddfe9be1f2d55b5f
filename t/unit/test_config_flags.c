/* core/config_flags.c: argv, the environment, and that secrets do not stay in either */
#include <stdlib.h>
#include <unistd.h>

#include "core/config.h"
#include "core/mem.h"
#include "tap.h"

#define ARGV_MAX 12

/* argv as the kernel gives it: writable strings. */
struct arguments {
    int argc;
    char *argv[ARGV_MAX + 1];
};

static void arguments_set(struct arguments *a, const char *const *strings)
{
    *a = (struct arguments){.argc = 1, .argv = {mem_strdup("verstak-sync-server")}};
    for (; strings[a->argc - 1]; a->argc++)
        a->argv[a->argc] = mem_strdup(strings[a->argc - 1]);
}

static void arguments_free(struct arguments *a)
{
    for (int i = 0; i < a->argc; i++)
        free(a->argv[i]);
}

static const struct {
    const char *argv[ARGV_MAX];
    const char *error;
} errors[] = {
    {{"serve"}, "unexpected argument 'serve'; see --help"},
    {{"-p", "1"}, "unexpected argument '-p'; see --help"},
    {{"--"}, "unexpected argument '--'; see --help"},
    {{"--nothing"}, "--nothing: unknown flag; see --help"},
    {{"--=x"}, "--: unknown flag; see --help"},
    {{"--dat", "x"}, "--dat: unknown flag; see --help"},
    {{"--server", "x"}, "--server: unknown flag; see --help"},
    {{"--server.worker=1"}, "--server.worker: unknown flag; see --help"},
    {{"--port"}, "--port: needs a value"},
    {{"--log.health"}, "--log.health: needs a value"},
    {{"--data="}, "--data: needs a value that is not empty"},
    {{"--help=yes"}, "--help: takes no value"},
    {{"--admin-user", "a", "--admin-pass-stdin=x"}, "--admin-pass-stdin: takes no value"},
    {{"--port", "65536"}, "--port: '65536' is not a port (0 to 65535)"},
    {{"--port=-1"}, "--port: '-1' is not a port (0 to 65535)"},
    {{"--workers", "257"}, "--workers: '257' is out of range (0 to 256)"},
    {{"--server.workers=257"}, "--server.workers: '257' is out of range (0 to 256)"},
    {{"--listen", "8080"},
     "--listen: '8080' is not ADDRESS:PORT with a numeric address, like 127.0.0.1:47732 or [::1]:47732"},
    {{"--log.level=loud"}, "--log.level: 'loud' is not one of debug, info, warning or error"},
    {{"--database.url", "password=geheim\x01"}, "--database.url: the value has control characters or is not UTF-8"},
    {{"--admin-pass", "geheim"}, "--admin-pass, --admin-pass-file and --admin-pass-stdin need --admin-user"},
    {{"--admin-user=a", "--admin-pass=b", "--admin-pass-stdin"},
     "only one of --admin-pass, --admin-pass-file and --admin-pass-stdin is possible"},
};

static void test_errors(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        struct arguments a;
        struct config_flags flags;
        struct strbuf error = STRBUF_INIT;
        arguments_set(&a, errors[i].argv);
        ok(!config_flags_parse(&flags, a.argc, a.argv, &error), "%s is refused", errors[i].argv[0]);
        is_str(error.data, errors[i].error, "and named");
        config_flags_release(&flags);
        arguments_free(&a);
        strbuf_release(&error);
    }
}

static void test_fields(void)
{
    static const char *const argv[] = {"--data",         "/var/lib/x", "--config=/etc/x.yml", "--daemon",
                                       "--admin-user",   "=a=",        "--admin-pass-file",   "/run/pass",
                                       "--check-config", NULL};
    struct arguments a;
    struct config_flags flags;
    arguments_set(&a, argv);
    ok(config_flags_parse(&flags, a.argc, a.argv, NULL), "flags that have a field");
    is_str(flags.data, "/var/lib/x", "--data");
    is_str(flags.config, "/etc/x.yml", "--config");
    is_str(flags.admin_user, "=a=", "--admin-user");
    is_str(flags.admin_pass_file, "/run/pass", "--admin-pass-file");
    ok(flags.daemon && flags.check_config && !flags.admin_pass_stdin && !flags.version && !flags.help, "switches");
    is_int(flags.setting_count, 0, "no settings");
    is_str(a.argv[2], "/var/lib/x", "argv keeps what is no secret");
    config_flags_release(&flags);
    arguments_free(&a);
}

/* The master leaves the directory that it was started in. */
static void test_paths(void)
{
    static const char *const argv[] = {"--config",           "a.yml", "--pid-file=./run/pid",
                                       "--log.file",         "log/x", "--log.file=syslog",
                                       "--server.pid_file=", NULL};
    struct arguments a;
    struct config_flags flags;
    struct strbuf error = STRBUF_INIT;
    char *cwd = getcwd(NULL, 0);
    arguments_set(&a, argv);
    ok(config_flags_parse(&flags, a.argc, a.argv, &error), "relative paths %s", error.data);
    char *data = mem_printf("%s/server-data", cwd), *config = mem_printf("%s/a.yml", cwd);
    char *pid = mem_printf("server.pid_file=%s/run/pid", cwd), *log = mem_printf("log.file=%s/log/x", cwd);
    is_str(flags.data, data, "the default data directory");
    is_str(flags.config, config, "the file");
    is_int(flags.setting_count, 4, "four settings");
    is_str(flags.settings[0], pid, "a PATH");
    is_str(flags.settings[1], log, "a TARGET that is a path");
    is_str(flags.settings[2], "log.file=syslog", "one that is a word");
    is_str(flags.settings[3], "server.pid_file=", "an empty PATH");
    char *all[] = {cwd, data, config, pid, log};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        free(all[i]);
    config_flags_release(&flags);
    arguments_free(&a);
    strbuf_release(&error);
}

static void test_secrets(void)
{
    static const char *const argv[] = {"--admin-user", "a", "--admin-pass",   "geheim",   "--database.url=geheim",
                                       "--port",       "1", "--database.url", "geheimer", NULL};
    struct arguments a;
    struct config_flags flags;
    arguments_set(&a, argv);
    ok(config_flags_parse(&flags, a.argc, a.argv, NULL), "flags with secrets");
    is_str(flags.admin_pass, "geheim", "the password is kept");
    is_str(flags.settings[2], "database.url=geheimer", "and the connection string");
    is_str(a.argv[4], "******", "but not in argv");
    is_str(a.argv[5], "--database.url=******", "nor behind an equals sign");
    is_str(a.argv[9], "********", "nor as an argument of its own");
    is_str(a.argv[7], "1", "what is no secret stays");
    config_flags_release(&flags);
    ok(!flags.admin_pass && !flags.settings, "released, nothing is left");
    arguments_free(&a);
}

static void test_environment(void)
{
    static const char *const argv[] = {NULL};
    static char secret[] = "VERSTAK_DATABASE_URL=host=db password=geheim";
    static char smtp[] = "VERSTAK_SMTP_PASSWORD=vertraulich";
    struct arguments a;
    struct config_flags flags;
    struct strbuf error = STRBUF_INIT;
    setenv("VERSTAK_PORT", "1234", 1);
    setenv("VERSTAK_LISTEN", "", 1);
    setenv("VERSTAK_TRUSTED_PROXIES", "10.0.0.0/8, ::1", 1);
    setenv("VERSTAK_PUBLIC_URL", "https://a.example", 1);
    putenv(secret);
    putenv(smtp);
    arguments_set(&a, argv);
    ok(config_flags_parse(&flags, a.argc, a.argv, &error), "variables %s", error.data);
    ok(!getenv("VERSTAK_DATABASE_URL"), "a child does not inherit the connection string");
    ok(!memmem(secret, sizeof(secret), "geheim", 6), "nor does it stay in /proc/PID/environ");
    ok(!getenv("VERSTAK_SMTP_PASSWORD") && !memmem(smtp, sizeof(smtp), "vertraulich", 11), "nor does SMTP's password");
    is_str(getenv("VERSTAK_PORT"), "1234", "the others stay");
    flags.config = mem_strdup("/dev/null");
    struct config *c = config_load(&flags, &error);
    is_str(c ? c->database_url : error.data, "host=db password=geheim", "but the configuration has it");
    is_str(c ? c->smtp_password : error.data, "vertraulich", "… and SMTP's password");
    is_str(c ? c->server_listen : "", "127.0.0.1:1234", "an empty variable is none");
    is_int(c ? c->server_trusted_proxies.count : 0, 2, "a list");
    is_str(c ? c->server_public_url : "", "https://a.example", "a URL");
    config_free(&c);
    c = config_load(&flags, NULL);
    is_str(c ? c->database_url : "", "host=db password=geheim", "also when it is read again");
    config_free(&c);
    config_flags_release(&flags);
    unsetenv("VERSTAK_PORT");
    unsetenv("VERSTAK_LISTEN");
    unsetenv("VERSTAK_TRUSTED_PROXIES");
    unsetenv("VERSTAK_PUBLIC_URL");
    arguments_free(&a);
    strbuf_release(&error);
}

/* SMTP's password goes the way of the connection string. */
static void test_argv_password(void)
{
    static const struct {
        const char *variable;
        const char *argv[ARGV_MAX];
        const char *password;
    } cases[] = {
        {"by variable", {"--smtp.host=mx"}, "by variable"},
        {"by variable", {"--smtp.password", "by flag", "--database.url=other flag"}, "by flag"},
        {"by variable", {"--smtp.password="}, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct arguments a;
        struct config_flags flags, again;
        int argc = 0;
        bool seen = false;
        setenv("VERSTAK_SMTP_PASSWORD", cases[i].variable, 1);
        arguments_set(&a, cases[i].argv);
        ok(config_flags_parse(&flags, a.argc, a.argv, NULL), "password %zu", i);
        for (int n = 0; n < a.argc; n++)
            seen |= strstr(a.argv[n], "flag") != NULL;
        char **argv = config_flags_argv(&flags, "prog");
        for (; argv[argc]; argc++)
            seen |= strstr(argv[argc], "flag") != NULL;
        ok(!seen, "… stands in no argv");
        ok(config_flags_parse(&again, argc, argv, NULL), "… and is read again");
        config_flags_argv_free(&argv);
        ok(!getenv("VERSTAK_SMTP_PASSWORD") && !getenv("VERSTAK_DATABASE_URL"), "… the environment is clean");
        struct config *c = config_load(&again, NULL);
        is_str(c ? c->smtp_password : "none", cases[i].password, "… as it was");
        config_free(&c);
        config_flags_release(&flags);
        config_flags_release(&again);
        arguments_free(&a);
    }
}

/* What a new binary is started with reads as the same configuration. */
static void test_argv(void)
{
    static const struct {
        const char *variable;
        const char *argv[ARGV_MAX];
        const char *url;
    } cases[] = {
        {NULL, {"--data=/d", "--workers=3", "--port", "1", "--daemon"}, ""},
        {"by variable", {"--data=/d", "--workers=3", "--port", "1"}, "by variable"},
        {"by variable", {"--data=/d", "--workers=3", "--port", "1", "--database.url", "by flag"}, "by flag"},
        {"by variable", {"--data=/d", "--workers=3", "--port", "1", "--database.url="}, ""},
        {NULL, {"--data=/d", "--workers=3", "--port", "1", "--database.url=", "--database.url=last"}, "last"},
        {NULL,
         {"--data=/d", "--workers=3", "--port", "1", "--config=/dev/null", "--admin-user=a", "--admin-pass=b"},
         ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct arguments a;
        struct config_flags flags, again;
        int argc = 0;
        if (cases[i].variable)
            setenv("VERSTAK_DATABASE_URL", cases[i].variable, 1);
        arguments_set(&a, cases[i].argv);
        ok(config_flags_parse(&flags, a.argc, a.argv, NULL), "flags %zu", i);
        char **argv = config_flags_argv(&flags, "prog");
        for (; argv[argc]; argc++)
            if (strstr(argv[argc], "by flag") || strstr(argv[argc], "last"))
                ok(false, "a secret in argv: %s", argv[argc]);
        ok(config_flags_parse(&again, argc, argv, NULL), "… once more, from what it gives");
        config_flags_argv_free(&argv);
        ok(!getenv("VERSTAK_DATABASE_URL"), "… the environment is clean");
        struct config *c = config_load(&again, NULL);
        is_str(c ? c->data : "", "/d", "… data");
        is_str(c ? c->server_listen : "", "127.0.0.1:1", "… port");
        is_int(c ? c->server_workers : -1, 3, "… workers");
        is_str(c ? c->database_url : "none", cases[i].url, "… connection string");
        is_str(again.config, flags.config, "… file");
        ok(!again.daemon && !again.admin_user && !again.admin_pass, "… and nothing that is done once");
        config_free(&c);
        config_flags_release(&flags);
        config_flags_release(&again);
        arguments_free(&a);
    }
}

int main(void)
{
    unsetenv("VERSTAK_DATABASE_URL");
    unsetenv("VERSTAK_PORT");
    unsetenv("VERSTAK_LISTEN");
    test_errors();
    test_fields();
    test_paths();
    test_secrets();
    test_environment();
    test_argv();
    test_argv_password();
    return tap_done();
}
