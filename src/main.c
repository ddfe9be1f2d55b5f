/*
 * main: the program verstak-sync-server. Reads the command line and hands over: to the master (proc/master.c), to the
 * command line's commands (cli/), or to what only prints.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/routes.h"
#include "cli/admin.h"
#include "cli/user.h"
#include "core/config.h"
#include "core/version.h"
#include "proc/handover.h"
#include "proc/master.h"
#include "proc/start.h"
#include "proc/title.h"
#include "proc/upgrade.h"

static int main_fail(const struct strbuf *error)
{
    fprintf(stderr, "verstak-sync-server: %s\n", error->data);
    return MASTER_EXIT_USAGE;
}

static int main_version(void)
{
    printf("verstak-sync-server %s (%s)\n", VERSION_TEXT, VERSION_COMMIT);
    return 0;
}

static int main_check_config(const struct config_flags *flags, enum handover_start start, struct strbuf *error)
{
    struct config *config = config_load(flags, error);
    if (!config)
        return main_fail(error);
    /* After it took over, a log that cannot be opened would be the end of the server. */
    bool valid = start != HANDOVER_CHECK || start_open_log(config, error);
    if (valid)
        printf("%s: the configuration is valid\n", config->file);
    if (valid && start == HANDOVER_CHECK)
        printf("%s\n", HANDOVER_ANSWER);
    config_free(&config);
    return valid ? 0 : main_fail(error);
}

static int main_routes(const struct config_flags *flags, struct strbuf *error)
{
    struct config *config = config_load(flags, error);
    if (!config)
        return main_fail(error);
    routes_print(stdout, config);
    config_free(&config);
    return 0;
}

static int main_run(struct config_flags *flags, enum handover_start start, struct strbuf *error)
{
    if (flags->version)
        return main_version();
    if (flags->help)
        return config_print_help(stdout), 0;
    if (flags->example_config)
        return config_print_example(stdout), 0;
    if (flags->routes)
        return main_routes(flags, error);
    if (flags->check_config)
        return main_check_config(flags, start, error);
    return master_run(flags, start == HANDOVER_TAKE);
}

/* Whoever starts us without standard input or output must not find our log or a client in their place. */
static void main_open_standard(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    struct config_flags flags;
    struct strbuf error = STRBUF_INIT;
    main_open_standard();
    upgrade_remember_program(argv[0]);
    title_init(argc, argv);
    if (argc > 1 && strcmp(argv[1], "user") == 0)
        return user_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], "admin") == 0)
        return admin_main(argc, argv);
    enum handover_start start = handover_begin();
    int status = config_flags_parse(&flags, argc, argv, &error) ? main_run(&flags, start, &error) : main_fail(&error);
    config_flags_release(&flags);
    strbuf_release(&error);
    if (fflush(stdout) != 0 && status == 0)
        status = 1;
    return status;
}
