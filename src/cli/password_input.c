/* Reads passwords for `user add`, `user passwd` and `admin`, in the process that the operator started. */
#include "cli/password_input.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "auth/accounts.h"
#include "auth/passwords.h"
#include "core/mem.h"
#include "core/utf8.h"

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    interrupted = signal_number;
}

/* One line, byte by byte, so that nothing behind it is taken. More than a password can have is left alone, so that its
 * length is seen. */
static bool read_line(int fd, struct strbuf *line)
{
    char c;
    strbuf_reserve(line, PASSWORDS_MAX + 2); /* never moved in memory: no copy stays behind */
    while (line->len <= PASSWORDS_MAX + 1) {
        ssize_t n = read(fd, &c, 1);
        if (n < 0 && errno == EINTR && interrupted == 0)
            continue;
        if (n < 0)
            return false;
        if (n == 0 || c == '\n')
            break;
        strbuf_append_char(line, c);
    }
    if (line->len > 0 && line->data[line->len - 1] == '\r')
        line->data[--line->len] = '\0';
    return true;
}

static bool read_file(const char *file, struct strbuf *password_r, struct strbuf *error)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    bool done = fd >= 0 && read_line(fd, password_r);
    if (!done)
        strbuf_error(error, "cannot read the password from '%s': %s", file, strerror(errno));
    if (fd >= 0)
        close(fd);
    return done;
}

/* Asks with the echo off. An interrupt gives the terminal back as it was, then ends the process as it would have. */
static bool ask(const char *prompt, struct strbuf *line, struct strbuf *error)
{
    struct termios old, quiet;
    struct sigaction catch = {.sa_handler = on_interrupt}, before;
    if (tcgetattr(STDIN_FILENO, &old) != 0)
        return strbuf_error(error, "cannot ask for the password: %s", strerror(errno));
    quiet = old;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
    sigaction(SIGINT, &catch, &before);
    /* Before the prompt: what was typed earlier is thrown away, and what is typed after it must not be. */
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    fputs(prompt, stderr);
    bool done = read_line(STDIN_FILENO, line);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
    fputc('\n', stderr);
    sigaction(SIGINT, &before, NULL);
    if (interrupted != 0)
        raise(interrupted);
    return done || strbuf_error(error, "cannot read the password: %s", strerror(errno));
}

static bool ask_twice(struct strbuf *password_r, struct strbuf *error)
{
    struct strbuf again = STRBUF_INIT;
    bool done = ask("Password: ", password_r, error) && ask("Password again: ", &again, error);
    if (done && (again.len != password_r->len || memcmp(again.data, password_r->data, again.len) != 0))
        done = strbuf_error(error, "the two passwords are not the same");
    mem_wipe(again.data, again.len);
    strbuf_release(&again);
    return done;
}

static bool check(const struct strbuf *password, struct strbuf *error)
{
    const char *fault = accounts_password_fault(password->data, password->len);
    if (fault != NULL && strncmp(fault, "PASSWORD_", 9) == 0)
        return strbuf_error(error, "%s: a password has %d to %d bytes", fault, PASSWORDS_MIN, PASSWORDS_MAX);
    if (fault == NULL && !utf8_valid(password->data, password->len))
        fault = "the password is not UTF-8";
    return fault == NULL || strbuf_error(error, "%s", fault);
}

bool password_input_read(const struct password_source *source, struct strbuf *password_r, struct strbuf *error)
{
    bool done;
    if (source->file != NULL)
        done = read_file(source->file, password_r, error);
    else if (source->standard_input)
        done = read_line(STDIN_FILENO, password_r) ||
               strbuf_error(error, "cannot read the password from standard input: %s", strerror(errno));
    else if (isatty(STDIN_FILENO))
        done = ask_twice(password_r, error);
    else
        done = strbuf_error(error, "no password given; use --password-file FILE or --password-stdin");
    return done && check(password_r, error);
}
