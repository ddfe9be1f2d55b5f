/*
 * db_params: the parameters of one statement in PostgreSQL's binary format. Values are copied in. Add them in the order
 * $1, $2, …. Text must be utf8_storable(): checked by the caller where the bytes come from outside.
 */
#ifndef DB_PARAMS_H
#define DB_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/strbuf.h"

#define DB_PARAMS_MAX 24

struct db_params {
    uint64_t
        owner; /* for whom: one owner gets a share of the work lane at most (db/pool.c); 0: nobody's in particular */
    int count;
    unsigned types[DB_PARAMS_MAX]; /* type oids */
    int lengths[DB_PARAMS_MAX];    /* -1: NULL */
    size_t offsets[DB_PARAMS_MAX]; /* in bytes.data */
    struct strbuf bytes;
};

void db_params_init(struct db_params *p);
void db_params_release(struct db_params *p);
void db_params_null(struct db_params *p); /* of unknown type */
void db_params_text(struct db_params *p, const char *s, size_t len);
void db_params_str(struct db_params *p, const char *s); /* NULL: NULL */
void db_params_bytes(struct db_params *p, const void *data, size_t len);
void db_params_int4(struct db_params *p, int32_t v);
void db_params_int8(struct db_params *p, int64_t v);
void db_params_bool(struct db_params *p, bool v);

/* Arrays, one-dimensional: begin, then elements, then end. */
enum db_array_type { DB_ARRAY_TEXT, DB_ARRAY_INT8, DB_ARRAY_BYTEA };
void db_params_array_begin(struct db_params *p, enum db_array_type type, size_t elements);
void db_params_array_element(struct db_params *p, const void *data, size_t len); /* data NULL: a NULL element */
void db_params_array_int8(struct db_params *p, int64_t v);
void db_params_array_end(struct db_params *p); /* asserts that `elements` were added */

/* What libpq's calls want beside lengths: both arrays have DB_PARAMS_MAX places; the values stay in p. */
void db_params_arrays(const struct db_params *p, const char **values_r, int *formats_r);

#endif
