/* db/result.h on results made by hand, in PostgreSQL's binary format. */
#include "db/result.h"

#include <libpq-fe.h>

#include "core/clock.h"
#include "core/hex.h"
#include "db/types.h"
#include "tap.h"

static PGresult *result_of(unsigned type, const char *hex)
{
    PGresult *pg = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    char name[] = "c", bytes[64];
    PGresAttDesc column = {.name = name, .format = 1, .typid = type, .typlen = -1};
    size_t digits = hex == NULL ? 0 : strlen(hex);
    if (!PQsetResultAttrs(pg, 1, &column) || !hex_decode(hex == NULL ? "" : hex, digits, bytes) ||
        !PQsetvalue(pg, 0, 0, hex == NULL ? NULL : bytes, hex == NULL ? -1 : (int)digits / 2))
        return NULL;
    return pg;
}

static const struct {
    unsigned type;
    const char *hex;
    int64_t value;
} integers[] = {
    {DB_TYPE_INT2, "8000", -32768},
    {DB_TYPE_INT2, "0102", 258},
    {DB_TYPE_INT4, "ffffffff", -1},
    {DB_TYPE_INT4, "7fffffff", INT32_MAX},
    {DB_TYPE_INT8, "8000000000000000", INT64_MIN},
    {DB_TYPE_INT8, "7fffffffffffffff", INT64_MAX},
    {DB_TYPE_INT8, NULL, 0},
    {DB_TYPE_INT4, NULL, 0},
};

static const struct {
    const char *hex, *text;
} times[] = {
    {"0000000000000000", "2000-01-01T00:00:00Z"},
    {"ffffffffffffffff", "1999-12-31T23:59:59Z"}, /* a microsecond before */
    {"00000000000f423f", "2000-01-01T00:00:00Z"}, /* a microsecond less than a second */
    {"00000000000f4240", "2000-01-01T00:00:01Z"},
    {"fffffffffff0bdc0", "1999-12-31T23:59:59Z"}, /* a whole second before */
    {"fffffffffff0bdbf", "1999-12-31T23:59:58Z"},
    {"000303d984be9100", "2026-11-22T10:15:00Z"},
    {"7fffffffffffffff", ""}, /* infinity */
    {"8000000000000000", ""}, /* -infinity */
    {NULL, ""},
};

static void test_integers(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(integers); i++) {
        struct db_result r = {.pg = result_of(integers[i].type, integers[i].hex)};
        is_int(db_result_int(&r, 0, 0), integers[i].value, "integer %s",
               integers[i].hex == NULL ? "NULL" : integers[i].hex);
        is_int(db_result_null(&r, 0, 0), integers[i].hex == NULL, "NULL or not");
        PQclear(r.pg);
    }
}

static void test_times(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
        char text[CLOCK_RFC3339_SIZE];
        struct db_result r = {.pg = result_of(DB_TYPE_TIMESTAMPTZ, times[i].hex)};
        db_result_time(&r, 0, 0, text);
        is_str(text, times[i].text, "time %s", times[i].hex == NULL ? "NULL" : times[i].hex);
        PQclear(r.pg);
    }
}

static void test_strings(void)
{
    size_t len = 99;
    struct db_result r = {.pg = result_of(DB_TYPE_TEXT, "c3a42e")};
    is_str(db_result_text(&r, 0, 0, &len), "\xc3\xa4.", "text");
    is_int(len, 3, "its length in bytes");
    is_int(db_result_rows(&r), 1, "rows");
    PQclear(r.pg);
    r.pg = result_of(DB_TYPE_TEXT, NULL);
    is_str(db_result_text(&r, 0, 0, &len), "", "NULL as text");
    is_int(len, 0, "its length");
    PQclear(r.pg);
    r.pg = result_of(DB_TYPE_BYTEA, "00ff00");
    ok(memcmp(db_result_bytes(&r, 0, 0, &len), "\0\xff\0", 3) == 0 && len == 3, "bytea");
    PQclear(r.pg);
    r.pg = result_of(DB_TYPE_BOOL, "01");
    ok(db_result_bool(&r, 0, 0), "true");
    PQclear(r.pg);
    r.pg = result_of(DB_TYPE_BOOL, "00");
    ok(!db_result_bool(&r, 0, 0), "false");
    PQclear(r.pg);
    r.pg = result_of(DB_TYPE_BOOL, NULL);
    ok(!db_result_bool(&r, 0, 0), "NULL as a bool");
    PQclear(r.pg);
    r.pg = NULL;
    is_int(db_result_rows(&r), 0, "no result: no rows");
    is_int(db_result_affected(&r), 0, "and nothing affected");
}

int main(void)
{
    test_integers();
    test_times();
    test_strings();
    return tap_done();
}
