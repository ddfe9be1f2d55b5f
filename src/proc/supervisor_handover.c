/*
 * supervisor_handover: the children as lines of text, from the old binary to the new one. Called by master.c on both
 * sides.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "proc/supervisor_private.h"

/* Children without a process are planned anew by the new binary, or were done. */
void supervisor_export(const struct supervisor *s, struct strbuf *lines)
{
    unsigned serving = s->serving.number ? s->serving.number : s->starting.number;
    strbuf_printf(lines, "generations %u %u\n", s->last_number, serving);
    for (const struct child *child = s->children; child; child = child->next) {
        if (child->pid)
            strbuf_printf(lines, "child %s %u %u %ld %u\n", child->kind->name, child->index, child->generation,
                          (long)child->pid, (unsigned)child->state);
    }
}

static void supervisor_import_child(struct supervisor *s, const char *kind_name, struct child imported)
{
    const struct child_kind *kind = child_kinds_find(kind_name);
    if (!kind) { /* this version has no such processes; it will be reaped like an orphan */
        kill(imported.pid, SIGTERM);
        return;
    }
    struct child *child = child_new(kind, imported.index, imported.generation);
    child->pid = imported.pid;
    child->state = imported.state == CHILD_STOPPING ? CHILD_READY : imported.state;
    supervisor_add(s, child);
    bool serves = child->generation == s->serving.number && imported.state == CHILD_READY;
    if (!serves && (!kind->outlives_reload || imported.state == CHILD_STOPPING))
        supervisor_retire(s, child);
}

/* The next word of the line as a number; false: there is none. */
static bool supervisor_import_number(char **rest, unsigned long *number_r)
{
    char *end, *word = strtok_r(NULL, " ", rest);
    *number_r = word ? strtoul(word, &end, 10) : 0;
    return word && *word && !*end;
}

static bool supervisor_import_words(struct supervisor *s, char *line)
{
    char *rest, *word = strtok_r(line, " ", &rest);
    unsigned long last, serving, index, generation, pid, state;
    if (word && strcmp(word, "generations") == 0) {
        bool read = supervisor_import_number(&rest, &last) && supervisor_import_number(&rest, &serving);
        s->last_number = (unsigned)last;
        s->serving.number = read ? (unsigned)serving : 0;
        return read;
    }
    const char *kind = word && strcmp(word, "child") == 0 ? strtok_r(NULL, " ", &rest) : NULL;
    if (!kind || !supervisor_import_number(&rest, &index) || !supervisor_import_number(&rest, &generation) ||
        !supervisor_import_number(&rest, &pid) || !supervisor_import_number(&rest, &state) || state > CHILD_DONE ||
        !pid)
        return false;
    struct child child = {.index = (unsigned)index,
                          .generation = (unsigned)generation,
                          .pid = (pid_t)pid,
                          .state = (enum child_state)state};
    supervisor_import_child(s, kind, child);
    return true;
}

bool supervisor_import(struct supervisor *s, const char *line, struct strbuf *error)
{
    char *copy = mem_strdup(line);
    bool imported = supervisor_import_words(s, copy);
    free(copy);
    return imported ||
           strbuf_error(error, "the former version hands over a child as '%s', which cannot be understood", line);
}
