/* Attributes that let the compiler check what a declaration promises. */
#ifndef CORE_COMPILER_H
#define CORE_COMPILER_H

#define WARN_UNUSED __attribute__((__warn_unused_result__))
/* Numbers of the format string's and the first value's parameter, from 1; 0 for a va_list. */
#define PRINTF_LIKE(string, first) __attribute__((__format__(__printf__, string, first)))
#define NORETURN __attribute__((__noreturn__))
#define UNUSED __attribute__((__unused__))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
