/*
 * db_params: builds the binary parameters of one statement. Formats are those of PostgreSQL's *_recv functions:
 * integers in network order; an array is its number of dimensions, a flag for NULLs, the element type, then for the one
 * dimension its length and lower bound, then each element as length and bytes (src/backend/utils/adt/arrayfuncs.c,
 * array_recv).
 */
#include "db/params.h"

#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <limits.h>
#include <string.h>

#include "db/types.h"

#define ARRAY_FLAG_OFFSET 4   /* of the word that says that there are NULLs */
#define ARRAY_EMPTY_HEADER 12 /* no dimension: nothing follows the element type */
#define ARRAY_HEADER 20

void db_params_init(struct db_params *p)
{
    p->owner = 0;
    p->count = 0;
    strbuf_init(&p->bytes);
}

void db_params_release(struct db_params *p)
{
    p->count = 0;
    strbuf_release(&p->bytes);
}

static void params_put_int32(struct db_params *p, int32_t v)
{
    uint32_t wire = htonl((uint32_t)v);
    strbuf_append(&p->bytes, &wire, sizeof(wire));
}

/* Opens parameter number count; it counts once params_end() is called. */
static void params_begin(struct db_params *p, unsigned type)
{
    assert(p->count < DB_PARAMS_MAX);
    p->types[p->count] = type;
    p->offsets[p->count] = p->bytes.len;
}

static void params_end(struct db_params *p)
{
    size_t len = p->bytes.len - p->offsets[p->count];
    assert(len <= INT_MAX);
    p->lengths[p->count++] = (int)len;
}

static void params_add(struct db_params *p, unsigned type, const void *data, size_t len)
{
    params_begin(p, type);
    if (len > 0)
        strbuf_append(&p->bytes, data, len);
    params_end(p);
}

void db_params_null(struct db_params *p)
{
    params_begin(p, 0);
    p->lengths[p->count++] = -1;
}

void db_params_text(struct db_params *p, const char *s, size_t len)
{
    params_add(p, DB_TYPE_TEXT, s, len);
}

void db_params_str(struct db_params *p, const char *s)
{
    if (s == NULL)
        db_params_null(p);
    else
        db_params_text(p, s, strlen(s));
}

void db_params_bytes(struct db_params *p, const void *data, size_t len)
{
    params_add(p, DB_TYPE_BYTEA, data, len);
}

void db_params_int4(struct db_params *p, int32_t v)
{
    params_begin(p, DB_TYPE_INT4);
    params_put_int32(p, v);
    params_end(p);
}

void db_params_int8(struct db_params *p, int64_t v)
{
    uint64_t wire = htobe64((uint64_t)v);
    params_add(p, DB_TYPE_INT8, &wire, sizeof(wire));
}

void db_params_bool(struct db_params *p, bool v)
{
    unsigned char wire = v;
    params_add(p, DB_TYPE_BOOL, &wire, sizeof(wire));
}

static const struct {
    unsigned array, element;
} array_types[] = {
    [DB_ARRAY_TEXT] = {DB_TYPE_TEXT_ARRAY, DB_TYPE_TEXT},
    [DB_ARRAY_INT8] = {DB_TYPE_INT8_ARRAY, DB_TYPE_INT8},
    [DB_ARRAY_BYTEA] = {DB_TYPE_BYTEA_ARRAY, DB_TYPE_BYTEA},
};

void db_params_array_begin(struct db_params *p, enum db_array_type type, size_t elements)
{
    assert(elements <= INT_MAX);
    params_begin(p, array_types[type].array);
    params_put_int32(p, elements > 0);
    params_put_int32(p, 0);
    params_put_int32(p, (int32_t)array_types[type].element);
    if (elements == 0)
        return;
    params_put_int32(p, (int32_t)elements);
    params_put_int32(p, 1);
}

void db_params_array_element(struct db_params *p, const void *data, size_t len)
{
    if (data == NULL) {
        uint32_t flag = htonl(1);
        memcpy(p->bytes.data + p->offsets[p->count] + ARRAY_FLAG_OFFSET, &flag, sizeof(flag));
        params_put_int32(p, -1);
        return;
    }
    assert(len <= INT_MAX);
    params_put_int32(p, (int32_t)len);
    strbuf_append(&p->bytes, data, len);
}

void db_params_array_int8(struct db_params *p, int64_t v)
{
    uint64_t wire = htobe64((uint64_t)v);
    db_params_array_element(p, &wire, sizeof(wire));
}

static int32_t params_get_int32(const char *at)
{
    uint32_t wire;
    memcpy(&wire, at, sizeof(wire));
    return (int32_t)ntohl(wire);
}

/* Elements that were added: their number is nowhere but in the bytes. */
static int32_t array_count(const char *array, size_t len)
{
    int32_t count = 0;
    size_t at = ARRAY_HEADER;
    while (at < len) {
        int32_t element = params_get_int32(array + at);
        at += sizeof(element) + (element < 0 ? 0 : (size_t)element);
        count++;
    }
    return count;
}

void db_params_array_end(struct db_params *p)
{
    const char *array = p->bytes.data + p->offsets[p->count];
    size_t len = p->bytes.len - p->offsets[p->count];
    if (params_get_int32(array) == 0)
        assert(len == ARRAY_EMPTY_HEADER);
    else
        assert(array_count(array, len) == params_get_int32(array + ARRAY_EMPTY_HEADER));
    params_end(p);
}

void db_params_arrays(const struct db_params *p, const char **values_r, int *formats_r)
{
    for (int i = 0; i < p->count; i++) {
        values_r[i] = p->lengths[i] < 0 ? NULL : p->bytes.data + p->offsets[i];
        formats_r[i] = 1;
    }
}
