/* application/x-www-form-urlencoded: query strings and forms (WHATWG URL, 5.1). Pure. */
#ifndef HTTP_URLENCODED_H
#define HTTP_URLENCODED_H

#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"

/* Cuts the next name=value off *at (of *len bytes); both still encoded, borrowed. False at the end. Empty pieces
 * between ampersands are skipped. */
bool urlencoded_next(const char **at, size_t *len, const char **name_r, size_t *name_len_r, const char **value_r,
                     size_t *value_len_r) WARN_UNUSED;
/*
 * Decodes %XX and + into out_r (room for len + 1 bytes), terminated. False for a broken escape and for what
 * PostgreSQL's text cannot hold.
 */
bool urlencoded_decode(const char *s, size_t len, char *out_r, size_t *out_len_r) WARN_UNUSED;

#endif
