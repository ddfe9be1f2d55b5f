/* Fuzzes config.yml: any bytes give a configuration or an error with a line; what loads takes an admin entry, too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/config_private.h"

#define HASH "$2b$04$abcdefghijklmnopqrstuukgAkTNo0pgwTpCpHjZzyaVMqOEmRJPe"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char in_memory[] = "/dev/shm/fuzz_config.XXXXXX", elsewhere[] = "/tmp/fuzz_config.XXXXXX";
static const char *directory;
static char path[64];

static void clean_up(void)
{
    unlink(path);
    rmdir(directory);
}

static void set_up(void)
{
    directory = mkdtemp(in_memory);
    if (!directory)
        directory = mkdtemp(elsewhere);
    if (!directory)
        abort();
    snprintf(path, sizeof(path), "%s/config.yml", directory);
    atexit(clean_up);
}

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Numbers lie in their ranges, texts are there. */
static void check_values(const struct config *config)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *o = &config_options[i];
        const void *field = (const char *)config + o->offset;
        if (o->type == CONFIG_INTEGER || o->type == CONFIG_SIZE || o->type == CONFIG_DURATION)
            require(*(const int64_t *)field >= o->min && *(const int64_t *)field <= o->max);
        else if (o->type != CONFIG_BOOLEAN && o->type != CONFIG_NETWORKS)
            require(*(char *const *)field != NULL);
    }
    for (size_t i = 0; i < config->admin_count; i++)
        require(config_admin_check(config->admins[i].username, config->admins[i].password_hash, NULL));
}

/* Either refused, and the file is as it was, or it loads with the entry. */
static void check_admin(const struct strbuf *text)
{
    struct strbuf after = STRBUF_INIT;
    struct config *config = config_new();
    FILE *f = fopen(path, "w");
    require(f && fwrite(text->data, 1, text->len, f) == text->len && fclose(f) == 0);
    bool written = config_write_admin(path, "eve", HASH, NULL);
    require(config_file_read(path, &after));
    require(written || (after.len == text->len && memcmp(after.data, text->data, text->len) == 0));
    require(config_yaml_load(config, path, &after, NULL));
    require(!written || config->admin_count);
    config_free(&config);
    strbuf_release(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct strbuf text = STRBUF_INIT, error = STRBUF_INIT;
    struct config *config = config_new();
    if (!*path)
        set_up();
    strbuf_append(&text, data, size);
    bool loaded = config_yaml_load(config, "config.yml", &text, &error);
    require(loaded ? error.len == 0 : strncmp(error.data, "config.yml:", 11) == 0);
    if (loaded) {
        check_values(config);
        check_admin(&text);
    }
    config_free(&config);
    strbuf_release(&text);
    strbuf_release(&error);
    return 0;
}
