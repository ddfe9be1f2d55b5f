/*
 * push_parse: the body of a push, read and checked by the contract, as arrays in memory. A pure function of bytes: it
 * knows no request and no database, and is fuzzed.
 */
#ifndef API_PUSH_PARSE_H
#define API_PUSH_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/compiler.h"
#include "core/digest.h"
#include "core/error_codes.h"
#include "core/strbuf.h"

/* Greatest lengths in bytes. */
#define PUSH_OP_ID_MAX 128
#define PUSH_ENTITY_TYPE_MAX 64
#define PUSH_ENTITY_ID_MAX 4096
#define PUSH_OP_TYPE_MAX 64
#define PUSH_IDEMPOTENCY_KEY_MAX 128

/* What is configurable. */
struct push_limits {
    size_t operations;
    size_t payload; /* bytes, decoded */
};

struct push_text {
    const char *s; /* not zero-terminated; in the body or in the push's own memory; storable UTF-8 */
    size_t len;
};

struct push_operation {
    struct push_text op_id, entity_type, entity_id, op_type, payload, created_at;
    int64_t client_sequence, last_seen;
};

/* A blob that the payload of an operation on a file names. */
struct push_blob {
    unsigned char sha256[DIGEST_SIZE];
    int64_t size;
};

struct push {
    struct push_text idempotency_key; /* empty: none */
    struct push_operation *operations;
    size_t count;
    struct push_blob *blobs; /* in the order of the operations, doubles included */
    size_t blob_count;
    char *texts; /* decoded strings, one behind the other */
    size_t texts_len;
};

/*
 * The body must stay as long as *push_r is used. False: *code_r is the contract's code and `error` its sentence;
 * *push_r is empty. The order of checks: the JSON, the number of operations, then each operation in turn.
 */
bool push_parse(const char *body, size_t len, const struct push_limits *limits, struct push *push_r,
                enum error_code *code_r, struct strbuf *error) WARN_UNUSED;
void push_release(struct push *push);

#endif
