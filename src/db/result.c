/*
 * db_result: reads binary columns. Asserts catch a column of another type than the code expects: the SQL file and its
 * caller disagree, and no input from outside can bring that about.
 */
#include "db/result.h"

#include <assert.h>
#include <endian.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "db/types.h"

#define EPOCH_2000 INT64_C(946684800) /* seconds between 1970 and PostgreSQL's 2000-01-01 */
#define YEAR_10000 INT64_C(253402300800)
#define YEAR_0 INT64_C(-62167219200)

int db_result_rows(const struct db_result *r)
{
    return r->pg == NULL ? 0 : PQntuples(r->pg);
}

bool db_result_null(const struct db_result *r, int row, int column)
{
    assert(row < db_result_rows(r) && column < PQnfields(r->pg));
    return PQgetisnull(r->pg, row, column);
}

const char *db_result_text(const struct db_result *r, int row, int column, size_t *len_r)
{
    /*
     * libpq gives "" and 0 for NULL, and ends every value with a zero byte that it does not count. It checks row and
     * column, too, which is why this, called a thousand times for a page, does not.
     */
    const char *value = PQgetvalue(r->pg, row, column);
    assert(value != NULL && (PQftype(r->pg, column) == DB_TYPE_TEXT || PQftype(r->pg, column) == DB_TYPE_VARCHAR));
    if (len_r != NULL)
        *len_r = (size_t)PQgetlength(r->pg, row, column);
    return value;
}

const void *db_result_bytes(const struct db_result *r, int row, int column, size_t *len_r)
{
    bool null = db_result_null(r, row, column);
    assert(PQftype(r->pg, column) == DB_TYPE_BYTEA);
    *len_r = null ? 0 : (size_t)PQgetlength(r->pg, row, column);
    return PQgetvalue(r->pg, row, column);
}

static int64_t result_int64(const char *value)
{
    uint64_t wire;
    memcpy(&wire, value, sizeof(wire));
    return (int64_t)be64toh(wire);
}

int64_t db_result_int(const struct db_result *r, int row, int column)
{
    if (db_result_null(r, row, column))
        return 0;
    const char *value = PQgetvalue(r->pg, row, column);
    uint32_t four;
    uint16_t two;
    switch (PQftype(r->pg, column)) {
    case DB_TYPE_INT8:
        return result_int64(value);
    case DB_TYPE_INT4:
        memcpy(&four, value, sizeof(four));
        return (int32_t)be32toh(four);
    case DB_TYPE_INT2:
        memcpy(&two, value, sizeof(two));
        return (int16_t)be16toh(two);
    default:
        assert(!"an integer column");
        abort();
    }
}

bool db_result_bool(const struct db_result *r, int row, int column)
{
    bool null = db_result_null(r, row, column);
    assert(PQftype(r->pg, column) == DB_TYPE_BOOL);
    return !null && PQgetvalue(r->pg, row, column)[0] != 0;
}

void db_result_time(const struct db_result *r, int row, int column, char *out_r)
{
    bool null = db_result_null(r, row, column);
    assert(PQftype(r->pg, column) == DB_TYPE_TIMESTAMPTZ);
    out_r[0] = '\0';
    if (null)
        return;
    int64_t micros = result_int64(PQgetvalue(r->pg, row, column));
    int64_t seconds = micros / 1000000 - (micros % 1000000 < 0) + EPOCH_2000;
    /* infinity, and years that RFC 3339 has no notation for, are shown as no time */
    if (seconds >= YEAR_0 && seconds < YEAR_10000)
        clock_rfc3339((time_t)seconds, out_r);
}

int64_t db_result_affected(const struct db_result *r)
{
    return r->pg == NULL ? 0 : strtoll(PQcmdTuples(r->pg), NULL, 10);
}
