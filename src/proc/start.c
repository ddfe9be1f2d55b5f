/*
 * start: called by master.c. Up to start_drop() this may run as root.
 */
#include "proc/start.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config.h"
#include "core/mem.h"
#include "core/version.h"
#include "db/cluster.h"
#include "proc/daemon.h"
#include "proc/data_dir.h"
#include "proc/first_admin.h"
#include "proc/listener.h"
#include "proc/master.h"
#include "proc/privileges.h"

/* Workers of a server that was killed notice its death within moments; those that finish a request may take longer. */
#define START_LISTEN_WAIT_MS 5000

int start_failed(int status, const struct strbuf *error)
{
    log_error("%s", error->data);
    if (log_fd() != STDERR_FILENO)
        fprintf(stderr, "verstak-sync-server: %s\n", error->data);
    return status;
}

static enum log_level start_log_level(const char *name)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    enum log_level level = LOG_LEVEL_DEBUG;
    while (level < LOG_LEVEL_ERROR && strcmp(names[level], name) != 0)
        level++;
    return level;
}

bool start_open_log(const struct config *config, struct strbuf *error)
{
    return log_open(config->log_file, start_log_level(config->log_level), error);
}

/* With --daemon nobody would see what goes to a terminal. */
static bool start_daemon(const struct config *config, struct strbuf *error)
{
    if (strcmp(config->log_file, "stderr") == 0 && isatty(STDERR_FILENO))
        return strbuf_error(error, "--daemon needs a log: set log.file to a path or to syslog");
    return daemon_begin(error);
}

/* With the rights of the server's user, who opens it again after its rotation: root would follow a link that the user
 * put there, to any file of the machine. */
static bool start_first_log(const struct config *config, const struct privileges *privileges, struct strbuf *error)
{
    if (!privileges_borrow(privileges, error))
        return false;
    bool opened = start_open_log(config, error);
    privileges_return(privileges);
    if (!opened && privileges->drop)
        strbuf_printf(error, " (as the user '%s')", privileges->name);
    return opened;
}

static bool start_reload(struct config_flags *flags, struct config **config, struct strbuf *error)
{
    struct config *fresh = config_load(flags, error);
    if (!fresh)
        return false;
    config_free(config);
    *config = fresh;
    return true;
}

/* The directory, its lock, and the configuration in it with the admin of --admin-user. */
static bool start_data(struct config_flags *flags, struct start *start, const struct privileges *privileges,
                       struct strbuf *error)
{
    bool in_use;
    char *data = data_dir_prepare(flags->data, privileges, error);
    if (!data)
        return false;
    free(data);
    if (!config_resolve_data(start->config, flags, error))
        return false;
    start->lock = data_dir_lock(flags->data, privileges, &in_use, error);
    if (start->lock < 0)
        return false;
    if (!flags->admin_user)
        return true;
    return first_admin_write(start->config, flags, error) && start_reload(flags, &start->config, error);
}

static bool start_flag_given(const struct config_flags *flags, const char *setting)
{
    for (size_t i = 0; i < flags->setting_count; i++) {
        if (strncmp(flags->settings[i], setting, strlen(setting)) == 0)
            return true;
    }
    return false;
}

/*
 * Root writes the file that the command line names. One that config.yml names is written with the rights of the
 * server's user: that user may write config.yml, and root would replace any file of the machine by a number.
 */
static bool start_pid_file(const struct config_flags *flags, const struct config *config,
                           const struct privileges *privileges, struct strbuf *error)
{
    if (!*config->server_pid_file)
        return true;
    if (!privileges->drop || start_flag_given(flags, "server.pid_file="))
        return daemon_write_pid_file(config->server_pid_file, error);
    if (!privileges_borrow(privileges, error))
        return false;
    bool written = daemon_write_pid_file(config->server_pid_file, error);
    privileges_return(privileges);
    return written || strbuf_error(error, " (as the user '%s'; --pid-file is written as root)", privileges->name);
}

static bool start_listen(const struct config_flags *flags, struct start *start, const struct privileges *privileges,
                         struct strbuf *error)
{
    start->listener = listener_open(start->config->server_listen, START_LISTEN_WAIT_MS, error);
    return start->listener >= 0 && start_pid_file(flags, start->config, privileges, error);
}

static bool start_drop(const struct config *config, const struct privileges *privileges, struct strbuf *error)
{
    if (!privileges_drop(privileges, error) || !data_dir_usable(config->data, error))
        return false;
    if (access(config->file, F_OK) == 0 && access(config->file, R_OK) < 0)
        log_warning("user '%s' cannot read '%s': SIGHUP will not be able to read it again", privileges->name,
                    config->file);
    return true;
}

/* The steps after which there is a log. Returns an exit status; error says why. */
static int start_steps(struct config_flags *flags, struct start *start, const struct privileges *privileges,
                       struct strbuf *error)
{
    if (!start_data(flags, start, privileges, error) || !start_listen(flags, start, privileges, error))
        return MASTER_EXIT_FAILED;
    if (!start_drop(start->config, privileges, error))
        return MASTER_EXIT_REFUSED;
    if (db_cluster_wanted(start->config) && !db_cluster_check(start->config, error))
        return MASTER_EXIT_REFUSED;
    return 0;
}

/* What a start that fails leaves behind. */
static void start_undo(struct start *start)
{
    if (start->config && start->listener >= 0 && *start->config->server_pid_file)
        daemon_remove_pid_file(start->config->server_pid_file);
    config_free(&start->config);
    if (start->listener >= 0)
        close(start->listener);
    if (start->lock >= 0)
        close(start->lock);
    start->lock = start->listener = -1;
}

int start_prepare(struct config_flags *flags, struct start *start_r)
{
    struct strbuf error = STRBUF_INIT;
    struct privileges privileges;
    *start_r = (struct start){.lock = -1, .listener = -1};
    umask(0077);
    start_r->config = config_load(flags, &error);
    int status = MASTER_EXIT_USAGE;
    if (!start_r->config || !privileges_find(start_r->config->server_user, &privileges, &error) ||
        (flags->daemon && !start_daemon(start_r->config, &error)) ||
        !start_first_log(start_r->config, &privileges, &error)) {
        fprintf(stderr, "verstak-sync-server: %s\n", error.data);
    } else {
        log_info("verstak-sync-server %s (%s) starts", VERSION_TEXT, VERSION_COMMIT);
        status = start_steps(flags, start_r, &privileges, &error);
        if (status)
            start_failed(status, &error);
    }
    if (status)
        start_undo(start_r);
    strbuf_release(&error);
    return status;
}
