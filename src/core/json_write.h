/* Appends JSON text to a strbuf. The caller writes the braces and commas: answers are small and their shape is fixed.
 */
#ifndef CORE_JSON_WRITE_H
#define CORE_JSON_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "core/strbuf.h"

/* A quoted string. Escapes the quotation mark, the backslash and control bytes only; UTF-8 passes as it is. */
void json_write_string(struct strbuf *out, const char *s, size_t len);
/* "name": without anything before it; name is a literal that needs no escaping. */
void json_write_name(struct strbuf *out, const char *name);
/* "name":"value" */
void json_write_member(struct strbuf *out, const char *name, const char *value);
void json_write_int(struct strbuf *out, int64_t value);

#endif
