/* config_print: --help and --example-config, from the tables of options, flags and variables. */
#include <stdio.h>
#include <string.h>

#include "core/config_private.h"

#define CONFIG_HELP_COLUMN 30

/* What values the option takes, besides what its sentence says: "1s to 1h", "1 to 64 connections"; may append nothing.
 */
static void config_print_values(const struct config_option *o, struct strbuf *out)
{
    if (o->type == CONFIG_BOOLEAN)
        return; /* its default says it */
    config_value_range(o, out);
    if (*o->unit && o->type != CONFIG_CHOICE && o->type != CONFIG_SIZE)
        strbuf_printf(out, out->len ? " %s" : "%s", o->unit);
}

/* A term and its explanation, on the next line when the term is long. */
static void config_print_term(FILE *out, const char *term)
{
    if (strlen(term) + 4 > CONFIG_HELP_COLUMN)
        fprintf(out, "  %s\n%*s", term, CONFIG_HELP_COLUMN, "");
    else
        fprintf(out, "  %-*s", CONFIG_HELP_COLUMN - 2, term);
}

static void config_print_flags(FILE *out)
{
    for (size_t i = 0; i < config_flag_count; i++) {
        const struct config_flag *f = &config_flag_table[i];
        char term[64];
        snprintf(term, sizeof(term), "--%s%s%s", f->name, f->argument ? " " : "", f->argument ? f->argument : "");
        config_print_term(out, term);
        fprintf(out, "%s\n", f->text);
    }
    config_print_term(out, "--SECTION.KEY VALUE");
    fputs("Set any option of the configuration file (below).\n", out);
}

static void config_print_options(FILE *out)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *o = &config_options[i];
        config_print_term(out, o->name);
        struct strbuf values = STRBUF_INIT;
        config_print_values(o, &values);
        fprintf(out, "%s (default %s%s%s)\n", o->text, *o->fallback ? o->fallback : "empty", values.len ? "; " : "",
                values.data);
        strbuf_release(&values);
    }
}

static void config_print_variables(FILE *out)
{
    for (size_t i = 0; i < config_variable_count; i++) {
        const struct config_variable *v = &config_variables[i];
        bool port = strcmp(v->setting, CONFIG_PORT) == 0;
        config_print_term(out, v->name);
        fprintf(out, "%s%s\n", port ? "the port of " : "", port ? "server.listen" : v->setting);
    }
}

void config_print_help(FILE *out)
{
    fputs("Usage: verstak-sync-server [--port N] [--data DIR] [FLAG...]\n"
          "       verstak-sync-server user COMMAND [ARGUMENT...]\n"
          "       verstak-sync-server admin NAME [ARGUMENT...]\n"
          "\n"
          "Runs the Verstak Sync Server. Without flags it listens on 127.0.0.1:47732 and keeps everything, a private\n"
          "PostgreSQL included, in ./server-data. `verstak-sync-server user --help` tells how to manage users,\n"
          "`verstak-sync-server admin --help` how to make an admin.\n"
          "\n"
          "Flags (--FLAG VALUE or --FLAG=VALUE):\n",
          out);
    config_print_flags(out);
    fputs("\nOptions of the configuration file; a flag wins over the environment, that over the file:\n", out);
    config_print_options(out);
    fputs("\nEnvironment (an empty variable counts as none; lists are separated by commas):\n", out);
    config_print_variables(out);
    fputs(
        "\nSignals to the first process: TERM and INT stop (a second one at once), HUP reads the configuration again,\n"
        "USR1 reopens the log, USR2 changes to a new binary.\n",
        out);
}

static void config_print_example_option(const struct config_option *o, FILE *out)
{
    struct strbuf values = STRBUF_INIT;
    config_print_values(o, &values);
    const char *value = o->type == CONFIG_NETWORKS ? "[]" : *o->fallback ? o->fallback : "\"\"";
    fprintf(out, values.len ? "  # %s (%s)\n" : "  # %s\n", o->text, values.data);
    fprintf(out, "  #%s: %s\n", o->key, value);
    strbuf_release(&values);
}

void config_print_example(FILE *out)
{
    const char *section = "";
    fputs(
        "# Configuration of the Verstak Sync Server: config.yml in the data directory, or the file named by --config.\n"
        "# Every option stands here with its default; to set one, take away the # before its name. An unknown key or "
        "a\n"
        "# value out of range is an error: verstak-sync-server --check-config. Environment and flags win over this "
        "file.\n"
        "#\n"
        "# Sizes are bytes or carry KiB, MiB, GiB or TiB; durations carry ms, s, m, h or d. SIGHUP makes the server "
        "read\n"
        "# the file again; what cannot change in a running server is said in verstak-sync-server.yml(5).\n",
        out);
    for (size_t i = 0; i < config_option_count; i++) {
        if (strcmp(section, config_options[i].section) != 0) {
            section = config_options[i].section;
            fprintf(out, "\n%s:\n", section);
        }
        config_print_example_option(&config_options[i], out);
    }
    fputs("\n"
          "# Who may use the admin pages. --admin-user writes entries here, with the password as a bcrypt hash.\n"
          "#admin:\n"
          "#  - username: root\n"
          "#    password_hash: $2b$12$...\n",
          out);
}
