/* What the files of core/config*.c share: the options and flags as tables, and the steps of config_load(). */
#ifndef CORE_CONFIG_PRIVATE_H
#define CORE_CONFIG_PRIVATE_H

#include "core/config.h"

enum config_type {
    CONFIG_STRING,
    CONFIG_PATH,
    CONFIG_TARGET,
    CONFIG_ADDRESS,
    CONFIG_URL,
    CONFIG_CHOICE,
    CONFIG_INTEGER,
    CONFIG_SIZE,
    CONFIG_DURATION,
    CONFIG_BOOLEAN,
    CONFIG_NETWORKS,
};

struct config_option {
    const char *section, *key;
    const char *name; /* "section.key" */
    enum config_type type;
    const char *fallback; /* default, in the notation of the file */
    int64_t min, max;
    const char *unit, *text;
    size_t offset; /* of the field in struct config */
};

extern const struct config_option config_options[];
extern const size_t config_option_count;

/* By "section.key"; NULL when there is none. */
const struct config_option *config_option_find(const char *name);

#define CONFIG_PORT "port" /* pseudo option of --port and VERSTAK_PORT: the port of server.listen */

/* A flag that is not --SECTION.KEY. */
struct config_flag {
    const char *name;     /* without "--" */
    const char *argument; /* how help calls it; NULL: takes none, and the field is a bool */
    const char *setting;  /* option that it sets, or CONFIG_PORT; NULL: it has a field of struct config_flags */
    size_t offset;
    bool path;   /* relative to the current directory */
    bool secret; /* overwritten in argv */
    const char *text;
};

extern const struct config_flag config_flag_table[];
extern const size_t config_flag_count;

struct config_variable {
    const char *name;    /* in the environment */
    const char *setting; /* option that it sets, or CONFIG_PORT */
    bool secret;         /* taken out of the environment */
};

extern const struct config_variable config_variables[];
extern const size_t config_variable_count;

/* Secrets are the options that a secret variable sets: hidden in argv, too. */
bool config_option_is_secret(const char *name);

/* --- config_value.c: one value; errors are the reason alone ("'x' is not a number"), the caller says where it stood
 * --- */

/* Parses text (a list is separated by commas) and stores it in the option's field, in place of what was there. */
bool config_value_set(struct config *config, const struct config_option *option, const char *text,
                      struct strbuf *error) WARN_UNUSED;
/* The same for the items of a list that stood as such in the file. */
bool config_value_set_list(struct config *config, const struct config_option *option, char *const *items, size_t count,
                           struct strbuf *error) WARN_UNUSED;
/* Sets the port of server.listen, keeping its address. */
bool config_value_set_port(struct config *config, const char *text, struct strbuf *error) WARN_UNUSED;
/* Whether `setting` (name of an option, or CONFIG_PORT) takes this text. */
bool config_value_check(const char *setting, const char *text, struct strbuf *error) WARN_UNUSED;
void config_value_clear(struct config *config, const struct config_option *option);
/* The option's range ("1s to 10m", "debug, info, warning or error"), or "" where it has none. */
void config_value_range(const struct config_option *option, struct strbuf *out);

bool config_admin_check(const char *username, const char *password_hash, struct strbuf *error) WARN_UNUSED;

/* --- config_yaml.c --- */

/* Reads a whole file of at most 1 MiB. False with errno 0 when it is larger. */
bool config_file_read(const char *file, struct strbuf *out) WARN_UNUSED;
/* Stores the text's values in config. `file` is for messages. */
bool config_yaml_load(struct config *config, const char *file, const struct strbuf *text,
                      struct strbuf *error) WARN_UNUSED;

/* --- config.c --- */

/* With the default of every option. */
struct config *config_new(void);
/* Notes that file, environment or flag gave the option this text: config_is_set(). */
void config_note_given(struct config *config, const struct config_option *option, bool empty);

#endif
