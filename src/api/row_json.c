/* Writes rows of the database as JSON. Runs in workers; called by the handlers that answer with lists and records. */
#include "api/row_json.h"

#include "core/clock.h"
#include "core/json_write.h"

static void next_member(struct strbuf *out)
{
    if (out->len > 0 && out->data[out->len - 1] != '{')
        strbuf_append_char(out, ',');
}

void row_json_text(struct strbuf *out, const char *name, const struct db_result *result, int row, int column)
{
    next_member(out);
    json_write_member(out, name, db_result_text(result, row, column, NULL));
}

void row_json_int(struct strbuf *out, const char *name, const struct db_result *result, int row, int column)
{
    next_member(out);
    json_write_name(out, name);
    json_write_int(out, db_result_int(result, row, column));
}

void row_json_bool(struct strbuf *out, const char *name, const struct db_result *result, int row, int column)
{
    next_member(out);
    json_write_name(out, name);
    strbuf_append_str(out, db_result_bool(result, row, column) ? "true" : "false");
}

void row_json_flag(struct strbuf *out, const char *name, const struct db_result *result, int row, int column)
{
    next_member(out);
    json_write_name(out, name);
    json_write_int(out, db_result_bool(result, row, column));
}

void row_json_time(struct strbuf *out, const char *name, const struct db_result *result, int row, int column)
{
    char time[CLOCK_RFC3339_SIZE];
    db_result_time(result, row, column, time);
    next_member(out);
    json_write_member(out, name, time);
}
