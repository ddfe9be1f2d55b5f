/*
 * handover: called by upgrade.c in the old binary, by main.c and master.c in the new one.
 */
#include "proc/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HANDOVER_VARIABLE "VERSTAK_HANDOVER"

static const char *const handover_words[HANDOVER_DESCRIPTORS] = {
    "listener", "lock", "master-read", "master-write", "output-read", "output-write",
};

static int handover_memory = -1;

void handover_announce_check(void)
{
    setenv(HANDOVER_VARIABLE, "check", 1);
}

static void handover_keep_over_exec(const struct handover *handover, bool keep)
{
    for (size_t i = 0; i < HANDOVER_DESCRIPTORS; i++)
        fcntl(handover->fds[i], F_SETFD, keep ? 0 : FD_CLOEXEC);
}

/* Each line behind a word of its own, by which it is known again. */
static void handover_put_kept(struct strbuf *text, const char *lines)
{
    for (size_t len; (len = strcspn(lines, "\n")) > 0; lines += len + (lines[len] == '\n'))
        strbuf_printf(text, "kept %.*s\n", (int)len, lines);
}

bool handover_give(const struct handover *handover, struct strbuf *error)
{
    struct strbuf text = STRBUF_INIT;
    char number[16];
    for (size_t i = 0; i < HANDOVER_DESCRIPTORS; i++)
        strbuf_printf(&text, "%s %d\n", handover_words[i], handover->fds[i]);
    strbuf_printf(&text, "started %llu\n", (unsigned long long)handover->started);
    strbuf_append(&text, handover->children.data, handover->children.len);
    handover_put_kept(&text, handover->kept.data);
    handover_memory = memfd_create("handover", 0);
    bool given = handover_memory >= 0 && write(handover_memory, text.data, text.len) == (ssize_t)text.len;
    strbuf_release(&text);
    if (!given)
        return strbuf_error(error, "cannot write the memory file for the handover: %s", strerror(errno));
    snprintf(number, sizeof(number), "%d", handover_memory);
    setenv(HANDOVER_VARIABLE, number, 1);
    handover_keep_over_exec(handover, true);
    return true;
}

void handover_cancel(const struct handover *handover)
{
    unsetenv(HANDOVER_VARIABLE);
    handover_keep_over_exec(handover, false);
    if (handover_memory >= 0)
        close(handover_memory);
    handover_memory = -1;
}

enum handover_start handover_begin(void)
{
    const char *value = getenv(HANDOVER_VARIABLE);
    if (!value)
        return HANDOVER_NONE;
    bool check = strcmp(value, "check") == 0;
    handover_memory = check ? -1 : (int)strtol(value, NULL, 10);
    unsetenv(HANDOVER_VARIABLE);
    return check ? HANDOVER_CHECK : HANDOVER_TAKE;
}

static void handover_take_line(struct handover *handover, const char *line)
{
    size_t len = strcspn(line, " ");
    for (size_t i = 0; i < HANDOVER_DESCRIPTORS; i++) {
        if (strlen(handover_words[i]) == len && strncmp(line, handover_words[i], len) == 0) {
            handover->fds[i] = (int)strtol(line + len, NULL, 10);
            return;
        }
    }
    if (strncmp(line, "started ", 8) == 0)
        handover->started = strtoull(line + 8, NULL, 10);
    if (strncmp(line, "generations ", 12) == 0 || strncmp(line, "child ", 6) == 0)
        strbuf_printf(&handover->children, "%s\n", line);
    if (strncmp(line, "kept ", 5) == 0)
        strbuf_printf(&handover->kept, "%s\n", line + 5);
}

bool handover_take(struct handover *handover_r, struct strbuf *error)
{
    char *line = NULL;
    size_t size = 0;
    strbuf_init(&handover_r->children);
    strbuf_init(&handover_r->kept);
    handover_r->started = 0;
    for (size_t i = 0; i < HANDOVER_DESCRIPTORS; i++)
        handover_r->fds[i] = -1;
    FILE *file = lseek(handover_memory, 0, SEEK_SET) == 0 ? fdopen(handover_memory, "r") : NULL;
    if (!file)
        return strbuf_error(error, "cannot read what the former version hands over: %s", strerror(errno));
    while (getline(&line, &size, file) > 0) {
        line[strcspn(line, "\n")] = '\0';
        handover_take_line(handover_r, line);
    }
    free(line);
    fclose(file);
    handover_memory = -1;
    for (size_t i = 0; i < HANDOVER_DESCRIPTORS; i++) {
        if (fcntl(handover_r->fds[i], F_SETFD, FD_CLOEXEC) < 0)
            return strbuf_error(error, "the former version hands over no usable descriptor '%s'", handover_words[i]);
    }
    return true;
}
