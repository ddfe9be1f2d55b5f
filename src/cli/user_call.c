/*
 * Reads the arguments of `user …` and `admin …`: words and a few flags of its own; flags that name the server's data and
 * configuration go on to the server's own parser, which also hides a connection string from `ps`.
 */
#include "cli/user_call.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

/* One flag while it is looked at. */
struct argument {
    char *text;  /* argv's */
    char *name;  /* heap, without "--" and "=…" */
    char *value; /* in argv; NULL: none */
    bool apart;  /* the value is an argument of its own */
};

/* Arguments for config_flags_parse(). */
struct server_arguments {
    char **argv;
    int argc;
};

/* The server's flags that mean something here; each takes a value. */
static bool is_server_flag(const char *name)
{
    static const char *const names[] = {"data", "config", "user"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return strchr(name, '.') != NULL;
}

static void pass_on(struct server_arguments *server, char *flag, char *value)
{
    server->argv[server->argc++] = flag;
    if (value != NULL)
        server->argv[server->argc++] = value;
}

/* A flag with a value. */
static bool take_valued(struct user_call *call, const struct argument *a, struct server_arguments *server,
                        struct strbuf *error)
{
    static char database_url[] = "--database.url";
    if (a->value == NULL)
        return strbuf_error(error, "--%s: needs a value", a->name);
    if (strcmp(a->name, "email") == 0)
        call->email = a->value;
    else if (strcmp(a->name, "password-file") == 0)
        call->password_source.file = a->value;
    else if (strcmp(a->name, "database-url") == 0)
        pass_on(server, database_url, a->value);
    else
        pass_on(server, a->text, a->apart ? a->value : NULL);
    return true;
}

static bool take_flag(struct user_call *call, struct argument *a, int argc, char **argv, int *i,
                      struct server_arguments *server, struct strbuf *error)
{
    static const char *const valued[] = {"email", "password-file", "database-url"};
    bool takes_value = is_server_flag(a->name);
    if (strcmp(a->text, "--help") == 0) {
        call->help = true;
        return true;
    }
    if (strcmp(a->text, "--password-stdin") == 0) {
        call->password_source.standard_input = true;
        return true;
    }
    for (size_t n = 0; n < ARRAY_SIZE(valued); n++)
        takes_value = takes_value || strcmp(a->name, valued[n]) == 0;
    if (!takes_value)
        return strbuf_error(error, "--%s: unknown flag", a->name);
    if (a->value == NULL && *i + 1 < argc) {
        a->value = argv[++*i];
        a->apart = true;
    }
    return take_valued(call, a, server, error);
}

static bool take_word(struct user_call *call, const char *word, struct strbuf *error)
{
    if (call->command == NULL)
        call->command = word;
    else if (call->name == NULL)
        call->name = word;
    else
        return strbuf_error(error, "unexpected argument '%s'", word);
    return true;
}

static bool take(struct user_call *call, int argc, char **argv, int *i, struct server_arguments *server,
                 struct strbuf *error)
{
    if (strncmp(argv[*i], "--", 2) != 0)
        return take_word(call, argv[*i], error);
    char *equals = strchr(argv[*i], '=');
    struct argument a = {.text = argv[*i], .value = equals == NULL ? NULL : equals + 1};
    a.name = mem_strndup(a.text + 2, equals == NULL ? strlen(a.text + 2) : (size_t)(equals - a.text - 2));
    bool taken = take_flag(call, &a, argc, argv, i, server, error);
    free(a.name);
    return taken;
}

bool user_call_parse(struct user_call *call, int argc, char **argv, struct strbuf *error)
{
    struct server_arguments server = {.argv = mem_zalloc(((size_t)argc * 2 + 1) * sizeof(char *))};
    bool taken = true;
    *call = (struct user_call){0};
    pass_on(&server, argv[0], NULL);
    for (int i = 2; taken && i < argc; i++)
        taken = take(call, argc, argv, &i, &server, error);
    taken = taken && config_flags_parse(&call->flags, server.argc, server.argv, error);
    free(server.argv);
    return taken;
}

void user_call_release(struct user_call *call)
{
    config_flags_release(&call->flags);
    *call = (struct user_call){0};
}
