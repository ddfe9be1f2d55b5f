/* UTF-8 as in RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF. */
#ifndef CORE_UTF8_H
#define CORE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"

/* Length (1 to 4) of the well-formed sequence that begins at s; 0 when none does or len is 0. */
size_t utf8_sequence(const char *s, size_t len) WARN_UNUSED;
bool utf8_valid(const char *s, size_t len) WARN_UNUSED;
/* Valid UTF-8 without U+0000: what PostgreSQL's text can hold. */
bool utf8_storable(const char *s, size_t len) WARN_UNUSED;

#endif
