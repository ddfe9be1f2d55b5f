/*
 * first_admin: called by start.c, in the master, before it forks its first child.
 */
#include "proc/first_admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/passwords.h"
#include "core/config.h"
#include "core/log.h"
#include "core/mem.h"

/* The first line of a file; longer than any password is cut and then refused for its length. */
static bool first_admin_read_line(FILE *file, const char *name, char *password, size_t size, struct strbuf *error)
{
    errno = 0;
    if (!fgets(password, (int)size, file))
        return strbuf_error(error, "cannot read the admin's password from %s: %s", name,
                            errno ? strerror(errno) : "it is empty");
    password[strcspn(password, "\r\n")] = '\0';
    return true;
}

static bool first_admin_password(const struct config_flags *flags, char *password, size_t size, struct strbuf *error)
{
    if (flags->admin_pass) {
        snprintf(password, size, "%s", flags->admin_pass);
        return true;
    }
    if (flags->admin_pass_stdin)
        return first_admin_read_line(stdin, "standard input", password, size, error);
    if (!flags->admin_pass_file)
        return strbuf_error(error, "--admin-user needs --admin-pass-file, --admin-pass-stdin or --admin-pass");
    FILE *file = fopen(flags->admin_pass_file, "re");
    if (!file)
        return strbuf_error(error, "cannot open '%s': %s", flags->admin_pass_file, strerror(errno));
    bool read = first_admin_read_line(file, flags->admin_pass_file, password, size, error);
    fclose(file);
    return read;
}

static bool first_admin_check(const char *password, struct strbuf *error)
{
    size_t len = strlen(password);
    if (len >= PASSWORDS_MIN && len <= PASSWORDS_MAX)
        return true;
    return strbuf_error(error, "the admin's password must have %d to %d bytes", PASSWORDS_MIN, PASSWORDS_MAX);
}

/* In a process of its own, so that the master never holds a state of the cryptographic libraries that its children
 * would share. */
static bool first_admin_hash(const char *password, int cost, char *hash_r, struct strbuf *error)
{
    int ends[2];
    if (pipe(ends) < 0)
        return strbuf_error(error, "cannot make a pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        bool hashed = passwords_hash(password, cost, hash_r);
        _exit(hashed && write(ends[1], hash_r, PASSWORDS_HASH_SIZE) == PASSWORDS_HASH_SIZE ? 0 : 1);
    }
    close(ends[1]);
    bool hashed = pid > 0 && read(ends[0], hash_r, PASSWORDS_HASH_SIZE) == PASSWORDS_HASH_SIZE;
    close(ends[0]);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    return hashed || strbuf_error(error, "cannot hash the admin's password");
}

bool first_admin_write(const struct config *config, struct config_flags *flags, struct strbuf *error)
{
    char password[PASSWORDS_MAX + 8], hash[PASSWORDS_HASH_SIZE];
    bool written = first_admin_password(flags, password, sizeof(password), error) &&
                   first_admin_check(password, error) &&
                   first_admin_hash(password, (int)config->password_cost, hash, error) &&
                   config_write_admin(config->file, flags->admin_user, hash, error);
    mem_wipe(password, sizeof(password));
    if (flags->admin_pass)
        mem_wipe(flags->admin_pass, strlen(flags->admin_pass));
    if (written)
        log_info("admin '%s' is in %s", flags->admin_user, config->file);
    return written;
}
