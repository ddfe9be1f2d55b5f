/*
 * json_check: is this text exactly one JSON value (RFC 8259)? Every text from outside passes here before json-c builds
 * a tree of it. Iterative, no allocation, linear.
 *
 * What json-c 0.16 takes beyond RFC 8259 even with JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8 (found by comparing
 * the two on every sequence of up to three of 60 pieces of text; the reverse, a text that passes here and not there,
 * was not found):
 *   - NaN, Infinity, -Infinity
 *   - leading zeros (00, -01, 01e5) and a point without digits behind it (1., 0.)
 *   - control bytes in a string, tab and line feed among them
 *   - in UTF-8: overlong forms, surrogates, and what lies above U+10FFFF
 *   - anything behind a zero byte, which it takes for the end
 * What it changes in silence: a lone surrogate's escape becomes U+FFFD, an integer outside 64 bits becomes the nearest
 * one inside, the last of two members with one name wins. Its tokener counts a value inside n brackets as depth n + 1.
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
