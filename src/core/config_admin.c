/*
 * config_admin: writes an entry of `admin:` into config.yml for --admin-user. The file belongs to a person: it is
 * edited as text, at the places that libyaml's marks name, so that comments and order stay; the result is read back
 * before it replaces the file. Runs in the master before it starts anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "core/config_private.h"
#include "core/file.h"
#include "core/mem.h"

/* A part of the text, in bytes. */
struct config_span {
    size_t start, end;
};

/* Where `admin` stands in a text that config_yaml_load() accepted. */
struct config_admin_place {
    bool exists;   /* the key is there */
    bool list;     /* its value is a list, else nothing */
    bool flow;     /* … written as [ ] */
    size_t column; /* of the list's first "-" */
    struct config_span value;
    bool entries;            /* the list is not empty */
    size_t last_end;         /* of the last entry's last character */
    struct config_span hash; /* of the wanted user's password_hash; empty when there is no such entry */
};

struct config_admin_scan {
    yaml_parser_t parser;
    yaml_event_t event;
    const struct strbuf *text;
    const char *username;
    struct config_admin_place *place;
};

/* libyaml's marks count characters. */
static size_t config_admin_offset(const struct strbuf *text, size_t characters)
{
    size_t i = 0;
    for (; i < text->len && (characters || ((unsigned char)text->data[i] & 0xc0) == 0x80); i++)
        if (((unsigned char)text->data[i] & 0xc0) != 0x80)
            characters--;
    return i;
}

static struct config_span config_admin_span(const struct config_admin_scan *s)
{
    return (struct config_span){config_admin_offset(s->text, s->event.start_mark.index),
                                config_admin_offset(s->text, s->event.end_mark.index)};
}

static bool config_admin_next(struct config_admin_scan *s)
{
    yaml_event_delete(&s->event);
    return yaml_parser_parse(&s->parser, &s->event) && s->event.type != YAML_STREAM_END_EVENT;
}

static bool config_admin_is(const struct config_admin_scan *s, const char *text)
{
    return s->event.type == YAML_SCALAR_EVENT && strcmp((const char *)s->event.data.scalar.value, text) == 0;
}

/* The current event opens an entry; notes where it ends and, if it is the user's, where the hash stands. */
static void config_admin_scan_entry(struct config_admin_scan *s)
{
    struct config_span hash = {0, 0};
    bool wanted = false;
    while (config_admin_next(s) && s->event.type != YAML_MAPPING_END_EVENT) {
        bool is_name = config_admin_is(s, "username");
        if (!config_admin_next(s))
            return;
        if (is_name)
            wanted = config_admin_is(s, s->username);
        else
            hash = config_admin_span(s);
        s->place->last_end = config_admin_span(s).end;
    }
    /* The end of a mapping in braces has a place of its own, that of an indented one is the next thing's. */
    struct config_span end = config_admin_span(s);
    if (end.end > end.start)
        s->place->last_end = end.end;
    if (wanted)
        s->place->hash = hash;
}

/* The current event is the value of `admin`. */
static void config_admin_scan_value(struct config_admin_scan *s)
{
    s->place->exists = true;
    s->place->value = config_admin_span(s);
    if (s->event.type != YAML_SEQUENCE_START_EVENT)
        return;
    s->place->list = true;
    s->place->flow = s->event.data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
    s->place->column = s->event.start_mark.column;
    while (config_admin_next(s) && s->event.type == YAML_MAPPING_START_EVENT) {
        s->place->entries = true;
        config_admin_scan_entry(s);
    }
    s->place->value.end = config_admin_span(s).end;
}

static void config_admin_find(const struct strbuf *text, const char *username, struct config_admin_place *place_r)
{
    struct config_admin_scan s = {.text = text, .username = username, .place = place_r};
    unsigned depth = 0;
    bool key = true; /* the next scalar of the outermost mapping is a key */
    *place_r = (struct config_admin_place){0};
    if (!yaml_parser_initialize(&s.parser))
        return;
    yaml_parser_set_encoding(&s.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&s.parser, (const unsigned char *)text->data, text->len);
    while (!place_r->exists && config_admin_next(&s)) {
        if (depth == 1 && key && config_admin_is(&s, "admin") && config_admin_next(&s)) {
            config_admin_scan_value(&s);
            break;
        }
        bool opens = s.event.type == YAML_MAPPING_START_EVENT || s.event.type == YAML_SEQUENCE_START_EVENT;
        bool closes = s.event.type == YAML_MAPPING_END_EVENT || s.event.type == YAML_SEQUENCE_END_EVENT;
        depth += opens;
        depth -= closes;
        if (depth == 1 && (closes || s.event.type == YAML_SCALAR_EVENT))
            key = !key;
    }
    yaml_event_delete(&s.event);
    yaml_parser_delete(&s.parser);
}

/* --- the edit --- */

static void config_admin_quote(struct strbuf *out, const char *text)
{
    strbuf_append_char(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            strbuf_append_char(out, '\\');
        strbuf_append_char(out, *text);
    }
    strbuf_append_char(out, '"');
}

/* "- username: …\n  password_hash: …", or the same in braces for a list in brackets. */
static void config_admin_entry(struct strbuf *out, bool flow, size_t column, const char *username, const char *hash)
{
    if (flow)
        strbuf_append_str(out, "{username: ");
    else
        strbuf_printf(out, "%*s- username: ", (int)column, "");
    config_admin_quote(out, username);
    if (flow)
        strbuf_printf(out, ", password_hash: %s}", hash);
    else
        strbuf_printf(out, "\n%*s  password_hash: %s\n", (int)column, "", hash);
}

/* Where the line that holds the byte before `at` ends, its line feed included. */
static size_t config_admin_line_end(const struct strbuf *text, size_t at)
{
    if (at && text->data[at - 1] == '\n')
        return at;
    const char *feed = memchr(text->data + at, '\n', text->len - at);
    return feed ? (size_t)(feed + 1 - text->data) : text->len;
}

/* Appends text with `insert` in place of the span; with `line`, the insertion begins a line. */
static void config_admin_replace(struct strbuf *out, const struct strbuf *text, struct config_span span, bool line,
                                 const struct strbuf *insert)
{
    strbuf_append(out, text->data, span.start);
    if (line && out->len && out->data[out->len - 1] != '\n')
        strbuf_append_char(out, '\n');
    strbuf_append(out, insert->data, insert->len);
    strbuf_append(out, text->data + span.end, text->len - span.end);
}

static void config_admin_edit(struct strbuf *out, const struct strbuf *text, const char *username, const char *hash)
{
    struct config_admin_place place;
    struct strbuf insert = STRBUF_INIT;
    struct config_span span = {text->len, text->len};
    bool line = true;
    config_admin_find(text, username, &place);
    if (place.hash.end) {
        span = place.hash;
        line = false;
        strbuf_append_str(&insert, hash);
    } else if (place.entries && place.flow) {
        span.start = span.end = place.last_end;
        line = false;
        strbuf_append_str(&insert, ", ");
        config_admin_entry(&insert, true, 0, username, hash);
    } else if (place.entries) {
        span.start = span.end = config_admin_line_end(text, place.last_end);
        config_admin_entry(&insert, false, place.column, username, hash);
    } else if (place.exists && place.value.end == place.value.start) { /* "admin:" */
        span.start = span.end = config_admin_line_end(text, place.value.end);
        config_admin_entry(&insert, false, 2, username, hash);
    } else if (place.exists) { /* "admin: null" or "admin: []" */
        span = place.value;
        line = false;
        strbuf_append_char(&insert, '[');
        config_admin_entry(&insert, true, 0, username, hash);
        strbuf_append_char(&insert, ']');
    } else {
        strbuf_append_str(&insert, "admin:\n");
        config_admin_entry(&insert, false, 2, username, hash);
    }
    config_admin_replace(out, text, span, line, &insert);
    strbuf_release(&insert);
}

/* --- the check --- */

static const char *config_admin_hash(const struct config *config, const char *username)
{
    for (size_t i = 0; i < config->admin_count; i++)
        if (strcmp(config->admins[i].username, username) == 0)
            return config->admins[i].password_hash;
    return NULL;
}

/* All of the old entries are in the new text as they were, and the user's has the new hash. */
static bool config_admin_verify(const struct config *old, const char *file, const struct strbuf *text,
                                const char *username, const char *hash)
{
    struct config *new = config_new();
    bool ok = config_yaml_load(new, file, text, NULL);
    const char *written = ok ? config_admin_hash(new, username) : NULL;
    ok = written && strcmp(written, hash) == 0;
    for (size_t i = 0; ok && i < old->admin_count; i++) {
        const struct config_admin *admin = &old->admins[i];
        const char *kept = config_admin_hash(new, admin->username);
        ok = strcmp(admin->username, username) == 0 || (kept && strcmp(kept, admin->password_hash) == 0);
    }
    config_free(&new);
    return ok;
}

/* --- the file --- */

/* The name behind the last symbolic link, so that the link stays; heap. */
static char *config_admin_target(const char *file)
{
    char path[PATH_MAX];
    return mem_strdup(realpath(file, path) ? path : file);
}

/* The owner of what was there, else (a first file, made by root for the server's user) the directory's. */
static bool config_admin_set_owner(int fd, int directory, const char *file)
{
    struct stat st;
    if (stat(file, &st) < 0 && fstat(directory, &st) < 0)
        return false;
    return fchmod(fd, 0640) == 0 && (geteuid() != 0 || fchown(fd, st.st_uid, st.st_gid) == 0);
}

static bool config_admin_store(const char *file, int directory, const struct strbuf *text, struct strbuf *error)
{
    char *temporary = mem_printf("%s.XXXXXX", file);
    int fd = mkostemp(temporary, O_CLOEXEC);
    bool ok = fd >= 0 && file_write_all(fd, text->data, text->len) && config_admin_set_owner(fd, directory, file) &&
              fsync(fd) == 0 && rename(temporary, file) == 0 && fsync(directory) == 0;
    if (!ok) {
        strbuf_error(error, "cannot write '%s': %s", file, strerror(errno));
        if (fd >= 0)
            unlink(temporary);
    }
    if (fd >= 0)
        close(fd);
    free(temporary);
    return ok;
}

/* Reads the file (a missing one is empty), edits and stores it. */
static bool config_admin_update(const char *file, int directory, const char *username, const char *hash,
                                struct strbuf *error)
{
    struct strbuf text = STRBUF_INIT, edited = STRBUF_INIT;
    struct config *old = config_new();
    bool ok = config_file_read(file, &text) || errno == ENOENT ||
              strbuf_error(error, "cannot read '%s': %s", file, errno ? strerror(errno) : "it is too large");
    ok = ok && config_yaml_load(old, file, &text, error);
    if (ok) {
        config_admin_edit(&edited, &text, username, hash);
        ok = config_admin_verify(old, file, &edited, username, hash) ||
             strbuf_error(error, "cannot edit '%s' as it is written; add the entry to admin: by hand", file);
    }
    ok = ok && config_admin_store(file, directory, &edited, error);
    mem_wipe(text.data, text.len);
    mem_wipe(edited.data, edited.len);
    strbuf_release(&text);
    strbuf_release(&edited);
    config_free(&old);
    return ok;
}

bool config_write_admin(const char *file, const char *username, const char *password_hash, struct strbuf *error)
{
    if (!config_admin_check(username, password_hash, error))
        return false;
    char *target = config_admin_target(file);
    char *copy = mem_strdup(target);
    const char *parent = dirname(copy);
    int directory = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* The lock keeps two writers from losing one another's entry; it goes with the descriptor. */
    bool ok = (directory >= 0 && flock(directory, LOCK_EX) == 0) ||
              strbuf_error(error, "cannot open directory '%s': %s", parent, strerror(errno));
    ok = ok && config_admin_update(target, directory, username, password_hash, error);
    if (directory >= 0)
        close(directory);
    free(copy);
    free(target);
    return ok;
}
