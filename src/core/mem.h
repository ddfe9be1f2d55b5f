/*
 * Heap memory that is there or the process ends: a worker without memory is restarted by the master,
 * which loses nothing that was acknowledged. The caller owns what is returned and frees it with free().
 */
#ifndef CORE_MEM_H
#define CORE_MEM_H

#include <stddef.h>

#include "core/compiler.h"

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *mem_realloc(void *old, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *s) __attribute__((returns_nonnull));
char *mem_strndup(const char *s, size_t len) __attribute__((returns_nonnull));
char *mem_printf(const char *format, ...) PRINTF_LIKE(1, 2) __attribute__((returns_nonnull));
/* Overwrites a secret in a way that the compiler does not leave out. */
void mem_wipe(void *p, size_t size);

#endif
