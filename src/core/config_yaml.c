/*
 * config_yaml: reads config.yml. The file is a mapping of sections, each a mapping of keys to a value or a list, and
 * `admin`, a list of mappings: no deeper than that, so the events of libyaml are taken as they come, without a tree.
 * What YAML offers beyond (anchors and aliases, tags, several documents) is refused, with which an input cannot grow,
 * either.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "core/config_private.h"
#include "core/mem.h"
#include "core/utf8.h"

#define CONFIG_FILE_MAX (1 << 20)

struct config_yaml {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    struct config *config;
    const char *file;
    const struct strbuf *text;
    size_t *lines;         /* by option: the line that set it, 0 = none */
    size_t *section_lines; /* by the section's first option: the line that opened it */
    size_t admin_line;
    struct strbuf *error;
};

bool config_file_read(const char *file, struct strbuf *out)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t n;
    do {
        strbuf_reserve(out, 65536);
        n = read(fd, out->data + out->len, 65536);
        if (n > 0)
            out->len += (size_t)n;
    } while ((n > 0 && out->len <= CONFIG_FILE_MAX) || (n < 0 && errno == EINTR));
    int error = n < 0 ? errno : 0;
    close(fd);
    strbuf_append(out, "", 0);
    if (out->capacity)
        out->data[out->len] = '\0';
    errno = error;
    return n == 0;
}

/* --- errors and events --- */

static bool config_yaml_error(struct config_yaml *y, size_t line, const char *key, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* "file:line: key: reason"; key may be NULL. */
static bool config_yaml_error(struct config_yaml *y, size_t line, const char *key, const char *format, ...)
{
    if (y->error) {
        va_list args;
        strbuf_printf(y->error, "%s:%zu: ", y->file, line);
        if (key)
            strbuf_printf(y->error, "%s: ", key);
        va_start(args, format);
        strbuf_vprintf(y->error, format, args);
        va_end(args);
    }
    return false;
}

static size_t config_yaml_line_of(const struct strbuf *text, size_t offset)
{
    size_t line = 1;
    for (size_t i = 0; i < offset && i < text->len; i++)
        line += text->data[i] == '\n';
    return line;
}

static size_t config_yaml_line(const struct config_yaml *y)
{
    return y->event.start_mark.line + 1;
}

/* What libyaml found: a byte of the input (no mark, an offset), or a token. */
static bool config_yaml_syntax(struct config_yaml *y)
{
    const yaml_parser_t *p = &y->parser;
    size_t line =
        p->error == YAML_READER_ERROR ? config_yaml_line_of(y->text, p->problem_offset) : p->problem_mark.line + 1;
    return config_yaml_error(y, line, NULL, "%s", p->problem ? p->problem : "cannot parse");
}

/* The next event becomes the current one. */
static bool config_yaml_next(struct config_yaml *y)
{
    yaml_event_delete(&y->event);
    if (!yaml_parser_parse(&y->parser, &y->event))
        return config_yaml_syntax(y);
    const yaml_event_t *e = &y->event;
    const yaml_char_t *anchor = e->type == YAML_SCALAR_EVENT           ? e->data.scalar.anchor
                                : e->type == YAML_SEQUENCE_START_EVENT ? e->data.sequence_start.anchor
                                : e->type == YAML_MAPPING_START_EVENT  ? e->data.mapping_start.anchor
                                                                       : NULL;
    const yaml_char_t *tag = e->type == YAML_SCALAR_EVENT           ? e->data.scalar.tag
                             : e->type == YAML_SEQUENCE_START_EVENT ? e->data.sequence_start.tag
                             : e->type == YAML_MAPPING_START_EVENT  ? e->data.mapping_start.tag
                                                                    : NULL;
    if (e->type == YAML_ALIAS_EVENT || anchor)
        return config_yaml_error(y, config_yaml_line(y), NULL, "anchors and aliases are not allowed here");
    if (tag)
        return config_yaml_error(y, config_yaml_line(y), NULL, "tags are not allowed here");
    return true;
}

/* The current event as text, or NULL when it is no scalar or its text has a zero byte. */
static const char *config_yaml_text(const struct config_yaml *y)
{
    if (y->event.type != YAML_SCALAR_EVENT)
        return NULL;
    const char *text = (const char *)y->event.data.scalar.value;
    return strlen(text) == y->event.data.scalar.length ? text : NULL;
}

/* Nothing stands behind the colon, or YAML's words for that. */
static bool config_yaml_is_null(const struct config_yaml *y)
{
    const char *text = config_yaml_text(y);
    return text && y->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

/* --- options --- */

static bool config_yaml_no_list(struct config_yaml *y, const struct config_option *option)
{
    if (option->type == CONFIG_NETWORKS)
        return config_yaml_error(y, config_yaml_line(y), option->name, "needs a list, like [10.0.0.0/8] or []");
    if (y->event.type == YAML_SCALAR_EVENT)
        return config_yaml_error(y, config_yaml_line(y), option->name, "the value has a zero byte");
    return config_yaml_error(y, config_yaml_line(y), option->name, "needs a single value, not a %s",
                             y->event.type == YAML_MAPPING_START_EVENT ? "mapping" : "list");
}

static bool config_yaml_store(struct config_yaml *y, const struct config_option *option, size_t line,
                              char *const *items, size_t count)
{
    struct strbuf reason = STRBUF_INIT;
    bool ok = option->type == CONFIG_NETWORKS ? config_value_set_list(y->config, option, items, count, &reason)
                                              : config_value_set(y->config, option, items[0], &reason);
    if (!ok)
        config_yaml_error(y, line, option->name, "%s", reason.data);
    else
        config_note_given(y->config, option, !count || !*items[0]);
    strbuf_release(&reason);
    return ok;
}

/* The current event opens a list; afterwards it closes it. */
static bool config_yaml_list(struct config_yaml *y, const struct config_option *option)
{
    size_t line = config_yaml_line(y), count = 0;
    char **items = NULL;
    bool ok;
    while ((ok = config_yaml_next(y)) && y->event.type != YAML_SEQUENCE_END_EVENT) {
        const char *text = config_yaml_text(y);
        if (!text) {
            ok = config_yaml_error(y, config_yaml_line(y), option->name, "each item of the list is a single value");
            break;
        }
        items = mem_realloc(items, (count + 1) * sizeof(*items));
        items[count++] = mem_strdup(text);
    }
    ok = ok && config_yaml_store(y, option, line, items, count);
    for (size_t i = 0; i < count; i++)
        free(items[i]);
    free(items);
    return ok;
}

/* The current event is the key of an option of this section; reads its value. */
static bool config_yaml_option(struct config_yaml *y, const char *section)
{
    size_t line = config_yaml_line(y);
    const char *key = config_yaml_text(y);
    if (!key)
        return config_yaml_error(y, line, section, "a key is a single word");
    char *name = mem_printf("%s.%s", section, key);
    const struct config_option *option = config_option_find(name);
    bool ok = option || config_yaml_error(y, line, name, "unknown key; --help lists all keys");
    free(name);
    if (!ok)
        return false;
    size_t *seen = &y->lines[option - config_options];
    if (*seen)
        return config_yaml_error(y, line, option->name, "stands in line %zu already", *seen);
    *seen = line;
    if (!config_yaml_next(y))
        return false;
    if (config_yaml_is_null(y))
        return config_yaml_error(y, line, option->name, "has no value; write %s for an empty one",
                                 option->type == CONFIG_NETWORKS ? "[]" : "\"\"");
    if (option->type == CONFIG_NETWORKS && y->event.type == YAML_SEQUENCE_START_EVENT)
        return config_yaml_list(y, option);
    char *text = (char *)config_yaml_text(y);
    if (option->type == CONFIG_NETWORKS || !text)
        return config_yaml_no_list(y, option);
    return config_yaml_store(y, option, config_yaml_line(y), &text, 1);
}

/* The current event opens a mapping; calls `pair` with each key as the current event. Afterwards it closes the mapping.
 */
static bool config_yaml_mapping(struct config_yaml *y, bool (*pair)(struct config_yaml *, const char *),
                                const char *arg)
{
    while (config_yaml_next(y)) {
        if (y->event.type == YAML_MAPPING_END_EVENT)
            return true;
        if (!pair(y, arg))
            return false;
    }
    return false;
}

/* --- admin --- */

/* The current event is a key of the last entry of `admin`. */
static bool config_yaml_admin_pair(struct config_yaml *y, UNUSED const char *arg)
{
    struct config_admin *admin = &y->config->admins[y->config->admin_count - 1];
    size_t line = config_yaml_line(y);
    const char *key = config_yaml_text(y);
    char **field = !key                                ? NULL
                   : strcmp(key, "username") == 0      ? &admin->username
                   : strcmp(key, "password_hash") == 0 ? &admin->password_hash
                                                       : NULL;
    if (!field)
        return config_yaml_error(y, line, "admin", "an entry has the keys username and password_hash");
    if (*field)
        return config_yaml_error(y, line, "admin", "the entry has two %ss", key);
    if (!config_yaml_next(y))
        return false;
    if (!config_yaml_text(y))
        return config_yaml_error(y, line, "admin", "username and password_hash are single values");
    *field = mem_strdup(config_yaml_text(y));
    return true;
}

/* The current event opens an entry. */
static bool config_yaml_admin_entry(struct config_yaml *y)
{
    struct config *c = y->config;
    size_t line = config_yaml_line(y);
    if (y->event.type != YAML_MAPPING_START_EVENT)
        return config_yaml_error(y, line, "admin", "an entry has the keys username and password_hash");
    c->admins = mem_realloc(c->admins, (c->admin_count + 1) * sizeof(*c->admins));
    c->admins[c->admin_count++] = (struct config_admin){0};
    if (!config_yaml_mapping(y, config_yaml_admin_pair, NULL))
        return false;
    const struct config_admin *admin = &c->admins[c->admin_count - 1];
    if (!admin->username || !admin->password_hash)
        return config_yaml_error(y, line, "admin", "the entry has no %s",
                                 admin->username ? "password_hash" : "username");
    for (const struct config_admin *other = c->admins; other < admin; other++)
        if (strcmp(other->username, admin->username) == 0)
            return config_yaml_error(y, line, "admin", "'%s' has an entry already", admin->username);
    struct strbuf reason = STRBUF_INIT;
    bool ok = config_admin_check(admin->username, admin->password_hash, &reason) ||
              config_yaml_error(y, line, "admin", "%s", reason.data);
    strbuf_release(&reason);
    return ok;
}

/* The current event is the value of `admin`. */
static bool config_yaml_admins(struct config_yaml *y)
{
    if (config_yaml_is_null(y))
        return true;
    if (y->event.type != YAML_SEQUENCE_START_EVENT)
        return config_yaml_error(y, config_yaml_line(y), "admin", "needs a list of username and password_hash");
    while (config_yaml_next(y)) {
        if (y->event.type == YAML_SEQUENCE_END_EVENT)
            return true;
        if (!config_yaml_admin_entry(y))
            return false;
    }
    return false;
}

/* --- the file --- */

/* The line that opened the section before, to be set; NULL when there is no such section. */
static size_t *config_yaml_section_seen(struct config_yaml *y, const char *section)
{
    if (strcmp(section, "admin") == 0)
        return &y->admin_line;
    for (size_t i = 0; i < config_option_count; i++)
        if (strcmp(config_options[i].section, section) == 0)
            return &y->section_lines[i];
    return NULL;
}

/* The current event is the name of a section, or `admin`. */
static bool config_yaml_section(struct config_yaml *y, UNUSED const char *arg)
{
    size_t line = config_yaml_line(y);
    const char *text = config_yaml_text(y);
    size_t *seen = text ? config_yaml_section_seen(y, text) : NULL;
    if (!seen)
        return config_yaml_error(y, line, text, "unknown section; --help lists all sections and keys");
    if (*seen)
        return config_yaml_error(y, line, text, "stands in line %zu already", *seen);
    *seen = line;
    char *section = mem_strdup(text);
    bool ok = config_yaml_next(y);
    if (ok && seen == &y->admin_line)
        ok = config_yaml_admins(y);
    else if (ok && y->event.type == YAML_MAPPING_START_EVENT)
        ok = config_yaml_mapping(y, config_yaml_option, section);
    else if (ok && !config_yaml_is_null(y))
        ok = config_yaml_error(y, line, section, "is a section: its keys stand below it, indented");
    free(section);
    return ok;
}

static bool config_yaml_document(struct config_yaml *y)
{
    if (!config_yaml_next(y))
        return false;
    bool ok = config_yaml_is_null(y);
    if (y->event.type == YAML_MAPPING_START_EVENT)
        ok = config_yaml_mapping(y, config_yaml_section, NULL);
    else if (!ok)
        config_yaml_error(y, config_yaml_line(y), NULL, "expected sections, like 'server:'");
    return ok && config_yaml_next(y); /* the end of the document */
}

static bool config_yaml_stream(struct config_yaml *y)
{
    if (!config_yaml_next(y) || !config_yaml_next(y))
        return false;
    if (y->event.type == YAML_STREAM_END_EVENT)
        return true;
    if (!config_yaml_document(y) || !config_yaml_next(y))
        return false;
    return y->event.type == YAML_STREAM_END_EVENT ||
           config_yaml_error(y, config_yaml_line(y), NULL, "only one document is allowed here");
}

/* libyaml finds broken UTF-8 too, but has read ahead by then and names no line. */
static bool config_yaml_check_utf8(struct config_yaml *y)
{
    for (size_t i = 0, size; i < y->text->len; i += size) {
        size = utf8_sequence(y->text->data + i, y->text->len - i);
        if (!size)
            return config_yaml_error(y, config_yaml_line_of(y->text, i), NULL, "the file is not UTF-8");
    }
    return true;
}

bool config_yaml_load(struct config *config, const char *file, const struct strbuf *text, struct strbuf *error)
{
    struct config_yaml y = {.config = config, .file = file, .text = text, .error = error};
    if (!config_yaml_check_utf8(&y))
        return false;
    if (!yaml_parser_initialize(&y.parser))
        return strbuf_error(error, "cannot set up the YAML parser");
    y.lines = mem_zalloc(config_option_count * sizeof(*y.lines));
    y.section_lines = mem_zalloc(config_option_count * sizeof(*y.section_lines));
    yaml_parser_set_encoding(&y.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&y.parser, (const unsigned char *)text->data, text->len);
    bool ok = config_yaml_stream(&y);
    yaml_event_delete(&y.event);
    yaml_parser_delete(&y.parser);
    free(y.section_lines);
    free(y.lines);
    return ok;
}
