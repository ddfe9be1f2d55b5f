/*
 * supervisor: in the master. master.c feeds it with what happened (a pipe is readable, a process ended, time passes);
 * here is decided what that means for the children and generations. What travels to a new binary
 * is in supervisor_handover.c.
 */
#include "proc/supervisor.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/log.h"
#include "core/mem.h"
#include "proc/supervisor_private.h"

#define SUPERVISOR_PROBE_MS 100
/* More than the worker's own deadline, so that it can say what it gave up. */
#define SUPERVISOR_STOP_EXTRA_MS 2000

struct supervisor *supervisor_new(const struct child_links *links)
{
    struct supervisor *s = mem_zalloc(sizeof(*s));
    s->links = links;
    s->stop_ms = 20000;
    return s;
}

static void supervisor_remove(struct supervisor *s, struct child *child)
{
    struct child **at = &s->children;
    while (*at != child)
        at = &(*at)->next;
    *at = child->next;
    child_free(&child);
}

void supervisor_free(struct supervisor **s)
{
    while ((*s)->children)
        supervisor_remove(*s, (*s)->children);
    config_free(&(*s)->serving.config);
    config_free(&(*s)->starting.config);
    free(*s);
    *s = NULL;
}

void supervisor_add(struct supervisor *s, struct child *child)
{
    struct child **at = &s->children;
    while (*at && (*at)->kind <= child->kind)
        at = &(*at)->next;
    child->next = *at;
    *at = child;
}

static uint64_t supervisor_stop_ms(const struct supervisor *s, const struct child *child)
{
    return child->kind->stop_seconds ? child->kind->stop_seconds * UINT64_C(1000)
                                     : s->stop_ms + SUPERVISOR_STOP_EXTRA_MS;
}

void supervisor_retire(struct supervisor *s, struct child *child)
{
    child_stop(child, supervisor_stop_ms(s, child));
    if (!child->pid)
        supervisor_remove(s, child);
}

/* Retires the children of a generation; what outlives a reload goes on. */
static void supervisor_retire_generation(struct supervisor *s, unsigned number)
{
    for (struct child *child = s->children, *next; child; child = next) {
        next = child->next;
        if (child->generation == number && !child->kind->outlives_reload)
            supervisor_retire(s, child);
    }
}

static bool supervisor_has(const struct supervisor *s, const struct child_kind *kind)
{
    for (const struct child *child = s->children; child; child = child->next) {
        if (child->kind == kind && !child->retired)
            return true;
    }
    return false;
}

/* Does anything of the former version serve after an upgrade? */
static bool supervisor_former_serves(const struct supervisor *s)
{
    for (const struct child *child = s->children; child; child = child->next) {
        if (child->generation == s->serving.number && child->state == CHILD_READY && !child->kind->outlives_reload)
            return true;
    }
    return false;
}

void supervisor_begin(struct supervisor *s, struct config *config)
{
    if (!s->serving.config && !supervisor_former_serves(s))
        s->serving.number = 0;
    if (s->starting.number) {
        supervisor_retire_generation(s, s->starting.number);
        config_free(&s->starting.config);
    }
    s->starting = (struct generation){.number = ++s->last_number, .config = config};
    s->stop_ms = (uint64_t)config->server_shutdown_timeout;
    for (const struct child_kind *kind = child_kinds; kind->name; kind++) {
        if (kind->outlives_reload && supervisor_has(s, kind))
            continue;
        for (unsigned i = 0, count = kind->count(config); i < count; i++)
            supervisor_add(s, child_new(kind, i, s->starting.number));
    }
}

const struct config *supervisor_config(const struct supervisor *s)
{
    return s->serving.config ? s->serving.config : s->starting.config;
}

enum supervisor_phase supervisor_phase(const struct supervisor *s)
{
    if (s->stopping)
        return s->children ? SUPERVISOR_STOPPING : SUPERVISOR_STOPPED;
    if (s->refused)
        return SUPERVISOR_REFUSED;
    if (s->starting.number)
        return s->serving.number ? SUPERVISOR_REPLACING : SUPERVISOR_STARTING;
    return SUPERVISOR_READY;
}

size_t supervisor_poll(const struct supervisor *s, struct pollfd *fds, size_t room)
{
    size_t count = 0;
    for (const struct child *child = s->children; child && count < room; child = child->next) {
        if (child->ready >= 0 && !child->kind->is_ready)
            fds[count++] = (struct pollfd){.fd = child->ready, .events = POLLIN};
    }
    return count;
}

/* The configuration that a child's next start gets; NULL when it came over an upgrade and its binary is gone. */
static const struct config *supervisor_config_of(const struct supervisor *s, const struct child *child)
{
    if (child->generation == s->starting.number)
        return s->starting.config;
    if (child->generation == s->serving.number && s->serving.config)
        return s->serving.config;
    return child->kind->outlives_reload ? supervisor_config(s) : NULL;
}

static void supervisor_child_ready(struct child *child)
{
    char name[CHILD_NAME_SIZE];
    child_name(child, name);
    child_set_ready(child);
    log_info("%s (process %ld) is ready", name, (long)child->pid);
}

void supervisor_readable(struct supervisor *s, int fd)
{
    for (struct child *child = s->children; child; child = child->next) {
        if (child->ready == fd) {
            if (child_read_ready(child) && child->state == CHILD_STARTING)
                supervisor_child_ready(child);
            return;
        }
    }
}

/* A CHILD_ONCE waits for all before it in the table; the others for those of CHILD_ONCE before them. */
static bool supervisor_may_start(const struct supervisor *s, const struct child *child)
{
    if (s->stopping || (child->kind->listens && s->links->listener < 0))
        return false;
    for (const struct child *other = s->children; other && other->kind < child->kind; other = other->next) {
        bool waits = other->kind->restart == CHILD_ONCE || child->kind->restart == CHILD_ONCE;
        bool same = other->generation == child->generation || other->kind->outlives_reload;
        if (waits && same && !other->retired && other->state != CHILD_DONE && other->state != CHILD_READY)
            return false;
    }
    return true;
}

static void supervisor_overdue(struct child *child)
{
    char name[CHILD_NAME_SIZE];
    child_name(child, name);
    if (child->state == CHILD_STARTING)
        log_warning("%s (process %ld) is not ready after %u s: killing it", name, (long)child->pid,
                    child->kind->ready_seconds);
    else
        log_warning("%s (process %ld) does not leave: killing it", name, (long)child->pid);
    child_kill(child);
}

/* Does what is due for one child; returns when it wants to be looked at again. */
static uint64_t supervisor_run_child(struct supervisor *s, struct child *child, uint64_t now)
{
    if (child->state == CHILD_PLANNED && child->at <= now && supervisor_may_start(s, child))
        child_start(child, supervisor_config_of(s, child), s->links);
    if (child->state == CHILD_STARTING && child->kind->is_ready) {
        if (child->kind->is_ready(supervisor_config_of(s, child), child->pid))
            supervisor_child_ready(child);
        else
            return now + SUPERVISOR_PROBE_MS;
    }
    if (child->pid && child->at && child->at <= now)
        supervisor_overdue(child);
    return child->at > now ? child->at : UINT64_MAX;
}

static bool supervisor_all_ready(const struct supervisor *s)
{
    for (const struct child *child = s->children; child; child = child->next) {
        bool counts = child->generation == s->starting.number || (child->kind->outlives_reload && !child->retired);
        if (counts && child->state != CHILD_READY && child->state != CHILD_DONE)
            return false;
    }
    return true;
}

static void supervisor_switch(struct supervisor *s)
{
    if (s->serving.number) {
        log_info("generation %u is ready; generation %u finishes what it does and leaves", s->starting.number,
                 s->serving.number);
        supervisor_retire_generation(s, s->serving.number);
    }
    config_free(&s->serving.config);
    s->serving = s->starting;
    s->starting = (struct generation){0};
}

/* What outlives a reload stops when it is alone. True when that began now. */
static bool supervisor_stop_rest(struct supervisor *s)
{
    bool began = false;
    for (const struct child *child = s->children; child; child = child->next) {
        if (!child->kind->outlives_reload)
            return false;
    }
    for (struct child *child = s->children, *next; child; child = next) {
        next = child->next;
        began = began || child->state != CHILD_STOPPING;
        supervisor_retire(s, child);
    }
    return began;
}

uint64_t supervisor_run(struct supervisor *s, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    for (struct child *child = s->children; child; child = child->next) {
        uint64_t at = supervisor_run_child(s, child, now);
        next = at < next ? at : next;
    }
    if (s->stopping)
        return supervisor_stop_rest(s) ? now : next;
    if (!s->starting.number || !supervisor_all_ready(s))
        return next;
    supervisor_switch(s);
    return now;
}

static struct child *supervisor_find(const struct supervisor *s, pid_t pid)
{
    struct child *child = s->children;
    while (child && child->pid != pid)
        child = child->next;
    return child;
}

/* A child that cannot serve until a person did something. */
static void supervisor_child_refused(struct supervisor *s, struct child *child)
{
    if (!s->serving.number) {
        s->refused = true;
        child_back_off(child);
    } else if (child->generation == s->starting.number && s->serving.config) {
        log_error("the new configuration is given up; generation %u goes on", s->serving.number);
        supervisor_retire_generation(s, s->starting.number);
        config_free(&s->starting.config);
        s->starting = (struct generation){0};
    } else {
        child->failures =
            1000; /* the longest pause: only a person can help, but nobody should have to restart us then */
        log_warning("%s is tried again in %u s", child->kind->name, (unsigned)(child_back_off(child) / 1000));
    }
}

static void supervisor_child_failed(struct supervisor *s, struct child *child, const char *name, long pid,
                                    const char *words)
{
    if (!supervisor_config_of(s, child)) {
        log_warning("%s (process %ld) of the former version %s", name, pid, words);
        supervisor_remove(s, child);
        return;
    }
    uint64_t pause = child_back_off(child);
    log_warning("%s (process %ld) %s; starting it again in %u s", name, pid, words, (unsigned)(pause / 1000));
}

bool supervisor_reaped(struct supervisor *s, pid_t pid, int status)
{
    struct child *child = supervisor_find(s, pid);
    if (!child)
        return false;
    char name[CHILD_NAME_SIZE];
    struct strbuf words = STRBUF_INIT;
    child_name(child, name);
    child_describe_end(status, &words);
    child_ended(child);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (child->retired) {
        if (code == 0)
            log_info("%s (process %ld) left", name, (long)pid);
        else
            log_warning("%s (process %ld), which was to leave, %s", name, (long)pid, words.data);
        supervisor_remove(s, child);
    } else if (child->kind->restart == CHILD_ONCE && code == 0) {
        child_set_done(child);
    } else if (code == CHILD_EXIT_REFUSED) {
        supervisor_child_refused(s, child);
    } else {
        supervisor_child_failed(s, child, name, (long)pid, words.data);
    }
    strbuf_release(&words);
    return true;
}

static void supervisor_stop_child(struct supervisor *s, struct child *child, bool at_once)
{
    if (at_once && child->pid) {
        child_stop(child, 0);
        child_kill(child);
    } else if (at_once || !child->kind->outlives_reload) {
        supervisor_retire(s, child);
    }
}

void supervisor_stop(struct supervisor *s, bool at_once)
{
    const struct child_kind *kind = child_kinds;
    s->stopping = true;
    while (kind->name)
        kind++;
    while (kind-- > child_kinds) {
        for (struct child *child = s->children, *next; child; child = next) {
            next = child->next;
            if (child->kind == kind)
                supervisor_stop_child(s, child, at_once);
        }
    }
}

void supervisor_signal(const struct supervisor *s, int number)
{
    for (const struct child *child = s->children; child; child = child->next) {
        if (child->pid && !child->kind->outlives_reload)
            kill(child->pid, number);
    }
}
