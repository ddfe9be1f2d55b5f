/*
 * output: the pipe into which programs that know nothing of our log (postgres, initdb) write; the master logs each line
 * as one of its own. So their lines have our format, go to syslog and survive the rotation of the log file.
 */
#ifndef PROC_OUTPUT_H
#define PROC_OUTPUT_H

#include <stdbool.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct output {
    int read;  /* non-blocking */
    int write; /* inherited by the postgres child; the master keeps it open, so that there is never an end of file */
    struct strbuf line;
};

bool output_open(struct output *output, struct strbuf *error) WARN_UNUSED;
/* Logs what has come, a bounded part of it. */
void output_readable(struct output *output);
/* Logs what is there to the last byte, and closes. */
void output_release(struct output *output);

#endif
