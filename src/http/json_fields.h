/*
 * Fields of a JSON object that came in. Each call answers the request's error itself and returns false when the field
 * is wrong; a field that is absent or null leaves *value_r as it was. Lengths are bytes.
 */
#ifndef HTTP_JSON_FIELDS_H
#define HTTP_JSON_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/compiler.h"

struct http_request;
struct json_object;

struct json_text {
    const char *s; /* zero-terminated, borrowed from the object */
    size_t len;
};

/* String of at most max bytes (400 field_too_long). */
bool json_field_text(struct http_request *request, struct json_object *object, const char *name, size_t max,
                     struct json_text *value_r) WARN_UNUSED;
/* Whole number in the range of int64 (400 invalid_request for fractions, exponents that are none, numbers beyond). */
bool json_field_int(struct http_request *request, struct json_object *object, const char *name,
                    int64_t *value_r) WARN_UNUSED;
/* Array; NULL when absent. */
bool json_field_array(struct http_request *request, struct json_object *object, const char *name,
                      struct json_object **value_r) WARN_UNUSED;
/* Without white space at both ends (ASCII), as the contract says of some fields. */
struct json_text json_text_trim(struct json_text text);

#endif
