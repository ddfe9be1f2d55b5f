/* What the files of db/cluster*.c share. */
#ifndef DB_CLUSTER_PRIVATE_H
#define DB_CLUSTER_PRIVATE_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct config;

#define CLUSTER_PORT 5432 /* only part of the socket's name */
#define CLUSTER_OLDEST 13 /* major version of PostgreSQL */
#define CLUSTER_SUPERUSER "postgres"
#define CLUSTER_ROLE "verstak" /* and the database's name */

struct cluster_paths {
    char *data;     /* the server's data directory */
    char *pgdata;   /* <data>/postgres */
    char *unborn;   /* <data>/postgres.new: initdb at work */
    char *run;      /* <data>/run: the socket's directory */
    char *pid_file; /* <data>/postgres/postmaster.pid */
};

struct cluster_programs {
    char *dir;
    int major;
};

void cluster_paths_init(struct cluster_paths *paths, const struct config *config);
void cluster_paths_release(struct cluster_paths *paths);
/* The number that a file begins with; 0: there is none. */
long cluster_read_number(const char *path);
/* Major version of the cluster in this directory; 0: there is none. */
int cluster_version(const char *pgdata);
/* Writes a file whole, by way of a temporary one. */
bool cluster_write_file(const char *path, const struct strbuf *text, struct strbuf *error) WARN_UNUSED;

/* --- cluster_programs.c --- */

/* Finds postgres and initdb: postgres.bin_dir, else the usual places. major 0: the newest; else this version. */
bool cluster_programs_find(struct cluster_programs *programs, const struct config *config, int major,
                           struct strbuf *error) WARN_UNUSED;
void cluster_programs_release(struct cluster_programs *programs);
struct cluster_run {
    const char *dir;       /* of the programs */
    const char *cwd;       /* where it runs */
    const char *input;     /* its standard input; NULL: none */
    int output;            /* its standard error; -1: nowhere */
    struct strbuf *answer; /* its standard output, up to what a pipe holds; NULL: nowhere */
};
/* Runs a program of that directory to its end; it dies with this process. Its exit status, -1 when it had none. argv[0]
 * is its name. */
int cluster_programs_run(const struct cluster_run *run, const char **argv);
/* Replaces this process. Returns only on failure. */
void cluster_programs_exec(const struct cluster_run *run, const char **argv);

/* --- cluster_init.c --- */

/* Makes the cluster beside its place and moves it there when it is complete. */
bool cluster_init(const struct cluster_paths *paths, const struct cluster_programs *programs, int output,
                  struct strbuf *error) WARN_UNUSED;

/* --- cluster_settings.c --- */

/* Writes <pgdata>/verstak.conf and makes postgresql.conf include it. */
bool cluster_settings_write(const struct config *config, const struct cluster_paths *paths,
                            const struct cluster_programs *programs, struct strbuf *error) WARN_UNUSED;

/* --- cluster_earlier.c --- */

/* Process id of the postmaster of this directory, 0: none runs. */
pid_t cluster_earlier_postmaster(const struct cluster_paths *paths);
/* Waits until no process of an earlier postmaster is left, and takes what it left behind out of the way. */
bool cluster_earlier_wait(const struct cluster_paths *paths, struct strbuf *error) WARN_UNUSED;

#endif
