/*
 * output: in the master.
 */
#include "proc/output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"

#define OUTPUT_LINE_MAX 3500 /* what a line of our log holds */
#define OUTPUT_READS 16      /* of one turn, so that a flood of lines does not keep the master from its other work */

bool output_open(struct output *output, struct strbuf *error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return strbuf_error(error, "cannot make a pipe: %s", strerror(errno));
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    output->read = ends[0];
    output->write = ends[1];
    strbuf_init(&output->line);
    return true;
}

/*
 * PostgreSQL's severities in our levels. ERROR is a statement's, which its sender handles and logs; FATAL is a
 * connection's, as "the database system is starting up".
 */
static void output_log(const char *line)
{
    if (strstr(line, "PANIC:  ") || strncmp(line, "initdb: error", 13) == 0)
        log_error("postgres: %s", line);
    else if (strstr(line, "FATAL:  ") || strstr(line, "ERROR:  ") || strstr(line, "WARNING:  "))
        log_warning("postgres: %s", line);
    else
        log_info("postgres: %s", line);
}

static void output_add(struct output *output, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != '\n' && output->line.len < OUTPUT_LINE_MAX) {
            strbuf_append_char(&output->line, data[i]);
            continue;
        }
        if (output->line.len)
            output_log(output->line.data);
        strbuf_reset(&output->line);
        if (data[i] != '\n')
            strbuf_append_char(&output->line, data[i]);
    }
}

void output_readable(struct output *output)
{
    char data[4096];
    for (int i = 0; i < OUTPUT_READS; i++) {
        ssize_t n = read(output->read, data, sizeof(data));
        if (n <= 0)
            return;
        output_add(output, data, (size_t)n);
    }
}

void output_release(struct output *output)
{
    close(output->write);
    output_readable(output);
    output_add(output, "\n", 1);
    close(output->read);
    strbuf_release(&output->line);
}
