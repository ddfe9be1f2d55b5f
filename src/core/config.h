/*
 * The configuration: defaults, then <data>/config.yml (or --config FILE), then the environment, then flags. The options are
 * the rows of core/options.def. Read by the master at start and at SIGHUP; children inherit it and never change it.
 */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct config_list {
    char **items;
    size_t count;
};

/* One entry of `admin:`. */
struct config_admin {
    char *username;
    char *password_hash; /* bcrypt */
};

#define CONFIG_C_STRING char *
#define CONFIG_C_PATH char *
#define CONFIG_C_CHOICE char *
#define CONFIG_C_INTEGER int64_t
#define CONFIG_C_SIZE int64_t
#define CONFIG_C_DURATION int64_t /* milliseconds */
#define CONFIG_C_BOOLEAN bool
#define CONFIG_C_LIST struct config_list

struct config {
    char *data; /* --data: absolute after config_resolve_data() */
    char *file; /* --config or <data>/config.yml */
#define OPTION(section, key, type, def, min, max, unit, text) CONFIG_C_##type section##_##key;
#include "core/options.def"
#undef OPTION
    struct config_admin *admins;
    size_t admin_count;
};

/* What the command line says of the server itself; the rest are options (--SECTION.KEY=VALUE sets any of them). */
struct config_flags {
    char *data;   /* --data, default "./server-data" */
    char *config; /* --config */
    char *admin_user, *admin_pass, *admin_pass_file;
    bool admin_pass_stdin;
    bool daemon;       /* --daemon */
    bool check_config; /* --check-config */
    bool version, help, routes;
    char **settings; /* "section.key=value" of --listen, --port, --workers, --pid-file, --user, --SECTION.KEY=VALUE, in order */
    size_t setting_count;
};

/*
 * Reads argv (getopt_long). Overwrites secrets in argv (--admin-pass, a database.url) so that `ps` does not show them.
 * False with a message that names the flag.
 */
bool config_flags_parse(struct config_flags *flags, int argc, char **argv, struct strbuf *error) WARN_UNUSED;
void config_flags_release(struct config_flags *flags);

/*
 * Builds the configuration. A missing <data>/config.yml is an empty one; a missing --config FILE is an error. Errors name file, line and
 * key ("/data/config.yml:7: http.idle_timeout: …") or the environment variable or flag. The caller frees with config_free().
 */
struct config *config_load(const struct config_flags *flags, struct strbuf *error) WARN_UNUSED;
void config_free(struct config **config);

void config_print_help(FILE *out);
/* The commented example with every option and its default: etc/config.yml is made from it. */
void config_print_example(FILE *out);

/*
 * Sets username's entry of `admin:` in the file (adds it or replaces the hash), atomically (temporary file, fsync, rename), mode 0640, keeping every
 * other line of the file as it is.
 */
bool config_write_admin(const char *file, const char *username, const char *password_hash, struct strbuf *error) WARN_UNUSED;

/* "127.0.0.1:47732", "[::1]:0": host without brackets and port. False when it is none. */
bool config_split_listen(const char *listen, char host_r[64], unsigned *port_r) WARN_UNUSED;

#endif
