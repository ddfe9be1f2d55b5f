/*
 * cluster_init: the first start, in the postgres child. Everything is done in <data>/postgres.new, which becomes
 * <data>/postgres by one rename: a server that was killed on the way finds no half-made cluster, and begins anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config.h"
#include "core/log.h"
#include "core/mem.h"
#include "db/cluster_private.h"

#define CLUSTER_REMOVE_TRIES 50
#define CLUSTER_REMOVE_PAUSE_US 100000

static int cluster_init_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

/* An initdb that was killed may leave a process that still writes for a moment: then it is tried again. */
static bool cluster_init_remove(const char *path, struct strbuf *error)
{
    for (int i = 0; i < CLUSTER_REMOVE_TRIES; i++) {
        if (access(path, F_OK) < 0 && errno == ENOENT)
            return true;
        if (nftw(path, cluster_init_remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0)
            usleep(CLUSTER_REMOVE_PAUSE_US);
    }
    return strbuf_error(error, "cannot remove '%s', left over by an interrupted start: %s", path, strerror(errno));
}

/*
 * Texts sort by their bytes: no upgrade of the system's locales can break an index. Letters are letters in all of
 * Unicode, so that lower() makes names equal that differ in case only.
 */
static bool cluster_init_initdb(const struct cluster_paths *paths, const struct cluster_programs *programs, int output,
                                struct strbuf *error)
{
    struct strbuf chatter = STRBUF_INIT; /* what it does; only its standard error is of interest */
    struct cluster_run run = {.dir = programs->dir, .cwd = paths->data, .output = output, .answer = &chatter};
    static const char superuser[] = "--username=" CLUSTER_SUPERUSER;
    const char *argv[] = {"initdb",
                          "-D",
                          paths->unborn,
                          superuser,
                          "--encoding=UTF8",
                          "--locale=C",
                          "--lc-ctype=C.UTF-8",
                          "--auth-local=trust",
                          "--auth-host=reject",
                          "--data-checksums",
                          "--no-instructions",
                          NULL};
    if (programs->major < 14) /* the option is younger; what it leaves out goes to chatter anyway */
        argv[10] = NULL;
    int status = cluster_programs_run(&run, argv);
    strbuf_release(&chatter);
    return status == 0 || strbuf_error(error, "initdb failed with status %d; what it said is in the log", status);
}

/* Role and database, in single-user mode: there is no moment in which a cluster without them exists. The role is no
 * superuser. */
static bool cluster_init_database(const struct cluster_paths *paths, const struct cluster_programs *programs,
                                  int output, struct strbuf *error)
{
    struct strbuf prompts = STRBUF_INIT;
    struct cluster_run run = {
        .dir = programs->dir,
        .cwd = paths->unborn,
        .input = "CREATE ROLE " CLUSTER_ROLE " LOGIN;\nCREATE DATABASE " CLUSTER_ROLE " OWNER " CLUSTER_ROLE ";\n",
        .output = output,
        .answer = &prompts,
    };
    const char *argv[] = {
        "postgres",  "--single", "-D", paths->unborn, "-c", "exit_on_error=on", "-c", "log_checkpoints=off",
        "template1", NULL};
    int status = cluster_programs_run(&run, argv);
    strbuf_release(&prompts);
    return status == 0 ||
           strbuf_error(error, "cannot create the database '%s'; what PostgreSQL said is in the log", CLUSTER_ROLE);
}

static bool cluster_init_sync_directory(const char *path, struct strbuf *error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    if (!synced)
        strbuf_error(error, "cannot sync the directory '%s': %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return synced;
}

/* An empty directory may stand in its place; anything else may not. */
static bool cluster_init_move(const struct cluster_paths *paths, struct strbuf *error)
{
    if (rename(paths->unborn, paths->pgdata) < 0) {
        if (errno == ENOTEMPTY || errno == EEXIST)
            return strbuf_error(error, "'%s' is not empty, but holds no PostgreSQL cluster; move it away",
                                paths->pgdata);
        return strbuf_error(error, "cannot rename '%s' to '%s': %s", paths->unborn, paths->pgdata, strerror(errno));
    }
    return cluster_init_sync_directory(paths->data, error);
}

bool cluster_init(const struct cluster_paths *paths, const struct cluster_programs *programs, int output,
                  struct strbuf *error)
{
    if (rmdir(paths->pgdata) < 0 && errno != ENOENT)
        return strbuf_error(error, "'%s' holds no PostgreSQL cluster and cannot be replaced by one: %s", paths->pgdata,
                            strerror(errno));
    log_info("first start: making a PostgreSQL %d cluster in '%s'", programs->major, paths->pgdata);
    return cluster_init_remove(paths->unborn, error) && cluster_init_initdb(paths, programs, output, error) &&
           cluster_init_database(paths, programs, output, error) && cluster_init_sync_directory(paths->unborn, error) &&
           cluster_init_move(paths, error);
}
