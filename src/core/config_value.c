/*
 * config_value: parses one value of the configuration into its field of struct config. Reasons are given without the
 * place where the value stood and never quote a connection string.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config_private.h"
#include "core/mem.h"
#include "core/utf8.h"

struct config_suffix {
    const char *name;
    int64_t factor;
};

/* Ascending, so that a range is printed in the largest suffix that divides it. */
static const struct config_suffix size_suffixes[] = {
    {"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", INT64_C(1) << 40}, {NULL, 0},
};
static const struct config_suffix duration_suffixes[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};
static const struct config_suffix no_suffixes[] = {{"", 1}, {NULL, 0}};

static void *config_value_field(struct config *config, const struct config_option *option)
{
    return (char *)config + option->offset;
}

static const struct config_suffix *config_value_suffixes(const struct config_option *option)
{
    return option->type == CONFIG_SIZE       ? size_suffixes
           : option->type == CONFIG_DURATION ? duration_suffixes
                                             : no_suffixes;
}

static bool config_value_is_number(enum config_type type)
{
    return type == CONFIG_INTEGER || type == CONFIG_SIZE || type == CONFIG_DURATION;
}

/* --- numbers --- */

/* Digits of `text` as a number; what overflows stays at the largest. Returns the number of digits. */
static size_t config_value_digits(const char *text, int64_t *number_r)
{
    size_t n = strspn(text, "0123456789");
    *number_r = 0;
    for (size_t i = 0; i < n; i++)
        if (__builtin_mul_overflow(*number_r, 10, number_r) ||
            __builtin_add_overflow(*number_r, text[i] - '0', number_r))
            *number_r = INT64_MAX;
    return n;
}

static bool config_value_no_number(const struct config_option *option, const char *text, struct strbuf *error)
{
    if (option->type == CONFIG_SIZE)
        return strbuf_error(error, "'%s' is not a size; give bytes or a number with KiB, MiB, GiB or TiB", text);
    if (option->type == CONFIG_DURATION)
        return strbuf_error(error, "'%s' is not a duration; give a number with ms, s, m, h or d", text);
    return strbuf_error(error, "'%s' is not a whole number", text);
}

static bool config_value_set_number(int64_t *field, const struct config_option *option, const char *text,
                                    struct strbuf *error)
{
    int64_t number;
    bool negative = text[0] == '-';
    size_t digits = config_value_digits(text + negative, &number);
    const char *end = text + negative + digits;
    const struct config_suffix *suffix = config_value_suffixes(option);
    while (suffix->name && strcmp(suffix->name, end) != 0)
        suffix++;
    /* A leading zero is octal to some readers of YAML and decimal to others. */
    bool octal = digits > 1 && text[negative] == '0';
    bool zero = digits == 1 && number == 0 && !*end;
    if (!digits || octal || (!suffix->name && !zero))
        return config_value_no_number(option, text, error);
    if (!zero && __builtin_mul_overflow(number, suffix->factor, &number))
        number = INT64_MAX;
    if (negative || number < option->min || number > option->max) {
        strbuf_error(error, "'%s' is out of range (", text);
        if (error)
            config_value_range(option, error);
        return strbuf_error(error, ")");
    }
    *field = number;
    return true;
}

static void config_value_print_number(const struct config_option *option, int64_t number, struct strbuf *out)
{
    const struct config_suffix *best = config_value_suffixes(option);
    for (const struct config_suffix *s = best; s->name; s++)
        if (number && number % s->factor == 0)
            best = s;
    strbuf_printf(out, "%" PRId64 "%s", number / best->factor, number ? best->name : "");
}

/* --- words --- */

static bool config_value_set_boolean(bool *field, const char *text, struct strbuf *error)
{
    *field = strcmp(text, "true") == 0;
    return *field || strcmp(text, "false") == 0 || strbuf_error(error, "'%s' is neither true nor false", text);
}

/* "a|b|c" as "a, b or c". */
static void config_value_print_choices(const char *choices, struct strbuf *out)
{
    for (const char *c = choices; *c; c++) {
        if (*c != '|')
            strbuf_append_char(out, *c);
        else
            strbuf_append_str(out, strchr(c + 1, '|') ? ", " : " or ");
    }
}

static bool config_value_is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (const char *c = choices; c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL)
        if (len && strcspn(c, "|") == len && strncmp(c, text, len) == 0)
            return true;
    return false;
}

void config_value_range(const struct config_option *option, struct strbuf *out)
{
    if (option->type == CONFIG_CHOICE)
        config_value_print_choices(option->unit, out);
    else if (option->type == CONFIG_BOOLEAN)
        strbuf_append_str(out, "true or false");
    if (!config_value_is_number(option->type))
        return;
    config_value_print_number(option, option->min, out);
    strbuf_append_str(out, " to ");
    config_value_print_number(option, option->max, out);
}

/* --- addresses --- */

bool config_split_listen(const char *listen, char host_r[64], unsigned *port_r)
{
    const char *colon = strrchr(listen, ':');
    unsigned char address[sizeof(struct in6_addr)];
    int64_t port;
    if (!colon || (size_t)(colon - listen) >= 64)
        return false;
    bool v6 = listen[0] == '[' && colon > listen + 1 && colon[-1] == ']';
    size_t len = (size_t)(colon - listen) - (v6 ? 2 : 0);
    memcpy(host_r, listen + v6, len);
    host_r[len] = '\0';
    size_t digits = config_value_digits(colon + 1, &port);
    if (!digits || digits > 5 || colon[1 + digits] || port > 65535)
        return false;
    *port_r = (unsigned)port;
    return inet_pton(v6 ? AF_INET6 : AF_INET, host_r, address) == 1;
}

/* "10.0.0.0/8", "::1": an address, or one with the length of its prefix. */
static bool config_value_is_network(const char *text)
{
    char host[64];
    unsigned char address[sizeof(struct in6_addr)];
    size_t len = strcspn(text, "/");
    if (len >= sizeof(host))
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    int family = strchr(host, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(family, host, address) != 1)
        return false;
    if (!text[len])
        return true;
    int64_t bits;
    size_t digits = config_value_digits(text + len + 1, &bits);
    return digits && digits <= 3 && !text[len + 1 + digits] && bits <= (family == AF_INET6 ? 128 : 32);
}

static bool config_value_is_url(const char *text)
{
    size_t scheme = strncmp(text, "https://", 8) == 0 ? 8 : strncmp(text, "http://", 7) == 0 ? 7 : 0;
    return scheme && text[scheme] && text[scheme] != '/' && !strpbrk(text, " \"<>?#\\^`{|}");
}

/* --- texts --- */

static bool config_value_is_printable(const char *text)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    return utf8_valid(text, strlen(text));
}

static bool config_value_check_text(const struct config_option *option, const char *text, struct strbuf *error)
{
    char host[64];
    unsigned port;
    switch (option->type) {
    case CONFIG_ADDRESS:
        return config_split_listen(text, host, &port) ||
               strbuf_error(
                   error, "'%s' is not ADDRESS:PORT with a numeric address, like 127.0.0.1:47732 or [::1]:47732", text);
    case CONFIG_URL:
        return !*text || config_value_is_url(text) ||
               strbuf_error(error, "'%s' is not a URL like https://sync.example.org", text);
    case CONFIG_PATH:
        return !*text || *text == '/' || strbuf_error(error, "'%s' is not an absolute path", text);
    case CONFIG_TARGET:
        return *text == '/' || strcmp(text, "stderr") == 0 || strcmp(text, "syslog") == 0 ||
               strbuf_error(error, "'%s' is neither stderr nor syslog nor an absolute path", text);
    case CONFIG_CHOICE:
        if (config_value_is_choice(option->unit, text))
            return true;
        strbuf_error(error, "'%s' is not one of ", text);
        if (error)
            config_value_print_choices(option->unit, error);
        return false;
    default:
        return true;
    }
}

static void config_value_set_text(char **field, const struct config_option *option, const char *text)
{
    size_t len = strlen(text);
    /* Paths are appended to a URL. */
    while (option->type == CONFIG_URL && len && text[len - 1] == '/')
        len--;
    free(*field);
    *field = mem_strndup(text, len);
}

/* --- lists --- */

bool config_value_set_list(struct config *config, const struct config_option *option, char *const *items, size_t count,
                           struct strbuf *error)
{
    for (size_t i = 0; i < count; i++)
        if (!config_value_is_network(items[i]))
            return strbuf_error(error, "'%s' is neither an address nor a network like 10.0.0.0/8", items[i]);
    config_value_clear(config, option);
    struct config_list *list = config_value_field(config, option);
    list->items = mem_zalloc(count * sizeof(*list->items));
    for (size_t i = 0; i < count; i++)
        list->items[i] = mem_strdup(items[i]);
    list->count = count;
    return true;
}

/* "a, b,c" */
static bool config_value_split_list(struct config *config, const struct config_option *option, const char *text,
                                    struct strbuf *error)
{
    char *copy = mem_strdup(text), *rest = copy, *item;
    char **items = mem_zalloc((strlen(text) + 1) * sizeof(*items));
    size_t count = 0;
    while ((item = strtok_r(rest, ", ", &rest)))
        items[count++] = item;
    bool ok = config_value_set_list(config, option, items, count, error);
    free(items);
    free(copy);
    return ok;
}

/* --- any value --- */

void config_value_clear(struct config *config, const struct config_option *option)
{
    void *field = config_value_field(config, option);
    if (option->type == CONFIG_NETWORKS) {
        struct config_list *list = field;
        for (size_t i = 0; i < list->count; i++)
            free(list->items[i]);
        free(list->items);
        *list = (struct config_list){0};
    } else if (!config_value_is_number(option->type) && option->type != CONFIG_BOOLEAN) {
        free(*(char **)field);
        *(char **)field = NULL;
    }
}

bool config_value_set(struct config *config, const struct config_option *option, const char *text, struct strbuf *error)
{
    if (!config_value_is_printable(text))
        return strbuf_error(error, "the value has control characters or is not UTF-8");
    if (option->type == CONFIG_NETWORKS)
        return config_value_split_list(config, option, text, error);
    if (option->type == CONFIG_BOOLEAN)
        return config_value_set_boolean(config_value_field(config, option), text, error);
    if (config_value_is_number(option->type))
        return config_value_set_number(config_value_field(config, option), option, text, error);
    if (!config_value_check_text(option, text, error))
        return false;
    config_value_set_text(config_value_field(config, option), option, text);
    return true;
}

bool config_value_set_port(struct config *config, const char *text, struct strbuf *error)
{
    char host[64];
    unsigned port;
    int64_t wanted;
    size_t digits = config_value_digits(text, &wanted);
    if (!digits || text[digits] || wanted > 65535)
        return strbuf_error(error, "'%s' is not a port (0 to 65535)", text);
    if (!config_split_listen(config->server_listen, host, &port))
        return strbuf_error(error, "server.listen has no port");
    char *listen = mem_printf(strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, (int)wanted);
    free(config->server_listen);
    config->server_listen = listen;
    return true;
}

bool config_value_check(const char *setting, const char *text, struct strbuf *error)
{
    struct config *scratch = config_new();
    const struct config_option *option = config_option_find(setting);
    bool ok = option ? config_value_set(scratch, option, text, error) : config_value_set_port(scratch, text, error);
    config_free(&scratch);
    return ok;
}

/* bcrypt: "$2b$12$", 22 characters of salt and 31 of hash. */
static bool config_value_is_bcrypt(const char *hash)
{
    static const char alphabet[] = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    int64_t cost;
    return strlen(hash) == 60 && strncmp(hash, "$2", 2) == 0 && strchr("aby", hash[2]) && hash[3] == '$' &&
           config_value_digits(hash + 4, &cost) == 2 && cost >= 4 && cost <= 31 && hash[6] == '$' &&
           strspn(hash + 7, alphabet) == 53;
}

bool config_admin_check(const char *username, const char *password_hash, struct strbuf *error)
{
    size_t len = strlen(username);
    if (!len || len > 128 || username[0] == ' ' || username[len - 1] == ' ' || !config_value_is_printable(username))
        return strbuf_error(error, "a user name has 1 to 128 bytes, no control characters and no space around it");
    if (!config_value_is_bcrypt(password_hash))
        return strbuf_error(error, "password_hash of '%s' is not a bcrypt hash; set it with --admin-user", username);
    return true;
}
