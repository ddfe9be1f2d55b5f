/*
 * reload: the configuration read again, by SIGHUP or by the binary that takes over after SIGUSR2.
 */
#ifndef PROC_RELOAD_H
#define PROC_RELOAD_H

#include "core/compiler.h"
#include "core/strbuf.h"

struct config;
struct config_flags;

/*
 * Reads the configuration again. What cannot change while the server runs keeps its old value, with a warning in the
 * log that names it. NULL with the reason when the new one is wrong.
 */
struct config *reload_config(const struct config_flags *flags, const struct config *old,
                             struct strbuf *error) WARN_UNUSED;

/* Over an upgrade the same holds: appends "<option> <value>" lines for what cannot change ... */
void reload_export(const struct config *config, struct strbuf *lines);
/* ... and applies one of them to the configuration that the new binary has read. Options unknown to it are skipped. */
void reload_import(struct config *config, const char *line);

#endif
