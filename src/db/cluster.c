/*
 * cluster: the private PostgreSQL as a whole; the parts are in cluster_*.c. In the master (check), the postgres child
 * (prepare, exec), and wherever a connection string is needed.
 */
#include "db/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/config.h"
#include "core/mem.h"
#include "db/cluster_private.h"

void cluster_paths_init(struct cluster_paths *paths, const struct config *config)
{
    paths->data = mem_strdup(config->data);
    paths->pgdata = mem_printf("%s/postgres", config->data);
    paths->unborn = mem_printf("%s/postgres.new", config->data);
    paths->run = mem_printf("%s/run", config->data);
    paths->pid_file = mem_printf("%s/postgres/postmaster.pid", config->data);
}

void cluster_paths_release(struct cluster_paths *paths)
{
    free(paths->data);
    free(paths->pgdata);
    free(paths->unborn);
    free(paths->run);
    free(paths->pid_file);
}

long cluster_read_number(const char *path)
{
    char line[32];
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    long number = fgets(line, sizeof(line), file) ? strtol(line, NULL, 10) : 0;
    fclose(file);
    return number;
}

int cluster_version(const char *pgdata)
{
    char *path = mem_printf("%s/PG_VERSION", pgdata);
    int major = (int)cluster_read_number(path);
    free(path);
    return major;
}

bool cluster_write_file(const char *path, const struct strbuf *text, struct strbuf *error)
{
    char *temporary = mem_printf("%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t n = fd >= 0 ? write(fd, text->data, text->len) : -1;
    if (n >= 0 && n != (ssize_t)text->len)
        errno = ENOSPC; /* a full disk takes a part and says nothing */
    bool written = n == (ssize_t)text->len && fsync(fd) == 0;
    if (fd >= 0)
        written = close(fd) == 0 && written;
    if (!written || rename(temporary, path) < 0)
        written = strbuf_error(error, "cannot write '%s': %s", path, strerror(errno));
    free(temporary);
    return written;
}

bool db_cluster_wanted(const struct config *config)
{
    return !*config->database_url;
}

char *db_cluster_conninfo(const struct config *config)
{
    struct strbuf conninfo = STRBUF_INIT;
    strbuf_append_str(&conninfo, "host='");
    for (const char *c = config->data; *c; c++) {
        if (*c == '\'' || *c == '\\')
            strbuf_append_char(&conninfo, '\\');
        strbuf_append_char(&conninfo, *c);
    }
    strbuf_printf(&conninfo, "/run' port=%d dbname=%s user=%s", CLUSTER_PORT, CLUSTER_ROLE, CLUSTER_ROLE);
    return strbuf_detach(&conninfo);
}

/* What neither PostgreSQL nor libpq can take as the directory of a socket. */
static bool cluster_check_socket(const struct cluster_paths *paths, struct strbuf *error)
{
    struct sockaddr_un address;
    char *socket_path = mem_printf("%s/.s.PGSQL.%d", paths->run, CLUSTER_PORT);
    size_t len = strlen(socket_path), most = sizeof(address.sun_path) - 1;
    free(socket_path);
    if (len > most)
        return strbuf_error(error,
                            "the path of the data directory '%s' is too long: PostgreSQL's socket in it would have %zu "
                            "bytes, a Unix socket can have %zu; use a directory with a path that is %zu bytes shorter",
                            paths->data, len, most, len - most);
    if (strchr(paths->data, ','))
        return strbuf_error(error,
                            "the path of the data directory '%s' has a comma in it, which PostgreSQL takes for a "
                            "list; use another directory",
                            paths->data);
    return true;
}

bool db_cluster_check(const struct config *config, struct strbuf *error)
{
    struct cluster_paths paths;
    struct cluster_programs programs = {0};
    cluster_paths_init(&paths, config);
    bool fits = cluster_check_socket(&paths, error) &&
                cluster_programs_find(&programs, config, cluster_version(paths.pgdata), error);
    cluster_programs_release(&programs);
    cluster_paths_release(&paths);
    return fits;
}

static bool cluster_make_run(const struct cluster_paths *paths, struct strbuf *error)
{
    if ((mkdir(paths->run, 0700) < 0 && errno != EEXIST) || chmod(paths->run, 0700) < 0)
        return strbuf_error(error, "cannot make the directory '%s': %s", paths->run, strerror(errno));
    return true;
}

bool db_cluster_prepare(const struct config *config, int output, struct strbuf *error)
{
    struct cluster_paths paths;
    struct cluster_programs programs = {0};
    cluster_paths_init(&paths, config);
    bool prepared = cluster_programs_find(&programs, config, cluster_version(paths.pgdata), error) &&
                    cluster_make_run(&paths, error) &&
                    (cluster_version(paths.pgdata) || cluster_init(&paths, &programs, output, error)) &&
                    cluster_earlier_wait(&paths, error) && cluster_settings_write(config, &paths, &programs, error);
    cluster_programs_release(&programs);
    cluster_paths_release(&paths);
    return prepared;
}

void db_cluster_exec(const struct config *config, int output, struct strbuf *error)
{
    struct cluster_paths paths;
    struct cluster_programs programs = {0};
    cluster_paths_init(&paths, config);
    if (cluster_programs_find(&programs, config, cluster_version(paths.pgdata), error)) {
        const char *argv[] = {"postgres", "-D", paths.pgdata, NULL};
        struct cluster_run run = {.dir = programs.dir, .cwd = paths.pgdata, .output = output};
        cluster_programs_exec(&run, argv);
        strbuf_error(error, "cannot run '%s/postgres': %s", programs.dir, strerror(errno));
    }
    cluster_programs_release(&programs);
    cluster_paths_release(&paths);
}

bool db_cluster_running(const struct config *config)
{
    struct cluster_paths paths;
    cluster_paths_init(&paths, config);
    pid_t pid = cluster_earlier_postmaster(&paths);
    cluster_paths_release(&paths);
    return pid > 0;
}

/*
 * Line 1 of postmaster.pid is the process id, line 8 the state, "ready" when connections are taken: what pg_ctl waits
 * for, too (PostgreSQL, src/include/utils/pidfile.h).
 */
bool db_cluster_ready(const struct config *config, pid_t pid)
{
    char line[1200];
    char *path = mem_printf("%s/postgres/postmaster.pid", config->data);
    FILE *file = fopen(path, "re");
    free(path);
    if (!file)
        return false;
    bool ready = false;
    for (int number = 1; number <= 8 && fgets(line, sizeof(line), file); number++) {
        if (number == 1 && strtol(line, NULL, 10) != (long)pid)
            break;
        ready = number == 8 && strncmp(line, "ready", 5) == 0;
    }
    fclose(file);
    return ready;
}
