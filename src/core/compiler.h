/* Attributes that let the compiler check what a declaration promises. */
#ifndef CORE_COMPILER_H
#define CORE_COMPILER_H

#define WARN_UNUSED __attribute__((warn_unused_result))
#define PRINTF_LIKE(format, first) __attribute__((format(printf, format, first)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
