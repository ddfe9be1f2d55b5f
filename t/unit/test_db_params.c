/* db/params.h: the bytes that PostgreSQL gets. */
#include "db/params.h"

#include <stdlib.h>

#include "core/hex.h"
#include "core/mem.h"
#include "db/types.h"
#include "tap.h"

/* The wire bytes of parameter i as hexadecimal digits; "NULL" for NULL. */
static const char *wire(const struct db_params *p, int i)
{
    static char text[4096];
    const char *values[DB_PARAMS_MAX];
    int formats[DB_PARAMS_MAX];
    db_params_arrays(p, values, formats);
    if (values[i] == NULL)
        return p->lengths[i] == -1 ? "NULL" : "broken";
    if (formats[i] != 1 || (size_t)p->lengths[i] * 2 >= sizeof(text))
        return "broken";
    hex_encode(values[i], (size_t)p->lengths[i], text);
    return text;
}

static const struct {
    int64_t value;
    const char *four, *eight;
} integers[] = {
    {0, "00000000", "0000000000000000"},         {1, "00000001", "0000000000000001"},
    {-1, "ffffffff", "ffffffffffffffff"},        {258, "00000102", "0000000000000102"},
    {INT32_MAX, "7fffffff", "000000007fffffff"}, {INT32_MIN, "80000000", "ffffffff80000000"},
    {INT64_MAX, NULL, "7fffffffffffffff"},       {INT64_MIN, NULL, "8000000000000000"},
};

static void test_integers(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(integers); i++) {
        struct db_params p;
        db_params_init(&p);
        db_params_int8(&p, integers[i].value);
        is_str(wire(&p, 0), integers[i].eight, "int8 %jd", (intmax_t)integers[i].value);
        is_int(p.types[0], DB_TYPE_INT8, "its type");
        if (integers[i].four != NULL) {
            db_params_int4(&p, (int32_t)integers[i].value);
            is_str(wire(&p, 1), integers[i].four, "int4 %jd", (intmax_t)integers[i].value);
        }
        db_params_release(&p);
    }
}

static void test_scalars(void)
{
    struct db_params p;
    db_params_init(&p);
    db_params_text(&p, "a\xc3\xa4z", 3);
    db_params_str(&p, "");
    db_params_str(&p, NULL);
    db_params_bytes(&p, "\0\xff", 2);
    db_params_bytes(&p, NULL, 0);
    db_params_bool(&p, true);
    db_params_bool(&p, false);
    db_params_null(&p);
    static const char *const expected[] = {"61c3a4", "", "NULL", "00ff", "", "01", "00", "NULL"};
    is_int(p.count, ARRAY_SIZE(expected), "all were counted");
    for (int i = 0; i < p.count; i++)
        is_str(wire(&p, i), expected[i], "parameter $%d", i + 1);
    db_params_release(&p);
    is_int(p.count, 0, "released: no parameters");
    db_params_bool(&p, true);
    is_str(wire(&p, 0), "01", "and usable again");
    db_params_release(&p);
}

static void test_arrays(void)
{
    struct db_params p;
    db_params_init(&p);
    db_params_array_begin(&p, DB_ARRAY_TEXT, 3);
    db_params_array_element(&p, "ab", 2);
    db_params_array_element(&p, NULL, 0);
    db_params_array_element(&p, "", 0);
    db_params_array_end(&p);
    db_params_array_begin(&p, DB_ARRAY_INT8, 2);
    db_params_array_int8(&p, -2);
    db_params_array_int8(&p, 7);
    db_params_array_end(&p);
    db_params_array_begin(&p, DB_ARRAY_BYTEA, 0);
    db_params_array_end(&p);
    db_params_array_begin(&p, DB_ARRAY_BYTEA, 1);
    db_params_array_element(&p, "\0", 1);
    db_params_array_end(&p);
    /* dimensions, NULLs?, element type, length, lower bound, then length and bytes of each */
    is_str(wire(&p, 0),
           "00000001"
           "00000001"
           "00000019"
           "00000003"
           "00000001"
           "000000026162"
           "ffffffff"
           "00000000",
           "text[] with a NULL");
    is_str(wire(&p, 1),
           "00000001"
           "00000000"
           "00000014"
           "00000002"
           "00000001"
           "00000008fffffffffffffffe"
           "000000080000000000000007",
           "int8[]");
    is_str(wire(&p, 2),
           "00000000"
           "00000000"
           "00000011",
           "empty bytea[]");
    is_str(wire(&p, 3),
           "00000001"
           "00000000"
           "00000011"
           "00000001"
           "00000001"
           "0000000100",
           "bytea[]");
    is_int(p.types[0], DB_TYPE_TEXT_ARRAY, "type of text[]");
    is_int(p.types[1], DB_TYPE_INT8_ARRAY, "type of int8[]");
    is_int(p.types[2], DB_TYPE_BYTEA_ARRAY, "type of bytea[]");
    db_params_release(&p);
}

/* Values move when the buffer grows: addresses are taken last. */
static void test_growth(void)
{
    struct db_params p;
    char *big = mem_alloc(300000);
    memset(big, 'x', 300000);
    db_params_init(&p);
    for (int i = 0; i < DB_PARAMS_MAX; i++) {
        if (i % 2 == 0)
            db_params_int4(&p, i);
        else
            db_params_text(&p, big, 300000);
    }
    const char *values[DB_PARAMS_MAX];
    int formats[DB_PARAMS_MAX];
    db_params_arrays(&p, values, formats);
    bool good = true;
    for (int i = 1; i < DB_PARAMS_MAX; i += 2)
        good = good && p.lengths[i] == 300000 && memcmp(values[i], big, 300000) == 0;
    ok(good, "large values stay whole");
    is_str(wire(&p, DB_PARAMS_MAX - 2), "00000016", "small ones between them, too");
    db_params_release(&p);
    free(big);
}

int main(void)
{
    test_integers();
    test_scalars();
    test_arrays();
    test_growth();
    return tap_done();
}
