/* error_codes: the table of the contract's errors, from core/error_codes.def. Read by the HTTP layer for each error
 * answer. */
#include "core/error_codes.h"

#include <assert.h>
#include <string.h>

static const struct error_info error_table[ERROR_COUNT] = {
#define ERROR(symbol, status, code, message) [ERROR_##symbol] = {status, code, message},
#include "core/error_codes.def"
#undef ERROR
};

const struct error_info *error_info(enum error_code code)
{
    assert((unsigned)code < ERROR_COUNT);
    return &error_table[code];
}

enum error_code error_code_find(const char *code)
{
    int i = 0;
    while (i < ERROR_COUNT && strcmp(error_table[i].code, code) != 0)
        i++;
    return (enum error_code)i;
}
