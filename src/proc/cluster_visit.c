/*
 * cluster_visit: in the process of the command (cli/), and in the child that becomes its PostgreSQL.
 */
#include "proc/cluster_visit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/mem.h"
#include "db/cluster.h"
#include "db/migrations.h"
#include "db/session.h"
#include "proc/data_dir.h"
#include "proc/privileges.h"

#define VISIT_START_MS 120000  /* a cluster that was not stopped in order recovers first */
#define VISIT_CONNECT_MS 15000 /* a server that is just starting */
#define VISIT_PAUSE_US 50000

struct cluster_visit {
    struct db_session *session;
    int lock;   /* of the data directory, while the cluster is ours; else -1 */
    pid_t pid;  /* of the postmaster that we started; 0: none */
    int output; /* memory file with what it said */
};

/* In the child. Its own process group: Ctrl-C ends the command, and the death of that one stops PostgreSQL in order. */
static NORETURN void visit_run_postgres(const struct config *config, const struct privileges *privileges, int output,
                                        pid_t parent)
{
    struct strbuf error = STRBUF_INIT;
    setpgid(0, 0);
    umask(0077);
    if (privileges_drop(privileges, &error)) {
        prctl(PR_SET_PDEATHSIG, SIGINT);
        if (getppid() == parent && db_cluster_check(config, &error) && db_cluster_prepare(config, output, &error))
            db_cluster_exec(config, output, &error);
    }
    dprintf(output, "%s\n", error.data);
    _exit(EXIT_FAILURE);
}

/* The last line of what PostgreSQL said. */
static bool visit_explain(struct cluster_visit *visit, struct strbuf *error)
{
    char text[2048];
    off_t size = lseek(visit->output, 0, SEEK_END);
    off_t from = size > (off_t)sizeof(text) - 1 ? size - ((off_t)sizeof(text) - 1) : 0;
    ssize_t n = pread(visit->output, text, sizeof(text) - 1, from);
    text[n > 0 ? n : 0] = '\0';
    for (size_t len = strlen(text); len && text[len - 1] == '\n';)
        text[--len] = '\0';
    const char *line = strrchr(text, '\n');
    return strbuf_error(error, "cannot start the private PostgreSQL: %s", line ? line + 1 : text);
}

static bool visit_wait_ready(struct cluster_visit *visit, const struct config *config, struct strbuf *error)
{
    uint64_t deadline = clock_mono_ms() + VISIT_START_MS;
    while (!db_cluster_ready(config, visit->pid)) {
        if (waitpid(visit->pid, NULL, WNOHANG) == visit->pid) {
            visit->pid = 0;
            return visit_explain(visit, error);
        }
        if (clock_mono_ms() >= deadline)
            return strbuf_error(error, "the private PostgreSQL does not get ready; start the server and see its log");
        usleep(VISIT_PAUSE_US);
    }
    return true;
}

static bool visit_start(struct cluster_visit *visit, const struct config *config, const struct privileges *privileges,
                        struct strbuf *error)
{
    pid_t parent = getpid();
    visit->output = memfd_create("postgres", MFD_CLOEXEC);
    visit->pid = visit->output < 0 ? -1 : fork();
    if (visit->pid == 0)
        visit_run_postgres(config, privileges, visit->output, parent);
    if (visit->pid < 0) {
        visit->pid = 0;
        return strbuf_error(error, "cannot start the private PostgreSQL: %s", strerror(errno));
    }
    return visit_wait_ready(visit, config, error);
}

/* A directory without a cluster is more likely a wrong --data than a server that never ran. */
static bool visit_look(const struct config *config, struct strbuf *error)
{
    char *path = mem_printf("%s/postgres/PG_VERSION", config->data);
    bool found = access(path, F_OK) == 0;
    if (!found && errno == EACCES)
        strbuf_error(error, "cannot read the data directory '%s': run this as the server's user or as root",
                     config->data);
    else if (!found)
        strbuf_error(error, "no database in '%s'; start the server once, or name its directory with --data",
                     config->data);
    free(path);
    return found;
}

/* Finds the private cluster running, or starts it. */
static bool visit_open_cluster(struct cluster_visit *visit, struct config *config, struct config_flags *flags,
                               struct strbuf *error)
{
    struct privileges privileges;
    bool in_use;
    if (!config_resolve_data(config, flags, error) || !visit_look(config, error) ||
        !privileges_find(config->server_user, &privileges, error))
        return false;
    struct strbuf reason = STRBUF_INIT;
    visit->lock = data_dir_lock(config->data, &privileges, &in_use, &reason);
    bool open = visit->lock >= 0 ? visit_start(visit, config, &privileges, error)
                : in_use         ? true
                                 : strbuf_error(error, "%s", reason.data);
    strbuf_release(&reason);
    return open;
}

static bool visit_connect(struct cluster_visit *visit, const struct config *config, struct strbuf *error)
{
    uint64_t deadline = clock_mono_ms() + VISIT_CONNECT_MS;
    char *conninfo = db_conninfo(config);
    visit->session = db_session_new(config, conninfo);
    free(conninfo);
    struct strbuf reason = STRBUF_INIT;
    bool connected;
    while (!(connected = db_session_connect(visit->session, &reason)) && clock_mono_ms() < deadline &&
           db_cluster_wanted(config)) {
        strbuf_reset(&reason);
        usleep(VISIT_PAUSE_US);
    }
    if (!connected)
        strbuf_error(error, "cannot connect to the database: %s", reason.data);
    strbuf_release(&reason);
    return connected;
}

/* Nobody else brings the schema of a cluster that we started up to date. */
static bool visit_migrate(struct cluster_visit *visit, struct strbuf *error)
{
    return !visit->pid || db_migrations_apply(visit->session, error) == DB_MIGRATE_DONE;
}

struct cluster_visit *cluster_visit_begin(struct config *config, struct config_flags *flags, struct strbuf *error)
{
    struct cluster_visit *visit = mem_zalloc(sizeof(*visit));
    visit->lock = visit->output = -1;
    bool open = !db_cluster_wanted(config) || visit_open_cluster(visit, config, flags, error);
    if (!open || !visit_connect(visit, config, error) || !visit_migrate(visit, error))
        cluster_visit_end(&visit);
    return visit;
}

struct db_session *cluster_visit_session(struct cluster_visit *visit)
{
    return visit->session;
}

void cluster_visit_end(struct cluster_visit **visit)
{
    struct cluster_visit *v = *visit;
    if (!v)
        return;
    if (v->session)
        db_session_free(&v->session);
    if (v->pid) {
        kill(v->pid, SIGINT);
        while (waitpid(v->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (v->output >= 0)
        close(v->output);
    if (v->lock >= 0)
        close(v->lock);
    free(v);
    *visit = NULL;
}
