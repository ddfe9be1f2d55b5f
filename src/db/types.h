/* Object identifiers of the types that parameters and results have; fixed in PostgreSQL's
 * src/include/catalog/pg_type.dat. */
#ifndef DB_TYPES_H
#define DB_TYPES_H

#define DB_TYPE_BOOL 16u
#define DB_TYPE_BYTEA 17u
#define DB_TYPE_INT8 20u
#define DB_TYPE_INT2 21u
#define DB_TYPE_INT4 23u
#define DB_TYPE_TEXT 25u
#define DB_TYPE_BYTEA_ARRAY 1001u
#define DB_TYPE_TEXT_ARRAY 1009u
#define DB_TYPE_INT8_ARRAY 1016u
#define DB_TYPE_VARCHAR 1043u
#define DB_TYPE_TIMESTAMPTZ 1184u

#endif
