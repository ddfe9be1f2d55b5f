/*
 * reload: in the master.
 */
#include "proc/reload.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "core/hex.h"
#include "core/log.h"
#include "core/mem.h"
#include "db/cluster.h"

/* Texts that stay as long as the process lives; over an upgrade, too. */
static const struct reload_option {
    const char *name;
    size_t offset; /* of a char * in struct config */
} reload_options[] = {
    {"server.listen", offsetof(struct config, server_listen)},
    {"server.user", offsetof(struct config, server_user)},
    {"server.pid_file", offsetof(struct config, server_pid_file)},
    {"postgres.bin_dir", offsetof(struct config, postgres_bin_dir)},
    {"database.url", offsetof(struct config, database_url)},
};

static char **reload_field(struct config *config, const struct reload_option *option)
{
    return (char **)(void *)((char *)config + option->offset);
}

static const char *reload_value(const struct config *config, const struct reload_option *option)
{
    return *(char *const *)(const void *)((const char *)config + option->offset);
}

/* From one shared database to another is a reload; from or to the private one is not. */
static bool reload_may_change(const char *name, const char *fresh, const char *old)
{
    return strcmp(fresh, old) == 0 || (strcmp(name, "database.url") == 0 && *fresh && *old);
}

static void reload_keep(struct config *config, const struct reload_option *option, const char *old)
{
    char **field = reload_field(config, option);
    if (reload_may_change(option->name, *field, old))
        return;
    log_warning("%s changed: that needs a restart; the old value stays until then", option->name);
    free(*field);
    *field = mem_strdup(old);
}

struct config *reload_config(const struct config_flags *flags, const struct config *old, struct strbuf *error)
{
    struct config *fresh = config_load(flags, error);
    if (!fresh)
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(reload_options); i++)
        reload_keep(fresh, &reload_options[i], reload_value(old, &reload_options[i]));
    if (db_cluster_wanted(fresh) && db_cluster_connections(fresh) > db_cluster_connections(old))
        log_warning(
            "more workers or connections than before: the private PostgreSQL takes as many only after a restart");
    if (fresh->postgres_shared_buffers != old->postgres_shared_buffers)
        log_warning("postgres.shared_buffers changed: that needs a restart; the old value stays until then");
    fresh->postgres_shared_buffers = old->postgres_shared_buffers;
    return fresh;
}

/* The value in hexadecimal: a connection string may be written in several lines. */
void reload_export(const struct config *config, struct strbuf *lines)
{
    for (size_t i = 0; i < ARRAY_SIZE(reload_options); i++) {
        const char *value = reload_value(config, &reload_options[i]);
        char *hex = mem_alloc(2 * strlen(value) + 1);
        hex_encode(value, strlen(value), hex);
        strbuf_printf(lines, "%s %s\n", reload_options[i].name, hex);
        free(hex);
    }
}

static char *reload_decode(const char *hex)
{
    size_t len = strlen(hex) / 2;
    char *value = mem_zalloc(len + 1);
    if (hex_decode(hex, 2 * len, value))
        return value;
    free(value);
    return NULL;
}

void reload_import(struct config *config, const char *line)
{
    const char *hex = strchr(line, ' ');
    char *value = hex ? reload_decode(hex + 1) : NULL;
    for (size_t i = 0; value && i < ARRAY_SIZE(reload_options); i++) {
        const char *name = reload_options[i].name;
        if (strlen(name) == (size_t)(hex - line) && strncmp(name, line, strlen(name)) == 0)
            reload_keep(config, &reload_options[i], value);
    }
    free(value);
}
