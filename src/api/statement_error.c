/* Answers with the error that a statement returned. Runs in workers. */
#include "api/statement_error.h"

#include "core/error_codes.h"
#include "http/reply.h"

bool statement_error_answered(struct http_request *request, const struct db_result *result, int column)
{
    if (db_result_null(result, 0, column))
        return false;
    const char *text = db_result_text(result, 0, column, NULL);
    enum error_code code = error_code_find(text);
    if (code == ERROR_COUNT)
        reply_internal(request, "statement returned the code '%s', which the contract does not have", text);
    else
        reply_error_text(request, code, "%s", db_result_text(result, 0, column + 1, NULL));
    return true;
}
