/* file: what write(2) leaves to its caller. In every process; on the loop only for small files. */
#ifndef CORE_FILE_H
#define CORE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"

/* All of them, whatever write(2) takes at a time. False: errno says why, and some may be written. */
bool file_write_all(int fd, const void *bytes, size_t len) WARN_UNUSED;

#endif
