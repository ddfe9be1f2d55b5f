/*
 * The configuration: defaults, then <data>/config.yml (or --config FILE), then the environment, then flags. The options
 * are the rows of core/options.def. Read by the master at start and at SIGHUP; children inherit it and never change it.
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
#define CONFIG_C_TARGET char *
#define CONFIG_C_ADDRESS char *
#define CONFIG_C_URL char *
#define CONFIG_C_CHOICE char *
#define CONFIG_C_INTEGER int64_t
#define CONFIG_C_SIZE int64_t
#define CONFIG_C_DURATION int64_t /* milliseconds */
#define CONFIG_C_BOOLEAN bool
#define CONFIG_C_NETWORKS struct config_list

struct config {
    char *data; /* --data: absolute; without symbolic links after config_resolve_data() */
    char *file; /* --config or <data>/config.yml: absolute; need not exist in the second case */
#define OPTION(section, key, type, def, min, max, unit, text) CONFIG_C_##type section##_##key;
#include "core/options.def"
#undef OPTION
    struct config_admin *admins;
    size_t admin_count;
    bool *given; /* by row of options.def; config_is_set() reads it */
};

/*
 * What command line and environment say of the server itself; the rest are options (--SECTION.KEY=VALUE sets any of
 * them). Strings are copies: argv and the environment may be overwritten afterwards. Paths are absolute.
 */
struct config_flags {
    char *data;   /* --data, default "./server-data" */
    char *config; /* --config */
    char *admin_user, *admin_pass, *admin_pass_file;
    bool admin_pass_stdin;
    bool daemon;       /* --daemon */
    bool check_config; /* --check-config */
    bool version, help, routes, example_config;
    char **settings; /* "section.key=value" of --listen, --workers, --pid-file, --user, --SECTION.KEY=VALUE, and
                        "port=value", in order */
    size_t setting_count;
    char **environment; /* "VERSTAK_PORT=value", … */
    size_t environment_count;
};

/*
 * Reads argv and the environment. Overwrites secrets in argv (--admin-pass, --database.url, --smtp.password) so that
 * `ps` does not show them, and takes VERSTAK_DATABASE_URL and VERSTAK_SMTP_PASSWORD out of the environment, so that
 * children do not inherit them; argv keeps its order and its strings their lengths. False with a message that names the
 * flag. Release it in both cases.
 */
bool config_flags_parse(struct config_flags *flags, int argc, char **argv, struct strbuf *error) WARN_UNUSED;
void config_flags_release(struct config_flags *flags);
/*
 * The arguments with which a new binary (USR2, --check-config) reads the same configuration: program, --data, --config
 * and settings, ending with NULL. Not among them are --daemon, --admin-* and the secrets, --database.url and
 * --smtp.password, which are put into the environment of this process instead, as is what config_flags_parse() took out
 * of it; config_flags_argv_free() takes them out again.
 */
char **config_flags_argv(const struct config_flags *flags, const char *program);
void config_flags_argv_free(char ***argv);

/*
 * Builds the configuration. A missing <data>/config.yml is an empty one; a missing --config FILE is an error. Errors
 * name file, line and key ("/data/config.yml:7: http.idle_timeout: …") or the environment variable or flag. The caller
 * frees with config_free().
 */
struct config *config_load(const struct config_flags *flags, struct strbuf *error) WARN_UNUSED;
void config_free(struct config **config);
/*
 * Did file, environment or flag give the option "section.key" a value? An empty text is none. False for a name that is
 * no option.
 */
bool config_is_set(const struct config *config, const char *name);
/*
 * Replaces the data directory, which exists by now, by its real path, in both: after the drop of privileges a directory
 * above it may not be searchable any more.
 */
bool config_resolve_data(struct config *config, struct config_flags *flags, struct strbuf *error) WARN_UNUSED;

void config_print_help(FILE *out);
/* The commented example with every option and its default: etc/config.yml is made from it. */
void config_print_example(FILE *out);

/*
 * Sets username's entry of `admin:` in the file (adds it or replaces the hash), atomically (temporary file, fsync,
 * rename), mode 0640, keeping every other line of the file as it is. The file keeps its owner; a new one that root
 * makes gets the directory's. An invalid file, user name or hash is refused and nothing is changed.
 */
bool config_write_admin(const char *file, const char *username, const char *password_hash,
                        struct strbuf *error) WARN_UNUSED;

/* "127.0.0.1:47732", "[::1]:0": numeric address without brackets, and port. False when it is none. */
bool config_split_listen(const char *listen, char host_r[64], unsigned *port_r) WARN_UNUSED;

#endif
