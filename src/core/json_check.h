/*
 * json_check: is this text exactly one JSON value (RFC 8259)? json-c, which builds the trees, also accepts texts that
 * are none (NaN, lone surrogates replaced in silence, …), so every text passes here first. Iterative, no allocation,
 * linear.
 */
#ifndef CORE_JSON_CHECK_H
#define CORE_JSON_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"

#define JSON_CHECK_DEPTH 512        /* deepest nesting accepted */
#define JSON_CHECK_DEEP_DEPTH 10000 /* … with JSON_CHECK_DEEP */

enum json_verdict {
    JSON_OK,
    JSON_INVALID,    /* no JSON: syntax, UTF-8, control byte in a string */
    JSON_TRAILING,   /* a complete value, then more than white space */
    JSON_TOO_DEEP,   /* nested deeper than the limit */
    JSON_UNSTORABLE, /* JSON, but a string that holds U+0000 or a lone surrogate; only with JSON_CHECK_STORABLE */
};

/*
 * Flags. Without JSON_CHECK_STORABLE escapes like \u0000 and \ud800 pass: the text itself is kept, never its decoded
 * form.
 */
#define JSON_CHECK_STORABLE 1u
#define JSON_CHECK_DEEP 2u /* for texts of which no tree is built, like payloads */

enum json_verdict json_check(const char *text, size_t len, unsigned flags) WARN_UNUSED;

#endif
