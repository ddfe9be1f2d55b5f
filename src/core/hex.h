/* Lower-case hexadecimal. */
#ifndef CORE_HEX_H
#define CORE_HEX_H

#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"

/* Writes 2 * len digits and a zero byte. */
void hex_encode(const void *data, size_t len, char *out_r);
/* True when all `len` digits are lower-case hexadecimal; then len / 2 bytes are in out_r (may be NULL). */
bool hex_decode(const char *digits, size_t len, void *out_r) WARN_UNUSED;

#endif
