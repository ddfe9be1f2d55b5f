/* What the admin's handlers read out of paths and query strings. Values that make no sense count as absent. */
#ifndef API_ADMIN_INPUT_H
#define API_ADMIN_INPUT_H

#include <stdint.h>

struct db_params;
struct http_request;

/* The {} of the path as an id; 0, which nothing has, when it is no number. */
int64_t admin_input_id(struct http_request *request);
/* A parameter from 1 to max; absent or nonsense: otherwise; beyond max: max. */
int64_t admin_input_number(struct http_request *request, const char *name, int64_t otherwise, int64_t max);
/* Appends a parameter as text, "" when absent. */
void admin_input_bind(struct http_request *request, const char *name, struct db_params *params);

#endif
