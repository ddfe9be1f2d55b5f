/*
 * config: builds the configuration out of defaults, file, environment and flags, in this order. Runs in the master at
 * start and at SIGHUP, and in the commands; children inherit the result. The other files: config_yaml.c reads the file,
 * config_value.c one value, config_flags.c argv and environment, config_admin.c writes, config_print.c prints.
 */
#include "core/config.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/config_private.h"
#include "core/mem.h"

const struct config_option config_options[] = {
#define OPTION(section, key, type, def, min, max, unit, text) \
    {#section,                                                \
     #key,                                                    \
     #section "." #key,                                       \
     CONFIG_##type,                                           \
     def,                                                     \
     min,                                                     \
     max,                                                     \
     unit,                                                    \
     text,                                                    \
     offsetof(struct config, section##_##key)},
#include "core/options.def"
#undef OPTION
};

const size_t config_option_count = ARRAY_SIZE(config_options);

/* In the order in which they are applied: the port changes what the address set. */
const struct config_variable config_variables[] = {
    {"VERSTAK_LISTEN", "server.listen", false},         {"VERSTAK_PORT", CONFIG_PORT, false},
    {"VERSTAK_PUBLIC_URL", "server.public_url", false}, {"VERSTAK_TRUSTED_PROXIES", "server.trusted_proxies", false},
    {"VERSTAK_DATABASE_URL", "database.url", true},     {"VERSTAK_SMTP_PASSWORD", "smtp.password", true},
};

const size_t config_variable_count = ARRAY_SIZE(config_variables);

const struct config_option *config_option_find(const char *name)
{
    for (size_t i = 0; i < config_option_count; i++)
        if (strcmp(config_options[i].name, name) == 0)
            return &config_options[i];
    return NULL;
}

bool config_option_is_secret(const char *name)
{
    for (size_t i = 0; i < config_variable_count; i++)
        if (config_variables[i].secret && strcmp(config_variables[i].setting, name) == 0)
            return true;
    return false;
}

void config_note_given(struct config *config, const struct config_option *option, bool empty)
{
    config->given[option - config_options] = !empty;
}

bool config_is_set(const struct config *config, const char *name)
{
    const struct config_option *option = config_option_find(name);
    return option && config->given && config->given[option - config_options];
}

struct config *config_new(void)
{
    struct config *config = mem_zalloc(sizeof(*config));
    config->given = mem_zalloc(config_option_count * sizeof(*config->given));
    struct strbuf error = STRBUF_INIT;
    for (size_t i = 0; i < config_option_count; i++)
        if (!config_value_set(config, &config_options[i], config_options[i].fallback, &error))
            abort(); /* a row of options.def is wrong; t/unit/test_config.c finds it */
    return config;
}

void config_free(struct config **config)
{
    struct config *c = *config;
    if (!c)
        return;
    mem_wipe(c->database_url, strlen(c->database_url));
    mem_wipe(c->smtp_password, strlen(c->smtp_password));
    free(c->given);
    for (size_t i = 0; i < config_option_count; i++)
        config_value_clear(c, &config_options[i]);
    for (size_t i = 0; i < c->admin_count; i++) {
        free(c->admins[i].username);
        free(c->admins[i].password_hash);
    }
    free(c->admins);
    free(c->data);
    free(c->file);
    free(c);
    *config = NULL;
}

static bool config_load_file(struct config *config, bool must_exist, struct strbuf *error)
{
    struct strbuf text = STRBUF_INIT;
    bool ok;
    if (config_file_read(config->file, &text))
        ok = config_yaml_load(config, config->file, &text, error);
    else if (errno == ENOENT && !must_exist)
        ok = true;
    else
        ok = strbuf_error(error, "cannot read '%s': %s", config->file,
                          errno ? strerror(errno) : "it is larger than a configuration may be (1 MiB)");
    mem_wipe(text.data, text.len); /* secrets may be in it */
    strbuf_release(&text);
    return ok;
}

/* Sets an option (or the port) from outside the file; `origin` is the variable or flag, for the message. */
static bool config_apply(struct config *config, const char *setting, const char *origin, const char *value,
                         struct strbuf *error)
{
    struct strbuf reason = STRBUF_INIT;
    const struct config_option *option = config_option_find(setting);
    bool ok = option ? config_value_set(config, option, value, &reason) : config_value_set_port(config, value, &reason);
    if (!ok)
        strbuf_error(error, "%s: %s", origin, reason.data);
    else
        config_note_given(config, option ? option : config_option_find("server.listen"), !*value);
    strbuf_release(&reason);
    return ok;
}

static bool config_load_environment(struct config *config, const struct config_flags *flags, struct strbuf *error)
{
    for (size_t i = 0; i < config_variable_count; i++) {
        const struct config_variable *v = &config_variables[i];
        size_t len = strlen(v->name);
        for (size_t n = 0; n < flags->environment_count; n++) {
            const char *entry = flags->environment[n];
            if (strncmp(entry, v->name, len) == 0 && entry[len] == '=' &&
                !config_apply(config, v->setting, v->name, entry + len + 1, error))
                return false;
        }
    }
    return true;
}

/* `ports` says whether this pass applies --port or everything else: --port wins over --listen, wherever it stands. */
static bool config_load_settings(struct config *config, const struct config_flags *flags, bool ports,
                                 struct strbuf *error)
{
    for (size_t i = 0; i < flags->setting_count; i++) {
        const char *setting = flags->settings[i];
        size_t len = strcspn(setting, "=");
        char *flag = mem_printf("--%.*s", (int)len, setting);
        bool wanted = (strcmp(flag + 2, CONFIG_PORT) == 0) == ports;
        bool ok = !wanted || config_apply(config, flag + 2, flag, setting + len + 1, error);
        free(flag);
        if (!ok)
            return false;
    }
    return true;
}

struct config *config_load(const struct config_flags *flags, struct strbuf *error)
{
    struct config *config = config_new();
    config->data = mem_strdup(flags->data);
    config->file = flags->config ? mem_strdup(flags->config) : mem_printf("%s/config.yml", flags->data);
    if (!config_load_file(config, flags->config != NULL, error) || !config_load_environment(config, flags, error) ||
        !config_load_settings(config, flags, false, error) || !config_load_settings(config, flags, true, error))
        config_free(&config);
    return config;
}

bool config_resolve_data(struct config *config, struct config_flags *flags, struct strbuf *error)
{
    char path[PATH_MAX];
    if (!realpath(flags->data, path))
        return strbuf_error(error, "cannot find the data directory '%s': %s", flags->data, strerror(errno));
    free(flags->data);
    flags->data = mem_strdup(path);
    free(config->data);
    config->data = mem_strdup(path);
    if (!flags->config) {
        free(config->file);
        config->file = mem_printf("%s/config.yml", path);
    }
    return true;
}
