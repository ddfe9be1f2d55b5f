/*
 * A Content-Type line, a line feed, and a multipart body (http/multipart.h). Beside what the sanitizers see: the body
 * tells the same whether it comes whole or in pieces, whose lengths its own bytes say; content of parts holds no line
 * of a delimiter; and a body built of the same parts tells the same parts.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/strbuf.h"
#include "http/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void append_quoted(struct strbuf *out, const char *name, const char *s, size_t len)
{
    strbuf_printf(out, "; %s=\"", name);
    strbuf_append(out, s, len);
    strbuf_append_char(out, '"');
}

/* Writes what is told as a body of its own, without the last delimiter. */
static enum multipart_event tell(struct multipart *m, const char *boundary, const char *at, const char *end,
                                 struct strbuf *told)
{
    enum multipart_event event;
    while ((event = multipart_next(m, &at, end)) == MULTIPART_PART || event == MULTIPART_CONTENT) {
        if (event == MULTIPART_CONTENT) {
            require(m->content_len > 0 && (told->len > 0));
            strbuf_append(told, m->content, m->content_len);
            continue;
        }
        strbuf_printf(told, "%s--%s\r\nContent-Disposition: form-data", told->len > 0 ? "\r\n" : "", boundary);
        append_quoted(told, "name", m->name, m->name_len);
        if (m->file_name != NULL)
            append_quoted(told, "filename", m->file_name, m->file_name_len);
        strbuf_append_str(told, "\r\n\r\n");
    }
    require(event == MULTIPART_BROKEN || at == end);
    return event;
}

/* In pieces that stand in memory of their own, so that a byte read beside them is seen. NULL: all well. */
static const char *in_pieces(const char *boundary, const char *body, size_t len, size_t first, struct strbuf *told)
{
    struct multipart m;
    multipart_init(&m, boundary);
    for (size_t at = 0, n = first; at < len; at += n, n = ((unsigned char)body[at < len ? at : 0] & 31) + 1) {
        if (n > len - at)
            n = len - at;
        char *piece = malloc(n);
        require(piece != NULL);
        memcpy(piece, body + at, n);
        enum multipart_event event = tell(&m, boundary, piece, piece + n, told);
        free(piece);
        if (event == MULTIPART_BROKEN)
            return m.problem;
    }
    return multipart_end(&m) ? NULL : m.problem;
}

static void check(const char *boundary, const char *body, size_t len)
{
    struct strbuf whole = STRBUF_INIT, pieces = STRBUF_INIT, again = STRBUF_INIT;
    const char *problem = in_pieces(boundary, body, len, len, &whole);
    const char *other = in_pieces(boundary, body, len, len > 0 ? (unsigned char)body[len - 1] + 1u : 1, &pieces);
    require((problem == NULL) == (other == NULL) && (problem == NULL || strcmp(problem, other) == 0));
    require(whole.len == pieces.len && memcmp(whole.data, pieces.data, whole.len) == 0);
    if (problem == NULL && whole.len > 0) {
        size_t told = whole.len;
        strbuf_printf(&whole, "\r\n--%s--", boundary);
        require(in_pieces(boundary, whole.data, whole.len, whole.len, &again) == NULL);
        require(again.len == told && memcmp(again.data, whole.data, told) == 0);
    }
    strbuf_release(&whole);
    strbuf_release(&pieces);
    strbuf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = size > 0 ? memchr(data, '\n', size) : NULL;
    char type[256], boundary[MULTIPART_BOUNDARY_MAX + 1];
    if (newline == NULL || (size_t)(newline - data) >= sizeof(type))
        return 0;
    memcpy(type, data, (size_t)(newline - data));
    type[newline - data] = '\0';
    if (!multipart_boundary(type, boundary))
        return 0;
    require(strlen(boundary) >= 1 && strlen(boundary) <= MULTIPART_BOUNDARY_MAX);
    check(boundary, (const char *)newline + 1, size - (size_t)(newline + 1 - data));
    return 0;
}
