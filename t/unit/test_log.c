/* core/log.h */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <regex.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "tap.h"

static char directory[] = "/tmp/test_log.XXXXXX";
static char path[64], moved[64];

static char *slurp(const char *file)
{
    struct strbuf b = STRBUF_INIT;
    char chunk[4096];
    FILE *f = fopen(file, "r");
    for (size_t n; f && (n = fread(chunk, 1, sizeof(chunk), f)) > 0;)
        strbuf_append(&b, chunk, n);
    if (f)
        fclose(f);
    return strbuf_detach(&b);
}

static void matches(const char *text, const char *pattern, const char *name)
{
    regex_t regex;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0 || regexec(&regex, text, 0, NULL, 0) != 0) {
        ok(false, "%s", name);
        tap_differ(text, pattern);
    } else {
        ok(true, "%s", name);
    }
    regfree(&regex);
}

static void open_file(enum log_level least)
{
    struct strbuf error = STRBUF_INIT;
    unlink(path);
    ok(log_open(path, least, &error), "the file is opened %s", error.data);
    strbuf_release(&error);
}

#define HEAD "^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z "

static void test_line(void)
{
    struct stat st = {0};
    umask(0);
    open_file(LOG_LEVEL_INFO);
    stat(path, &st);
    is_int(st.st_mode & 0777, 0640, "others do not read the log");
    log_set_process("worker 1");
    log_info("%s listens on %d", "it", 47732);
    char *text = slurp(path);
    matches(text, HEAD "info worker 1\\[[0-9]+\\]: it listens on 47732\n$", "a line");
    free(text);
    log_debug("not this");
    log_warning("this");
    log_error("and this");
    text = slurp(path);
    matches(text, "warning worker 1\\[[0-9]+\\]: this\n.*error worker 1\\[[0-9]+\\]: and this\n$", "levels");
    ok(!strstr(text, "not this"), "what is below the level is left out");
    free(text);
}

static const struct {
    const char *message, *logged;
} escapes[] = {
    {"plain \xc3\xa4 \xf0\x9f\x8c\x8d", "plain \xc3\xa4 \xf0\x9f\x8c\x8d"},
    {"a\nb", "a\\x0ab"},
    {"\r\t\x1b[31m\x7f", "\\x0d\\x09\\x1b[31m\\x7f"},
    {"\x80\xff", "\\x80\\xff"},
    {"\xc0\xaf", "\\xc0\\xaf"},
    {"\xe4\xb8", "\\xe4\\xb8"},
    {"\xc2\x9b"
     "31m\xc2\xa0",
     "\\xc2\\x9b31m\xc2\xa0"},
};

static void test_escapes(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(escapes); i++) {
        open_file(LOG_LEVEL_INFO);
        log_info("%s", escapes[i].message);
        char *text = slurp(path);
        char *message = strstr(text, "]: ");
        char *wanted = mem_printf("]: %s\n", escapes[i].logged);
        is_str(message, wanted, "escaped: %s", escapes[i].logged);
        free(wanted);
        free(text);
    }
}

static void test_cut(void)
{
    char *huge = mem_alloc(100001);
    memset(huge, 'x', 100000);
    huge[100000] = '\0';
    open_file(LOG_LEVEL_INFO);
    log_info("%s", huge);
    memset(huge, '\n', 100000);
    log_info("%s", huge);
    for (size_t i = 0; i < 99999; i += 3)
        memcpy(huge + i, "\xe4\xb8\x96", 3);
    huge[99999] = '\0';
    log_info("%s", huge);
    char *text = slurp(path);
    unsigned lines = 0, long_ones = 0;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        lines++;
        long_ones += end + 1 - line > 4096 || end - line < 4080 || strncmp(end - 3, "...", 3) != 0;
    }
    is_int(lines, 3, "three messages are three lines");
    is_int(long_ones, 0, "each is cut at 4 KiB and says so");
    free(text);
    free(huge);
}

static void test_buffer(void)
{
    open_file(LOG_LEVEL_INFO);
    log_buffered("first");
    log_buffered("second");
    char *text = slurp(path);
    is_str(text, "", "what is buffered is not written at once");
    free(text);
    log_info("third");
    log_buffered("fourth");
    log_flush();
    text = slurp(path);
    matches(text, ": first\n.*: second\n.*: third\n.*: fourth\n$", "lines stay in order");
    free(text);
    for (int i = 0; i < 3000; i++)
        log_buffered("a request line of some length, number %d", i);
    text = slurp(path);
    ok(strlen(text) > 65536, "a full buffer is written by itself");
    free(text);
    log_flush();
    text = slurp(path);
    ok(strstr(text, "number 0\n") && strstr(text, "number 2999\n"), "nothing is missing");
    free(text);
    open_file(LOG_LEVEL_WARNING);
    log_buffered("not wanted");
    log_flush();
    text = slurp(path);
    is_str(text, "", "request lines have the level info");
    free(text);
}

static void test_reopen(void)
{
    struct strbuf error = STRBUF_INIT;
    open_file(LOG_LEVEL_INFO);
    int fd = log_fd();
    log_info("before");
    rename(path, moved);
    log_buffered("still before");
    ok(log_reopen(&error), "reopens %s", error.data);
    is_int(log_fd(), fd, "under the same descriptor");
    ok(fcntl(fd, F_GETFD) & FD_CLOEXEC, "which programs do not inherit");
    log_info("after");
    char *old = slurp(moved), *new = slurp(path);
    matches(old, ": before\n.*: still before\n$", "the old file has what came before");
    matches(new, "^[^\n]*: after\n$", "the new one what came after");
    free(old);
    free(new);
    ok(!log_open("/nonexistent/log", LOG_LEVEL_INFO, &error), "a directory that is not there");
    is_str(error.data, "cannot open log file '/nonexistent/log': No such file or directory", "says so");
    log_info("kept");
    new = slurp(path);
    matches(new, ": kept\n$", "and the old target stays");
    free(new);
    unlink(moved);
    strbuf_release(&error);
}

/* A reader that does not read must not block the event loop. */
static void test_full_pipe(void)
{
    int ends[2], saved = dup(STDERR_FILENO);
    char chunk[65536];
    /* the end that is written to is what a shell gives: a write of more than there is room for waits */
    alarm(30);
    if (pipe(ends) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 || dup2(ends[1], STDERR_FILENO) < 0 ||
        !log_open("stderr", LOG_LEVEL_INFO, NULL)) {
        ok(false, "a pipe");
        return;
    }
    for (int i = 0; i < 5000; i++)
        log_info("line %d of a message that is long enough to fill the pipe", i);
    for (int i = 0; i < 100; i++)
        log_buffered("request %d", i);
    log_flush();
    while (read(ends[0], chunk, sizeof(chunk)) > 0)
        ;
    log_info("later");
    ssize_t n = read(ends[0], chunk, sizeof(chunk) - 1);
    chunk[n > 0 ? n : 0] = '\0';
    matches(chunk, "^[^\n]* warning [^\n]*: [0-9]+ log lines were lost here\n[^\n]*: later\n$",
            "lines that do not fit are lost, and counted");
    alarm(0);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
}

static void *write_lines(void *arg)
{
    for (int i = 0; i < 500; i++)
        log_info("thread %s %0100d", (const char *)arg, i);
    return NULL;
}

/* Threads and processes write to one file: each line is whole. */
static void test_together(void)
{
    static char names[4][2] = {"a", "b", "c", "d"};
    pthread_t threads[2];
    open_file(LOG_LEVEL_INFO);
    pid_t child = fork();
    size_t first = child == 0 ? 2 : 0;
    for (size_t i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, write_lines, names[first + i]);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    if (child == 0)
        _exit(0);
    int status = -1;
    waitpid(child, &status, 0);
    is_int(status, 0, "another process wrote, too");
    char *text = slurp(path);
    unsigned whole = 0, other = 0;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        char name;
        char number[101];
        bool is_line =
            sscanf(line, "%*s info %*[^:]: thread %c %100[0-9]", &name, number) == 2 && strlen(number) == 100;
        whole += is_line;
        other += !is_line;
    }
    ok(whole == 2000 && other == 0, "2000 lines are whole (%u and %u others)", whole, other);
    free(text);
}

int main(void)
{
    if (!mkdtemp(directory))
        return 1;
    snprintf(path, sizeof(path), "%s/log", directory);
    snprintf(moved, sizeof(moved), "%s/log.1", directory);
    test_line();
    test_escapes();
    test_cut();
    test_buffer();
    test_reopen();
    test_together();
    test_full_pipe();
    unlink(path);
    rmdir(directory);
    return tap_done();
}
