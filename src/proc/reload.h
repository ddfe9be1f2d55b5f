/*
 * reload: SIGHUP: the configuration read again.
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

#endif
