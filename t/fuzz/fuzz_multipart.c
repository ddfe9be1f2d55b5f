/*
 * A Content-Type line, a line feed, and a multipart body (http/multipart.h). Beside what the sanitizers see: parts lie
 * inside the body, in order, without a delimiter's line in them, and a body built of the same parts parses to the same
 * parts.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PARTS_MAX 4

static void require(int condition)
{
    if (!condition)
        abort();
}

static void inside(const char *s, size_t len, const char *body, size_t body_len)
{
    require(s >= body && s <= body + body_len && len <= (size_t)(body + body_len - s));
}

static void check_parts(const struct multipart_part *parts, size_t count, const char *body, size_t len)
{
    const char *least = body;
    for (size_t i = 0; i < count; ++i) {
        inside(parts[i].name, parts[i].name_len, body, len);
        inside(parts[i].content, parts[i].content_len, body, len);
        require(parts[i].name >= least && parts[i].content > parts[i].name);
        least = parts[i].content + parts[i].content_len;
        if (parts[i].file_name != NULL)
            inside(parts[i].file_name, parts[i].file_name_len, body, len);
    }
}

static void append_quoted(struct strbuf *out, const char *name, const char *s, size_t len)
{
    strbuf_printf(out, "; %s=\"", name);
    strbuf_append(out, s, len);
    strbuf_append_char(out, '"');
}

static void build_again(const struct multipart_part *parts, size_t count, const char *boundary)
{
    struct multipart_part again[PARTS_MAX];
    struct strbuf body = STRBUF_INIT;
    size_t again_count;
    for (size_t i = 0; i < count; ++i) {
        strbuf_printf(&body, "--%s\r\nContent-Disposition: form-data", boundary);
        append_quoted(&body, "name", parts[i].name, parts[i].name_len);
        if (parts[i].file_name != NULL)
            append_quoted(&body, "filename", parts[i].file_name, parts[i].file_name_len);
        strbuf_append_str(&body, "\r\n\r\n");
        strbuf_append(&body, parts[i].content, parts[i].content_len);
        strbuf_append_str(&body, "\r\n");
    }
    strbuf_printf(&body, "--%s--", boundary);
    require(multipart_parse(body.data, body.len, boundary, again, PARTS_MAX, &again_count, NULL) &&
            again_count == count);
    for (size_t i = 0; i < count; ++i) {
        require(again[i].name_len == parts[i].name_len && again[i].content_len == parts[i].content_len);
        require(memcmp(again[i].name, parts[i].name, parts[i].name_len) == 0);
        require(memcmp(again[i].content, parts[i].content, parts[i].content_len) == 0);
        require((again[i].file_name != NULL) == (parts[i].file_name != NULL));
    }
    strbuf_release(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = size > 0 ? memchr(data, '\n', size) : NULL;
    char type[256], boundary[71];
    if (newline == NULL || (size_t)(newline - data) >= sizeof(type))
        return 0;
    memcpy(type, data, (size_t)(newline - data));
    type[newline - data] = '\0';
    if (!multipart_boundary(type, boundary))
        return 0;
    require(strlen(boundary) >= 1 && strlen(boundary) <= 70);

    /* Of its own, so that a byte read behind it is seen. */
    size_t len = size - (size_t)(newline + 1 - data), count;
    char *body = malloc(len > 0 ? len : 1);
    struct multipart_part parts[PARTS_MAX];
    struct strbuf error = STRBUF_INIT;
    memcpy(body, newline + 1, len);
    if (multipart_parse(body, len, boundary, parts, PARTS_MAX, &count, &error)) {
        require(count <= PARTS_MAX && error.len == 0);
        check_parts(parts, count, body, len);
        build_again(parts, count, boundary);
    } else {
        require(error.len > 0);
    }
    strbuf_release(&error);
    free(body);
    return 0;
}
