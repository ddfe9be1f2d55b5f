/*
 * upgrade: in the master.
 */
#include "proc/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/mem.h"
#include "proc/signals.h"

#define UPGRADE_CHECK_MS 30000

extern char **environ;

static char *upgrade_program;

/* As it was called (a symbolic link may be what an upgrade changes), when that is this very file; else what the kernel
 * says. */
void upgrade_remember_program(const char *argv0)
{
    struct stat self, called;
    char path[PATH_MAX];
    char *cwd = argv0[0] == '/' ? NULL : getcwd(NULL, 0);
    char *absolute = cwd ? mem_printf("%s/%s", cwd, argv0) : mem_strdup(argv0);
    free(cwd);
    free(upgrade_program);
    upgrade_program = NULL;
    if (strchr(argv0, '/') && stat("/proc/self/exe", &self) == 0 && stat(absolute, &called) == 0 &&
        self.st_dev == called.st_dev && self.st_ino == called.st_ino) {
        upgrade_program = absolute;
        return;
    }
    free(absolute);
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
    upgrade_program = mem_strndup(path, len > 0 ? (size_t)len : 0);
}

/* With --check-config behind the arguments that a new start would get. */
static NORETURN void upgrade_run_check(const struct config_flags *flags, int output)
{
    char **argv = config_flags_argv(flags, upgrade_program);
    size_t count = 0;
    while (argv[count])
        count++;
    argv = mem_realloc(argv, (count + 2) * sizeof(*argv));
    argv[count] = mem_strdup("--check-config");
    argv[count + 1] = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    signals_reset_for_exec();
    handover_announce_check();
    execve(upgrade_program, argv, environ);
    dprintf(STDERR_FILENO, "cannot run '%s': %s\n", upgrade_program, strerror(errno));
    _exit(127);
}

bool upgrade_check(struct upgrade *upgrade, const struct config_flags *flags, struct strbuf *error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return strbuf_error(error, "cannot make a pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0)
        upgrade_run_check(flags, ends[1]);
    int reason = errno;
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return strbuf_error(error, "cannot fork: %s", strerror(reason));
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    *upgrade = (struct upgrade){.pid = pid, .output = ends[0], .deadline = clock_mono_ms() + UPGRADE_CHECK_MS};
    return true;
}

/* What a pipe holds, which is more than a check has to say. */
static void upgrade_read_answer(struct upgrade *upgrade, struct strbuf *answer)
{
    char data[4096];
    ssize_t n;
    while ((n = read(upgrade->output, data, sizeof(data))) > 0)
        strbuf_append(answer, data, (size_t)n);
    while (answer->len && answer->data[answer->len - 1] == '\n')
        answer->data[--answer->len] = '\0';
    close(upgrade->output);
}

bool upgrade_checked(struct upgrade *upgrade, int status, struct strbuf *error)
{
    struct strbuf answer = STRBUF_INIT;
    upgrade_read_answer(upgrade, &answer);
    *upgrade = (struct upgrade){0};
    bool fits = status == 0 && strstr(answer.data, HANDOVER_ANSWER);
    if (WIFSIGNALED(status))
        strbuf_error(error, "'%s --check-config' was killed by signal %d", upgrade_program, WTERMSIG(status));
    else if (status != 0)
        strbuf_error(error, "'%s' refuses: %s", upgrade_program, answer.data);
    else if (!fits)
        strbuf_error(error, "'%s' is no server that could take over", upgrade_program);
    strbuf_release(&answer);
    return fits;
}

void upgrade_check_time(struct upgrade *upgrade, uint64_t now)
{
    if (upgrade->pid && now >= upgrade->deadline)
        kill(upgrade->pid, SIGKILL);
}

void upgrade_exec(const struct config_flags *flags, const struct handover *handover, struct strbuf *error)
{
    if (!handover_give(handover, error)) {
        handover_cancel(handover);
        return;
    }
    char **argv = config_flags_argv(flags, upgrade_program);
    execve(upgrade_program, argv, environ);
    strbuf_error(error, "cannot run '%s': %s", upgrade_program, strerror(errno));
    config_flags_argv_free(&argv);
    handover_cancel(handover);
}
