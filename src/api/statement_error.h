/* The two columns error_code and error_detail, with which a statement says why it did nothing. */
#ifndef API_STATEMENT_ERROR_H
#define API_STATEMENT_ERROR_H

#include <stdbool.h>

#include "core/compiler.h"
#include "db/result.h"

struct http_request;

/* column is error_code's, error_detail is the next. True: there was an error, and it is answered. */
bool statement_error_answered(struct http_request *request, const struct db_result *result, int column) WARN_UNUSED;

#endif
