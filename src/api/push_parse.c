/*
 * Reads the body of POST /api/v1/sync/push. The steps: the text is JSON, one object; its members; the number of
 * operations; each operation's fields, then its payload by itself, then, for files, the blob that the payload names.
 * Runs in workers, called by api/sync_push.c, and in the fuzzer.
 *
 * Of a member that occurs twice the last one counts, as in every JSON parser that the clients use; only where a double
 * could hide something from the blob rule each occurrence is looked at.
 */
#include "api/push_parse.h"

#include <stdlib.h>
#include <string.h>

#include "api/json_slice.h"
#include "core/hex.h"
#include "core/json_check.h"
#include "core/mem.h"

struct push_parser {
    const struct push_limits *limits;
    struct push *push;
    size_t operation_capacity, blob_capacity;
    size_t index; /* of the operation at hand, for messages */
    enum error_code code;
    struct strbuf *error;
};

/* A member that is looked for; value: the last one found. */
struct member {
    const char *name;
    size_t len; /* of the name */
    struct json_slice value;
};
#define MEMBER(text)                            \
    {                                           \
        .name = (text), .len = sizeof(text) - 1 \
    }

static bool fail(struct push_parser *p, enum error_code code, const char *what)
{
    p->code = code;
    return strbuf_error(p->error, "%s", what);
}

static bool fail_operation(struct push_parser *p, enum error_code code, const char *field, const char *what)
{
    p->code = code;
    return strbuf_error(p->error, "ops[%zu].%s %s", p->index, field, what);
}

static void pick(struct json_slice object, struct member *members, size_t count)
{
    struct json_walk walk = json_walk_begin(object);
    struct json_slice name, value;
    while (json_walk_next(&walk, &name, &value)) {
        for (size_t i = 0; i < count; i++) {
            if (json_slice_is(name, members[i].name, members[i].len)) {
                members[i].value = value;
                break;
            }
        }
    }
}

static bool absent(struct json_slice value)
{
    enum json_kind kind = json_slice_kind(value);
    return kind == JSON_ABSENT || kind == JSON_NULL;
}

/* Decoded text: in the body where nothing is escaped, else in push->texts, which is as large as the body. */
static struct push_text text_of(struct push_parser *p, struct json_slice string)
{
    struct push_text text;
    if (json_slice_plain(string, &text.s, &text.len))
        return text;
    text.s = p->push->texts + p->push->texts_len;
    text.len = json_slice_decode(string, p->push->texts + p->push->texts_len);
    p->push->texts_len += text.len;
    return text;
}

static bool text_member(struct push_parser *p, const struct member *member, struct push_text *text_r)
{
    *text_r = (struct push_text){"", 0};
    if (absent(member->value))
        return true;
    if (json_slice_kind(member->value) != JSON_STRING)
        return fail_operation(p, ERROR_INVALID_REQUEST, member->name, "must be a string");
    *text_r = text_of(p, member->value);
    return true;
}

static bool blank(struct push_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (strchr(" \t\n\v\f\r", text.s[i]) == NULL || text.s[i] == '\0')
            return false;
    }
    return true;
}

/* An identifier: there, not blank, not too long. */
static bool name_member(struct push_parser *p, const struct member *member, size_t max, struct push_text *text_r)
{
    if (!text_member(p, member, text_r))
        return false;
    if (blank(*text_r))
        return fail_operation(p, ERROR_INVALID_OPERATION, member->name, "must not be blank");
    if (text_r->len > max)
        return fail_operation(p, ERROR_FIELD_TOO_LONG, member->name, "is too long");
    return true;
}

static bool sequence_member(struct push_parser *p, const struct member *member, int64_t *value_r)
{
    *value_r = 0;
    if (absent(member->value))
        return true;
    if (json_slice_kind(member->value) != JSON_NUMBER || !json_slice_int(member->value, value_r))
        return fail_operation(p, ERROR_INVALID_REQUEST, member->name, "must be a whole number");
    if (*value_r < 0)
        return fail_operation(p, ERROR_INVALID_OPERATION, member->name, "must not be negative");
    return true;
}

static struct push_blob *add_blob(struct push_parser *p)
{
    struct push *push = p->push;
    if (push->blob_count == p->blob_capacity) {
        p->blob_capacity = p->blob_capacity == 0 ? 16 : 2 * p->blob_capacity;
        push->blobs = mem_realloc(push->blobs, p->blob_capacity * sizeof(*push->blobs));
    }
    return &push->blobs[push->blob_count++];
}

/* "blob": {"sha256", "size"}. Two of either are refused: another parser might see the other one. */
static bool blob_reference(struct push_parser *p, struct json_slice blob)
{
    static const char what[] = "names a blob without a proper sha256 and size";
    struct json_walk walk = json_walk_begin(blob);
    struct json_slice name, value, sha256 = {NULL, NULL}, size = {NULL, NULL};
    char digits[2 * DIGEST_SIZE * 6 + 2];
    struct push_blob found;

    while (json_walk_next(&walk, &name, &value)) {
        struct json_slice *slot = json_slice_is(name, "sha256", 6) ? &sha256
                                  : json_slice_is(name, "size", 4) ? &size
                                                                   : NULL;
        if (slot != NULL && slot->start != NULL)
            return fail_operation(p, ERROR_INVALID_BLOB_REFERENCE, "payload_json", what);
        if (slot != NULL)
            *slot = value;
    }
    if (json_slice_kind(sha256) != JSON_STRING || (size_t)(sha256.end - sha256.start) > sizeof(digits) ||
        json_slice_decode(sha256, digits) != 2 * DIGEST_SIZE || !hex_decode(digits, 2 * DIGEST_SIZE, found.sha256) ||
        json_slice_kind(size) != JSON_NUMBER || !json_slice_int(size, &found.size) || found.size < 0)
        return fail_operation(p, ERROR_INVALID_BLOB_REFERENCE, "payload_json", what);
    *add_blob(p) = found;
    return true;
}

/* The rule for files: no content inside the operation, and each blob that is named is checked against the vault. */
static bool file_payload(struct push_parser *p, struct json_slice payload)
{
    struct json_walk walk = json_walk_begin(payload);
    struct json_slice name, value;
    if (json_slice_kind(payload) != JSON_OBJECT)
        return true;
    while (json_walk_next(&walk, &name, &value)) {
        if (json_slice_kind(value) == JSON_NULL)
            continue;
        if (json_slice_is(name, "dataBase64", 10))
            return fail_operation(p, ERROR_INLINE_BINARY_FORBIDDEN, "payload_json",
                                  "holds dataBase64; upload the content as a blob");
        if (!json_slice_is(name, "blob", 4))
            continue;
        if (json_slice_kind(value) != JSON_OBJECT)
            return fail_operation(p, ERROR_INVALID_BLOB_REFERENCE, "payload_json",
                                  "names a blob that is not an object");
        if (!blob_reference(p, value))
            return false;
    }
    return true;
}

static bool payload_ok(struct push_parser *p, const struct push_operation *op)
{
    if (op->payload.len == 0)
        return true;
    if (op->payload.len > p->limits->payload)
        return fail_operation(p, ERROR_PAYLOAD_TOO_LARGE, "payload_json", "is too large");
    if (json_check(op->payload.s, op->payload.len, 0) != JSON_OK)
        return fail_operation(p, ERROR_INVALID_PAYLOAD, "payload_json", "is not valid JSON");
    if (op->entity_type.len == 4 && memcmp(op->entity_type.s, "file", 4) == 0)
        return file_payload(p, json_slice_of(op->payload.s, op->payload.len));
    return true;
}

static bool operation(struct push_parser *p, struct json_slice value, struct push_operation *op)
{
    enum { OP_ID, ENTITY_TYPE, ENTITY_ID, OP_TYPE, PAYLOAD, CREATED_AT, CLIENT_SEQUENCE, LAST_SEEN };
    struct member m[] = {
        [OP_ID] = MEMBER("op_id"),
        [ENTITY_TYPE] = MEMBER("entity_type"),
        [ENTITY_ID] = MEMBER("entity_id"),
        [OP_TYPE] = MEMBER("op_type"),
        [PAYLOAD] = MEMBER("payload_json"),
        [CREATED_AT] = MEMBER("created_at"),
        [CLIENT_SEQUENCE] = MEMBER("client_sequence"),
        [LAST_SEEN] = MEMBER("last_seen_server_seq"),
    };

    if (json_slice_kind(value) != JSON_OBJECT) {
        p->code = ERROR_INVALID_REQUEST;
        return strbuf_error(p->error, "ops[%zu] must be an object", p->index);
    }
    pick(value, m, ARRAY_SIZE(m));
    return name_member(p, &m[OP_ID], PUSH_OP_ID_MAX, &op->op_id) &&
           name_member(p, &m[ENTITY_TYPE], PUSH_ENTITY_TYPE_MAX, &op->entity_type) &&
           name_member(p, &m[ENTITY_ID], PUSH_ENTITY_ID_MAX, &op->entity_id) &&
           name_member(p, &m[OP_TYPE], PUSH_OP_TYPE_MAX, &op->op_type) &&
           sequence_member(p, &m[CLIENT_SEQUENCE], &op->client_sequence) &&
           sequence_member(p, &m[LAST_SEEN], &op->last_seen) && text_member(p, &m[CREATED_AT], &op->created_at) &&
           text_member(p, &m[PAYLOAD], &op->payload) && payload_ok(p, op);
}

static struct push_operation *add_operation(struct push_parser *p)
{
    struct push *push = p->push;
    if (push->count == p->operation_capacity) {
        p->operation_capacity = p->operation_capacity == 0 ? 16 : 2 * p->operation_capacity;
        push->operations = mem_realloc(push->operations, p->operation_capacity * sizeof(*push->operations));
    }
    return &push->operations[push->count++];
}

/*
 * One walk reads and counts. That there are too many is told before anything else that is wrong, for that is what a
 * client acts on: it halves its batch.
 */
static bool operations(struct push_parser *p, struct json_slice array)
{
    struct json_slice value;
    size_t count = 0;
    bool good = true;

    for (struct json_walk walk = json_walk_begin(array); json_walk_next(&walk, NULL, &value); count++) {
        p->index = count;
        good = good && count < p->limits->operations && operation(p, value, add_operation(p));
    }
    if (count <= p->limits->operations)
        return good;
    if (p->error != NULL)
        strbuf_reset(p->error);
    return fail(p, ERROR_TOO_MANY_OPERATIONS, error_info(ERROR_TOO_MANY_OPERATIONS)->message);
}

static bool envelope(struct push_parser *p, struct json_slice object)
{
    struct member m[] = {MEMBER("idempotency_key"), MEMBER("ops")};
    pick(object, m, ARRAY_SIZE(m));
    if (!absent(m[0].value)) {
        if (json_slice_kind(m[0].value) != JSON_STRING)
            return fail(p, ERROR_INVALID_REQUEST, "idempotency_key must be a string");
        p->push->idempotency_key = text_of(p, m[0].value);
        if (p->push->idempotency_key.len > PUSH_IDEMPOTENCY_KEY_MAX)
            return fail(p, ERROR_FIELD_TOO_LONG, "idempotency_key is too long");
    }
    if (json_slice_kind(m[1].value) != JSON_ARRAY)
        return fail(p, ERROR_INVALID_REQUEST, absent(m[1].value) ? "ops is required" : "ops must be an array");
    return operations(p, m[1].value);
}

static bool body_is_object(struct push_parser *p, const char *body, size_t len)
{
    switch (json_check(body, len, JSON_CHECK_STORABLE)) {
    case JSON_OK:
        break;
    case JSON_TRAILING:
        return fail(p, ERROR_TRAILING_JSON, error_info(ERROR_TRAILING_JSON)->message);
    case JSON_TOO_DEEP:
        return fail(p, ERROR_INVALID_JSON, "request body is nested too deeply");
    case JSON_UNSTORABLE:
        return fail(p, ERROR_INVALID_JSON, "request body holds U+0000 or a lone surrogate");
    case JSON_INVALID:
    default:
        return fail(p, ERROR_INVALID_JSON, error_info(ERROR_INVALID_JSON)->message);
    }
    if (json_slice_kind(json_slice_of(body, len)) != JSON_OBJECT)
        return fail(p, ERROR_INVALID_REQUEST, "request body must be a JSON object");
    return true;
}

bool push_parse(const char *body, size_t len, const struct push_limits *limits, struct push *push_r,
                enum error_code *code_r, struct strbuf *error)
{
    struct push_parser p = {.limits = limits, .push = push_r, .error = error};
    *push_r = (struct push){.idempotency_key = {"", 0}};
    if (body_is_object(&p, body, len)) {
        push_r->texts = mem_alloc(len);
        if (envelope(&p, json_slice_of(body, len)))
            return true;
    }
    *code_r = p.code;
    push_release(push_r);
    return false;
}

void push_release(struct push *push)
{
    free(push->operations);
    free(push->blobs);
    free(push->texts);
    *push = (struct push){.idempotency_key = {"", 0}};
}
