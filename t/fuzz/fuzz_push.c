/*
 * The body of a push (api/push_parse.h). Beside what the sanitizers see: an accepted push keeps the limits and holds
 * storable texts, and says the same as a tree that json-c builds of the same bytes.
 */
#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/push_parse.h"
#include "core/json_check.h"
#include "core/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct push_limits limits = {.operations = 8, .payload = 300};

static void require(int condition)
{
    if (!condition)
        abort();
}

static void same_text(struct json_object *op, const char *name, struct push_text text, size_t max)
{
    struct json_object *value = json_object_object_get(op, name);
    const char *expected = value == NULL ? "" : json_object_get_string(value);
    size_t len = value == NULL ? 0 : (size_t)json_object_get_string_len(value);
    require(value == NULL || json_object_is_type(value, json_type_string));
    require(text.len == len && memcmp(text.s, expected, len) == 0);
    require(len <= max && utf8_storable(text.s, text.len));
}

static void same_operation(struct json_object *value, const struct push_operation *op)
{
    require(json_object_is_type(value, json_type_object));
    same_text(value, "op_id", op->op_id, PUSH_OP_ID_MAX);
    same_text(value, "entity_type", op->entity_type, PUSH_ENTITY_TYPE_MAX);
    same_text(value, "entity_id", op->entity_id, PUSH_ENTITY_ID_MAX);
    same_text(value, "op_type", op->op_type, PUSH_OP_TYPE_MAX);
    same_text(value, "payload_json", op->payload, limits.payload);
    same_text(value, "created_at", op->created_at, SIZE_MAX);
    require(op->op_id.len > 0 && op->client_sequence >= 0 && op->last_seen >= 0);
    require(op->payload.len == 0 || json_check(op->payload.s, op->payload.len, 0) == JSON_OK);
}

static void same(const char *body, size_t len, const struct push *push)
{
    struct json_tokener *tokener = json_tokener_new_ex(JSON_CHECK_DEPTH + 2);
    struct json_object *tree = json_tokener_parse_ex(tokener, body, (int)len), *ops, *key;
    require(tree != NULL && json_object_object_get_ex(tree, "ops", &ops) && json_object_is_type(ops, json_type_array));
    require(push->count == json_object_array_length(ops) && push->count <= limits.operations);
    for (size_t i = 0; i < push->count; i++)
        same_operation(json_object_array_get_idx(ops, i), &push->operations[i]);
    key = json_object_object_get(tree, "idempotency_key");
    require(push->idempotency_key.len == (key == NULL ? 0 : (size_t)json_object_get_string_len(key)));
    for (size_t i = 0; i < push->blob_count; i++)
        require(push->blobs[i].size >= 0);
    json_object_put(tree);
    json_tokener_free(tokener);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct strbuf error = STRBUF_INIT;
    struct push push;
    enum error_code code = ERROR_COUNT;
    if (push_parse((const char *)data, size, &limits, &push, &code, &error)) {
        require(error.len == 0);
        same((const char *)data, size, &push);
        push_release(&push);
    } else {
        require(code != ERROR_COUNT && error.len > 0);
    }
    strbuf_release(&error);
    return 0;
}
