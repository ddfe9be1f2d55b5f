/* The contract's error codes as an enum; rows in core/error_codes.def. */
#ifndef CORE_ERROR_CODES_H
#define CORE_ERROR_CODES_H

enum error_code {
#define ERROR(symbol, status, code, message) ERROR_##symbol,
#include "core/error_codes.def"
#undef ERROR
    ERROR_COUNT
};

struct error_info {
    int status;          /* HTTP status */
    const char *code;    /* what clients act on */
    const char *message; /* English sentence for people */
};

const struct error_info *error_info(enum error_code code);
/* The row whose code text this is, or ERROR_COUNT. For codes that SQL functions return. */
enum error_code error_code_find(const char *code);

#endif
