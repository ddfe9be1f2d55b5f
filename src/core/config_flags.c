/*
 * config_flags: reads argv and the environment, once, at the start of the program, and hides the secrets in them. The
 * parser is ours and not getopt's: that one takes abbreviations, which break when a new option arrives.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/config_private.h"
#include "core/mem.h"

#define FLAG_FIELD(name) .offset = offsetof(struct config_flags, name)

const struct config_flag config_flag_table[] = {
    {"port", "N", .setting = CONFIG_PORT,
     .text = "Port to listen on; the address stays 127.0.0.1 unless --listen sets it."},
    {"listen", "ADDRESS:PORT", .setting = "server.listen", .text = "Address and port to listen on."},
    {"data", "DIR", FLAG_FIELD(data), .path = true,
     .text = "The data directory, which is the whole state (default ./server-data)."},
    {"config", "FILE", FLAG_FIELD(config), .path = true,
     .text = "The configuration file (default DIR/config.yml, which need not exist)."},
    {"workers", "N", .setting = "server.workers", .text = "Worker processes; 0 means one for each processor."},
    {"user", "NAME", .setting = "server.user", .text = "System user to drop to when started as root."},
    {"pid-file", "FILE", .setting = "server.pid_file", .path = true,
     .text = "File to write the process id of the master to."},
    {"daemon", NULL, FLAG_FIELD(daemon), .text = "Go to the background when the server serves."},
    {"admin-user", "NAME", FLAG_FIELD(admin_user),
     .text = "Write this admin into the configuration file before starting."},
    {"admin-pass", "PASSWORD", FLAG_FIELD(admin_pass), .secret = true,
     .text = "The admin's password; other users may see it for a moment."},
    {"admin-pass-file", "FILE", FLAG_FIELD(admin_pass_file), .path = true,
     .text = "Read the admin's password from the first line of a file."},
    {"admin-pass-stdin", NULL, FLAG_FIELD(admin_pass_stdin),
     .text = "Read the admin's password from the first line of standard input."},
    {"check-config", NULL, FLAG_FIELD(check_config), .text = "Check the configuration and exit."},
    {"example-config", NULL, FLAG_FIELD(example_config),
     .text = "Print a configuration file with every option and exit."},
    {"routes", NULL, FLAG_FIELD(routes), .text = "Print the table of HTTP routes and exit."},
    {"version", NULL, FLAG_FIELD(version), .text = "Print the version and exit."},
    {"help", NULL, FLAG_FIELD(help), .text = "Print this help and exit."},
};

const size_t config_flag_count = ARRAY_SIZE(config_flag_table);

/* One argument of the command line while it is looked at. */
struct config_argument {
    const struct config_flag *flag;     /* one of both is set */
    const struct config_option *option; /* --SECTION.KEY */
    char *value;                        /* in argv; NULL when there is none */
};

static const struct config_flag *config_flag_find(const char *name)
{
    for (size_t i = 0; i < config_flag_count; i++)
        if (strcmp(config_flag_table[i].name, name) == 0)
            return &config_flag_table[i];
    return NULL;
}

static void config_list_append(char ***list, size_t *count, char *item)
{
    *list = mem_realloc(*list, (*count + 1) * sizeof(**list));
    (*list)[(*count)++] = item;
}

/* A heap copy; made absolute where a relative path is meant, since the master leaves the current directory. */
static char *config_flag_copy(const char *value, bool path)
{
    char *cwd = path && *value && *value != '/' ? getcwd(NULL, 0) : NULL;
    char *copy = cwd ? mem_printf("%s/%s", cwd, strncmp(value, "./", 2) == 0 ? value + 2 : value) : mem_strdup(value);
    free(cwd);
    return copy;
}

static bool config_flag_is_path(const struct config_argument *a)
{
    if (a->flag)
        return a->flag->path;
    return a->option->type == CONFIG_PATH ||
           (a->option->type == CONFIG_TARGET && strcmp(a->value, "stderr") != 0 && strcmp(a->value, "syslog") != 0);
}

/* The length stays as it is: the master measures argv when it writes process titles into it. */
static void config_flag_hide(const struct config_argument *a)
{
    bool secret = a->flag ? a->flag->secret : config_option_is_secret(a->option->name);
    if (secret && a->value)
        memset(a->value, '*', strlen(a->value));
}

static bool config_flag_set(struct config_flags *flags, const struct config_argument *a, struct strbuf *error)
{
    const char *name = a->flag ? a->flag->name : a->option->name;
    const char *setting = a->flag ? a->flag->setting : a->option->name;
    if (a->flag && !a->flag->argument) {
        *(bool *)((char *)flags + a->flag->offset) = true;
        return true;
    }
    char *value = config_flag_copy(a->value, config_flag_is_path(a));
    if (!setting) {
        char **field = (char **)((char *)flags + a->flag->offset);
        free(*field);
        *field = value;
        return *value || strbuf_error(error, "--%s: needs a value that is not empty", name);
    }
    struct strbuf reason = STRBUF_INIT;
    bool ok = config_value_check(setting, value, &reason) || strbuf_error(error, "--%s: %s", name, reason.data);
    strbuf_release(&reason);
    if (ok)
        config_list_append(&flags->settings, &flags->setting_count, mem_printf("%s=%s", setting, value));
    mem_wipe(value, strlen(value));
    free(value);
    return ok;
}

/* Finds out which flag argv[*i] is and where its value stands; *i moves on to a value of its own. */
static bool config_flag_scan(struct config_argument *a, int argc, char **argv, int *i, struct strbuf *error)
{
    const char *text = argv[*i];
    if (strncmp(text, "--", 2) != 0 || !text[2])
        return strbuf_error(error, "unexpected argument '%s'; see --help", text);
    char *equals = strchr(argv[*i], '=');
    char *name = mem_strndup(text + 2, equals ? (size_t)(equals - text - 2) : strlen(text + 2));
    *a = (struct config_argument){
        .flag = config_flag_find(name), .option = config_option_find(name), .value = equals ? equals + 1 : NULL};
    bool known = a->flag || a->option;
    bool valued = a->option || (a->flag && a->flag->argument);
    if (valued && !equals && *i + 1 < argc)
        a->value = argv[++*i];
    bool ok = !known                ? strbuf_error(error, "--%s: unknown flag; see --help", name)
              : !valued && equals   ? strbuf_error(error, "--%s: takes no value", name)
              : valued && !a->value ? strbuf_error(error, "--%s: needs a value", name)
                                    : true;
    free(name);
    return ok;
}

static bool config_flags_check(const struct config_flags *flags, struct strbuf *error)
{
    int passwords = (flags->admin_pass != NULL) + (flags->admin_pass_file != NULL) + flags->admin_pass_stdin;
    if (passwords > 1)
        return strbuf_error(error, "only one of --admin-pass, --admin-pass-file and --admin-pass-stdin is possible");
    if (passwords && !flags->admin_user)
        return strbuf_error(error, "--admin-pass, --admin-pass-file and --admin-pass-stdin need --admin-user");
    return true;
}

/* Overwrites the string as well: unsetenv() leaves it where /proc/PID/environ shows it. */
static void config_environment_hide(const char *name)
{
    char *value = getenv(name);
    if (value)
        mem_wipe(value, strlen(value));
    unsetenv(name);
}

/* An empty variable is none. */
static void config_flags_take_environment(struct config_flags *flags)
{
    for (size_t i = 0; i < config_variable_count; i++) {
        const struct config_variable *v = &config_variables[i];
        const char *value = getenv(v->name);
        if (value && *value)
            config_list_append(&flags->environment, &flags->environment_count, mem_printf("%s=%s", v->name, value));
        if (v->secret)
            config_environment_hide(v->name);
    }
}

bool config_flags_parse(struct config_flags *flags, int argc, char **argv, struct strbuf *error)
{
    bool ok = true;
    *flags = (struct config_flags){0};
    config_flags_take_environment(flags);
    for (int i = 1; ok && i < argc; i++) {
        struct config_argument a = {0};
        ok = config_flag_scan(&a, argc, argv, &i, error);
        if (ok) {
            ok = config_flag_set(flags, &a, error);
            config_flag_hide(&a);
        }
    }
    if (!flags->data)
        flags->data = config_flag_copy("./server-data", true);
    return ok && config_flags_check(flags, error);
}

static void config_list_free(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mem_wipe(list[i], strlen(list[i]));
        free(list[i]);
    }
    free(list);
}

void config_flags_release(struct config_flags *flags)
{
    if (flags->admin_pass)
        mem_wipe(flags->admin_pass, strlen(flags->admin_pass));
    free(flags->data);
    free(flags->config);
    free(flags->admin_user);
    free(flags->admin_pass);
    free(flags->admin_pass_file);
    config_list_free(flags->settings, flags->setting_count);
    config_list_free(flags->environment, flags->environment_count);
    *flags = (struct config_flags){0};
}

/* The value of `name=value` when that is the setting's name. */
static const char *config_setting_value(const char *setting, const char *name)
{
    size_t len = strlen(name);
    return strncmp(setting, name, len) == 0 && setting[len] == '=' ? setting + len + 1 : NULL;
}

/* The value that the list gives to the name; its last one counts. NULL when it gives none. */
static const char *config_settings_last(char *const *settings, size_t count, const char *name)
{
    const char *last = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *value = config_setting_value(settings[i], name);
        last = value ? value : last;
    }
    return last;
}

/* By the environment, because others can read argv. */
static void config_flags_pass_secret(const struct config_flags *flags, const struct config_variable *v, char ***argv,
                                     size_t *count)
{
    const char *by_flag = config_settings_last(flags->settings, flags->setting_count, v->setting);
    const char *by_variable = config_settings_last(flags->environment, flags->environment_count, v->name);
    const char *secret = by_flag ? by_flag : by_variable;
    if (secret && *secret)
        setenv(v->name, secret, 1);
    else if (secret) /* an empty variable is none, an empty flag takes back what the file says */
        config_list_append(argv, count, mem_printf("--%s=", v->setting));
}

/* The name of the option in "name=value" is a secret's. */
static bool config_setting_is_secret(const char *setting)
{
    char *name = mem_strndup(setting, strcspn(setting, "="));
    bool secret = config_option_is_secret(name);
    free(name);
    return secret;
}

char **config_flags_argv(const struct config_flags *flags, const char *program)
{
    char **argv = NULL;
    size_t count = 0;
    config_list_append(&argv, &count, mem_strdup(program));
    config_list_append(&argv, &count, mem_printf("--data=%s", flags->data));
    if (flags->config)
        config_list_append(&argv, &count, mem_printf("--config=%s", flags->config));
    for (size_t i = 0; i < flags->setting_count; i++)
        if (!config_setting_is_secret(flags->settings[i]))
            config_list_append(&argv, &count, mem_printf("--%s", flags->settings[i]));
    for (size_t i = 0; i < config_variable_count; i++)
        if (config_variables[i].secret)
            config_flags_pass_secret(flags, &config_variables[i], &argv, &count);
    config_list_append(&argv, &count, NULL);
    return argv;
}

void config_flags_argv_free(char ***argv)
{
    size_t count = 0;
    while ((*argv)[count])
        count++;
    config_list_free(*argv, count);
    *argv = NULL;
    for (size_t i = 0; i < config_variable_count; i++)
        if (config_variables[i].secret)
            config_environment_hide(config_variables[i].name);
}
