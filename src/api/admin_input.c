/* Reads paths and query strings of the admin's requests, in a worker. */
#include "api/admin_input.h"

#include <stdbool.h>

#include "db/params.h"
#include "http/request.h"

/* Decimal digits and nothing else; INT64_MAX for what is greater. False: it is no number. */
static bool read_number(const char *text, int64_t *number_r)
{
    int64_t number = 0;
    if (*text == '\0')
        return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *text - '0', &number))
            number = INT64_MAX;
    }
    *number_r = number;
    return *text == '\0';
}

int64_t admin_input_id(struct http_request *request)
{
    int64_t id;
    return read_number(http_request_arg(request), &id) ? id : 0;
}

int64_t admin_input_number(struct http_request *request, const char *name, int64_t otherwise, int64_t max)
{
    const char *text = http_request_parameter(request, name);
    int64_t number;
    if (text == NULL || !read_number(text, &number) || number == 0)
        return otherwise;
    return number > max ? max : number;
}

void admin_input_bind(struct http_request *request, const char *name, struct db_params *params)
{
    const char *text = http_request_parameter(request, name);
    db_params_str(params, text == NULL ? "" : text);
}
