/*
 * Columns of a result's row as members of a JSON object. Each call writes a comma first when a member stands before it;
 * the caller writes the braces. name is a literal that needs no escaping.
 */
#ifndef API_ROW_JSON_H
#define API_ROW_JSON_H

#include "core/strbuf.h"
#include "db/result.h"

void row_json_text(struct strbuf *out, const char *name, const struct db_result *result, int row, int column);
void row_json_int(struct strbuf *out, const char *name, const struct db_result *result, int row, int column);
void row_json_bool(struct strbuf *out, const char *name, const struct db_result *result, int row, int column);
/* A bool as 0 or 1, as the contract has it for users. */
void row_json_flag(struct strbuf *out, const char *name, const struct db_result *result, int row, int column);
/* "" for a time that never happened. */
void row_json_time(struct strbuf *out, const char *name, const struct db_result *result, int row, int column);

#endif
