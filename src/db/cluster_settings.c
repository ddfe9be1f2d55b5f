/*
 * cluster_settings: <data>/postgres/verstak.conf, written anew at each start of the private PostgreSQL, in the postgres
 * child. What an operator wants otherwise goes through ALTER SYSTEM (postgresql.auto.conf is read after it).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/config.h"
#include "core/machine.h"
#include "core/mem.h"
#include "db/cluster.h"
#include "db/cluster_private.h"

#define MIB (UINT64_C(1024) * 1024)
#define SETTINGS_FILE "verstak.conf"
#define SETTINGS_SPARE_CONNECTIONS \
    20 /* migrate, mailer, janitor, the command line, a person with psql, PostgreSQL's reserve */
#define SETTINGS_CONNECTIONS_MIN 100
#define SETTINGS_CONNECTIONS_MAX 10000

static uint64_t settings_clamp(uint64_t value, uint64_t least, uint64_t most)
{
    return value < least ? least : value > most ? most : value;
}

static uint64_t settings_shared_buffers(const struct config *config)
{
    if (config->postgres_shared_buffers)
        return settings_clamp((uint64_t)config->postgres_shared_buffers, MIB, UINT64_MAX);
    return settings_clamp(machine_memory() / 8, 64 * MIB, 2048 * MIB);
}

/* During a reload or an upgrade both generations of workers are connected. */
unsigned db_cluster_connections(const struct config *config)
{
    uint64_t workers = config->server_workers ? (uint64_t)config->server_workers : machine_processors();
    uint64_t each = (uint64_t)(config->database_read_connections + config->database_work_connections);
    return (unsigned)settings_clamp(2 * workers * each + SETTINGS_SPARE_CONNECTIONS, SETTINGS_CONNECTIONS_MIN,
                                    SETTINGS_CONNECTIONS_MAX);
}

/* Was PostgreSQL built with this value of the setting? It says so when asked to print it. */
static bool settings_known(const struct cluster_paths *paths, const struct cluster_programs *programs, const char *name,
                           const char *value)
{
    struct strbuf answer = STRBUF_INIT;
    char *setting = mem_printf("%s=%s", name, value);
    const char *argv[] = {"postgres", "-D", paths->pgdata, "-C", name, "-c", setting, NULL};
    struct cluster_run run = {.dir = programs->dir, .cwd = paths->pgdata, .output = -1, .answer = &answer};
    bool known = cluster_programs_run(&run, argv) == 0;
    strbuf_release(&answer);
    free(setting);
    return known;
}

/* A string in a configuration file; in a list of directories each stands in double quotes of its own. */
static void settings_directory(struct strbuf *text, const char *name, const char *directory)
{
    strbuf_printf(text, "%s = '\"", name);
    for (const char *c = directory; *c; c++) {
        if (*c == '\'' || *c == '\\')
            strbuf_append_char(text, '\\');
        if (*c == '"')
            strbuf_append_char(text, '"');
        strbuf_append_char(text, *c);
    }
    strbuf_append_str(text, "\"'\n");
}

static void settings_connecting(struct strbuf *text, const struct config *config, const struct cluster_paths *paths)
{
    strbuf_append_str(text, "# Connections: through the socket in our directory only.\n"
                            "listen_addresses = ''\n");
    strbuf_printf(text, "port = %d\n", CLUSTER_PORT);
    settings_directory(text, "unix_socket_directories", paths->run);
    strbuf_append_str(text, "unix_socket_permissions = 0700\n"
                            "cluster_name = 'verstak'\n");
    strbuf_printf(text, "max_connections = %u\n", db_cluster_connections(config));
}

static void settings_memory(struct strbuf *text, const struct config *config)
{
    uint64_t memory = machine_memory();
    strbuf_append_str(text, "\n# Memory: of this machine's, which others use, too.\n");
    strbuf_printf(text, "shared_buffers = %" PRIu64 "kB\n", settings_shared_buffers(config) / 1024);
    strbuf_printf(text, "effective_cache_size = %" PRIu64 "MB\n", settings_clamp(memory / 2 / MIB, 64, 1048576));
    strbuf_printf(text, "maintenance_work_mem = %" PRIu64 "MB\n", settings_clamp(memory / 32 / MIB, 32, 512));
    strbuf_append_str(text, "huge_pages = try\n");
}

static void settings_durability(struct strbuf *text, bool lz4_wal)
{
    strbuf_append_str(text,
                      "\n# Durability: what was answered with 200 survives any crash. wal_level replica costs an\n"
                      "# append-mostly log next to nothing and allows online backups (pg_basebackup).\n"
                      "fsync = on\n"
                      "synchronous_commit = on\n"
                      "full_page_writes = on\n"
                      "wal_level = replica\n");
    strbuf_printf(text, "wal_compression = %s\n", lz4_wal ? "lz4" : "on");
    strbuf_append_str(text, "max_wal_size = 2GB\n"
                            "min_wal_size = 160MB\n"
                            "checkpoint_timeout = 15min\n"
                            "checkpoint_completion_target = 0.9\n");
}

static void settings_upkeep(struct strbuf *text, bool lz4_toast)
{
    strbuf_append_str(text,
                      "\n# Upkeep: tables that only grow are visited by autovacuum for their inserts, in small steps, "
                      "and often enough\n"
                      "# for index-only scans; counters and queues, which change all the time, after fewer dead rows.\n"
                      "autovacuum_naptime = 30s\n"
                      "autovacuum_vacuum_scale_factor = 0.05\n"
                      "autovacuum_vacuum_insert_scale_factor = 0.05\n"
                      "autovacuum_analyze_scale_factor = 0.02\n"
                      "autovacuum_vacuum_cost_limit = 1000\n");
    if (lz4_toast)
        strbuf_append_str(text, "default_toast_compression = lz4\n");
    strbuf_append_str(
        text, "\n# Planning: short statements on solid-state disks; compiling one takes longer than running it.\n"
              "jit = off\n"
              "random_page_cost = 1.1\n");
}

/* The master adds time, level and process. Statements are logged without their parameters, which may be secrets. */
static void settings_logging(struct strbuf *text)
{
    strbuf_append_str(text, "\n# Log: to the master, which makes these lines part of the server's log.\n"
                            "log_destination = stderr\n"
                            "logging_collector = off\n"
                            "log_line_prefix = '[%p] '\n"
                            "log_min_messages = warning\n"
                            "log_checkpoints = off\n"
                            "log_connections = off\n"
                            "log_disconnections = off\n"
                            "log_parameter_max_length = 0\n"
                            "log_parameter_max_length_on_error = 0\n"
                            "log_timezone = UTC\n"
                            "timezone = UTC\n"
                            "lc_messages = C\n");
}

/* The text of postgresql.conf; does it include our settings? */
static bool settings_read(const char *path, struct strbuf *text, bool *included_r)
{
    char line[1024];
    FILE *file = fopen(path, "re");
    *included_r = false;
    while (file && fgets(line, sizeof(line), file)) {
        strbuf_append_str(text, line);
        if (strncmp(line, "include", 7) == 0 && strstr(line, "'" SETTINGS_FILE "'"))
            *included_r = true;
    }
    bool read = file && !ferror(file);
    if (file)
        fclose(file);
    return read;
}

/* postgresql.conf stays the operator's, but for its last line. It is replaced whole: on a full disk a part of that line
 * would keep PostgreSQL from starting for good. */
static bool settings_include(const struct cluster_paths *paths, struct strbuf *error)
{
    struct strbuf text = STRBUF_INIT;
    char *path = mem_printf("%s/postgresql.conf", paths->pgdata);
    bool included;
    bool ok =
        settings_read(path, &text, &included) || strbuf_error(error, "cannot read '%s': %s", path, strerror(errno));
    if (ok && !included) {
        strbuf_append_str(&text, "\n# Settings of verstak-sync-server, written anew at each start.\n"
                                 "include = '" SETTINGS_FILE "'\n");
        ok = cluster_write_file(path, &text, error);
    }
    strbuf_release(&text);
    free(path);
    return ok;
}

bool cluster_settings_write(const struct config *config, const struct cluster_paths *paths,
                            const struct cluster_programs *programs, struct strbuf *error)
{
    struct strbuf text = STRBUF_INIT;
    bool lz4_toast = programs->major >= 14 && settings_known(paths, programs, "default_toast_compression", "lz4");
    bool lz4_wal = programs->major >= 15 && settings_known(paths, programs, "wal_compression", "lz4");
    strbuf_append_str(&text,
                      "# Written by verstak-sync-server at each start: changes here are lost. To overrule a line use\n"
                      "# ALTER SYSTEM SET name = value; as the role \"" CLUSTER_SUPERUSER "\".\n\n");
    settings_connecting(&text, config, paths);
    settings_memory(&text, config);
    settings_durability(&text, lz4_wal);
    settings_upkeep(&text, lz4_toast);
    settings_logging(&text);
    char *path = mem_printf("%s/" SETTINGS_FILE, paths->pgdata);
    bool written = cluster_write_file(path, &text, error) && settings_include(paths, error);
    free(path);
    strbuf_release(&text);
    return written;
}
