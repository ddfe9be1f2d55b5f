/*
 * first_admin: --admin-user and its password become an entry of `admin:` in the configuration file before the server
 * starts.
 */
#ifndef PROC_FIRST_ADMIN_H
#define PROC_FIRST_ADMIN_H

#include <stdbool.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct config;
struct config_flags;

/* Reads the password from the flags, hashes it and writes the entry. Wipes the password in flags. */
bool first_admin_write(const struct config *config, struct config_flags *flags, struct strbuf *error) WARN_UNUSED;

#endif
