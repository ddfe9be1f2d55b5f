/*
 * json_slice: reads JSON text in place, without a tree. Only for text that json_check() has passed: nothing is checked
 * again, though no text at all makes these calls read beyond its end. A push is up to 2 MiB of small objects, whose
 * tree would cost more than everything else that the worker does with it.
 */
#ifndef API_JSON_SLICE_H
#define API_JSON_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/compiler.h"

/* One value in the text, without white space around it; start NULL: absent. */
struct json_slice {
    const char *start, *end;
};

enum json_kind { JSON_ABSENT, JSON_NULL, JSON_BOOLEAN, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* The value that the text is. */
struct json_slice json_slice_of(const char *text, size_t len);
enum json_kind json_slice_kind(struct json_slice value);

/* Walks the members of an object or the elements of an array. */
struct json_walk {
    const char *p, *end;
};
struct json_walk json_walk_begin(struct json_slice container);
/* The next element; for an object *name_r is the member's name (a string slice), for an array give NULL. False at the
 * end. */
bool json_walk_next(struct json_walk *walk, struct json_slice *name_r, struct json_slice *value_r);

/* True when the string, decoded, is this text. */
bool json_slice_is(struct json_slice string, const char *text, size_t text_len);
/* Writes the decoded string, which is never longer than the slice, and returns its length. Lone surrogates become
 * U+FFFD. */
size_t json_slice_decode(struct json_slice string, char *out_r);
/* The string's content when nothing in it is escaped. */
bool json_slice_plain(struct json_slice string, const char **s_r, size_t *len_r);
/* The number when it is a whole one: within int64, or written with fraction or exponent (7.0, 1e3) and below 2^53. */
bool json_slice_int(struct json_slice number, int64_t *value_r) WARN_UNUSED;

#endif
