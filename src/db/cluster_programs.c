/*
 * cluster_programs: where PostgreSQL's programs are, and running them: in the master for `postgres --version`, else in
 * the postgres child.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/config.h"
#include "core/mem.h"
#include "db/cluster_private.h"

extern char **environ;

/* Debian, RPM packages of PGDG, and what `make install` does. The directories of PATH come behind them. */
static const char *const cluster_places[] = {"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/lib*/pgsql/bin",
                                             "/opt/pgsql*/bin", "/usr/local/pgsql*/bin"};

/* Our settings come from our files: no PGDATA, PGPORT or locale of whoever started the server changes them. */
static char **cluster_programs_environment(void)
{
    static const char *const dropped[] = {"PG", "LC_", "LANG", "NOTIFY_SOCKET=", "VERSTAK_"};
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    char **copy = mem_alloc((count + 2) * sizeof(*copy));
    for (size_t i = 0; i < count; i++) {
        bool drop = false;
        for (size_t n = 0; n < ARRAY_SIZE(dropped); n++)
            drop = drop || strncmp(environ[i], dropped[n], strlen(dropped[n])) == 0;
        if (!drop)
            copy[kept++] = environ[i];
    }
    copy[kept++] = mem_strdup("LC_ALL=C");
    copy[kept] = NULL;
    return copy;
}

void cluster_programs_exec(const struct cluster_run *run, const char **argv)
{
    char *path = mem_printf("%s/%s", run->dir, argv[0]);
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < 32; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(run->output >= 0 ? run->output : null, STDERR_FILENO);
    if (!run->answer)
        dup2(run->output >= 0 ? run->output : null, STDOUT_FILENO);
    if (!run->input)
        dup2(null, STDIN_FILENO);
    char **environment = cluster_programs_environment();
    /* The whole path: by it the programs find each other and their files. */
    const char *first = argv[0];
    argv[0] = path;
    if (chdir(run->cwd) == 0)
        execve(path, (char *const *)argv, environment);
    argv[0] = first;
    free(environment);
    free(path);
}

/* In the new process of cluster_programs_run(). */
static NORETURN void cluster_programs_child(const struct cluster_run *run, const char **argv, pid_t parent,
                                            const int *in, const int *out)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before that call: no signal will come */
        _exit(127);
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    cluster_programs_exec(run, argv);
    _exit(127);
}

static int cluster_programs_wait(const struct cluster_run *run, pid_t pid, int out)
{
    char data[1024];
    ssize_t n;
    int status;
    while ((n = read(out, data, sizeof(data))) > 0 || (n < 0 && errno == EINTR)) {
        if (n > 0 && run->answer && run->answer->len < 65536)
            strbuf_append(run->answer, data, (size_t)n);
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int cluster_programs_run(const struct cluster_run *run, const char **argv)
{
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) < 0)
        return -1;
    if (pipe2(out, O_CLOEXEC) < 0) {
        close(in[0]);
        close(in[1]);
        return -1;
    }
    /* Our inputs are shorter than what a pipe holds. */
    if (run->input)
        (void)!write(in[1], run->input, strlen(run->input));
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        cluster_programs_child(run, argv, parent, in, out);
    close(in[0]);
    close(in[1]);
    close(out[1]);
    int status = pid > 0 ? cluster_programs_wait(run, pid, out[0]) : -1;
    close(out[0]);
    return status;
}

/* "postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)"; 0: there is no such program. */
static int cluster_programs_version(const char *dir)
{
    const char *argv[] = {"postgres", "--version", NULL};
    struct strbuf answer = STRBUF_INIT;
    struct cluster_run run = {.dir = dir, .cwd = "/", .output = -1, .answer = &answer};
    char *initdb = mem_printf("%s/initdb", dir), *postgres = mem_printf("%s/postgres", dir);
    int major = 0;
    if (access(initdb, X_OK) == 0 && access(postgres, X_OK) == 0 && cluster_programs_run(&run, argv) == 0) {
        const char *number = strstr(answer.data, "(PostgreSQL) ");
        major = number ? (int)strtol(number + strlen("(PostgreSQL) "), NULL, 10) : 0;
    }
    free(initdb);
    free(postgres);
    strbuf_release(&answer);
    return major;
}

/* Takes this directory when it is better than what was found: the major version that is asked for, else the newest. */
static void cluster_programs_consider(struct cluster_programs *programs, const char *dir, int major)
{
    int found = cluster_programs_version(dir);
    bool better = major ? found == major && programs->major != major : found > programs->major;
    if (!found || (programs->dir && !better))
        return;
    free(programs->dir);
    programs->dir = mem_strdup(dir);
    programs->major = found;
}

static void cluster_programs_search(struct cluster_programs *programs, int major)
{
    for (size_t i = 0; i < ARRAY_SIZE(cluster_places); i++) {
        glob_t found;
        if (glob(cluster_places[i], 0, NULL, &found) == 0) {
            for (size_t n = 0; n < found.gl_pathc; n++)
                cluster_programs_consider(programs, found.gl_pathv[n], major);
        }
        globfree(&found);
    }
    const char *path = getenv("PATH");
    char *copy = mem_strdup(path ? path : ""), *rest = copy;
    for (char *dir; !programs->dir && (dir = strsep(&rest, ":"));)
        if (*dir == '/')
            cluster_programs_consider(programs, dir, major);
    free(copy);
}

static bool cluster_programs_missing(const struct config *config, struct strbuf *error)
{
    if (*config->postgres_bin_dir)
        return strbuf_error(error, "postgres.bin_dir: '%s' has no PostgreSQL server programs (postgres, initdb)",
                            config->postgres_bin_dir);
    return strbuf_error(error,
                        "cannot find the PostgreSQL server programs (postgres, initdb); install them (apt-get "
                        "install postgresql), name their directory with postgres.bin_dir, or use a database of your "
                        "own with database.url");
}

bool cluster_programs_find(struct cluster_programs *programs, const struct config *config, int major,
                           struct strbuf *error)
{
    *programs = (struct cluster_programs){0};
    if (*config->postgres_bin_dir)
        cluster_programs_consider(programs, config->postgres_bin_dir, major);
    else
        cluster_programs_search(programs, major);
    if (!programs->dir)
        return cluster_programs_missing(config, error);
    if (major && programs->major != major)
        return strbuf_error(
            error,
            "the data in '%s/postgres' is of PostgreSQL %d, but the programs in '%s' are of PostgreSQL %d; "
            "install PostgreSQL %d again (apt-get install postgresql-%d), or move the data over with "
            "pg_upgrade (doc/operations.md, \"Another major version of PostgreSQL\")",
            config->data, major, programs->dir, programs->major, major, major);
    if (programs->major < CLUSTER_OLDEST)
        return strbuf_error(error, "the programs in '%s' are of PostgreSQL %d; %d or newer is needed", programs->dir,
                            programs->major, CLUSTER_OLDEST);
    return true;
}

void cluster_programs_release(struct cluster_programs *programs)
{
    free(programs->dir);
    programs->dir = NULL;
}
