/*
 * title: called by the master when it starts and by each child after fork (proc/heritage.c).
 */
#include "proc/title.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/mem.h"

extern char **environ;

static struct {
    char *start;
    size_t size;
    char **environment; /* the copy, which setenv() and unsetenv() may drop parts of */
} title_space;

/* The end of the strings that follow `end` without a gap. */
static char *title_extend(char *end, char *const *strings)
{
    for (; *strings; strings++) {
        if (*strings == end)
            end += strlen(end) + 1;
    }
    return end;
}

/* Pointers and strings in one block, so that what is dropped later is no leak. */
static void title_move_environment(void)
{
    size_t count = 0, size = 0;
    for (; environ[count]; count++)
        size += strlen(environ[count]) + 1;
    char **copy = mem_alloc((count + 1) * sizeof(*copy) + size);
    char *to = (char *)(copy + count + 1);
    for (size_t i = 0; i < count; i++) {
        copy[i] = to;
        to = stpcpy(to, environ[i]) + 1;
    }
    copy[count] = NULL;
    title_space.environment = copy;
    environ = copy;
}

void title_init(int argc, char **argv)
{
    if (argc < 1 || title_space.start)
        return;
    char *arguments_end = title_extend(argv[0], argv);
    char *end = title_extend(arguments_end, environ);
    title_move_environment();
    memset(arguments_end, 0, (size_t)(end - arguments_end));
    title_space.size = (size_t)(end - argv[0]);
    title_space.start = argv[0];
}

void title_set(const char *kind, const char *format, ...)
{
    char name[16]; /* what prctl(2) takes */
    snprintf(name, sizeof(name), "verstak-%s", kind);
    prctl(PR_SET_NAME, name);
    if (!title_space.start)
        return;
    char text[256];
    int head = snprintf(text, sizeof(text), "verstak-sync-server: ");
    va_list args;
    va_start(args, format);
    vsnprintf(text + head, sizeof(text) - (size_t)head, format, args);
    va_end(args);
    /* Everything behind the title becomes zero: arguments and environment do not stay visible. */
    memset(title_space.start, 0, title_space.size);
    size_t len = strlen(text);
    if (len >= title_space.size)
        len = title_space.size - 1;
    memcpy(title_space.start, text, len);
}
