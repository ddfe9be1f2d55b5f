/*
 * Finds the parts of a multipart/form-data body. Called by handlers with a form, and by the upload of a blob in a
 * thread of the work pool: the search through 256 MiB takes too long for the event loop.
 */
#include "http/multipart.h"

#include <string.h>
#include <strings.h>

#define HEADERS_MAX 8192 /* of one part */

struct span {
    const char *s;
    size_t len;
};

struct scan {
    const char *at, *end;
    char delimiter[2 + 2 + 70 + 1]; /* CR LF "--" boundary */
    size_t delimiter_len;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_boundary_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("'()+_,-./:=? ", c) != NULL);
}

static bool is_token_char(char c)
{
    return c > ' ' && c < 0x7f && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

/*
 * One "; name=value" of a header value. False when there is none or it is malformed: *at then stands where it failed,
 * at the end when there was none.
 */
static bool next_parameter(const char **at, const char *end, struct span *name_r, struct span *value_r)
{
    const char *p = *at;
    while (p < end && is_blank(*p))
        ++p;
    *at = p;
    if (p == end || *p != ';')
        return false;
    ++p;
    while (p < end && is_blank(*p))
        ++p;
    name_r->s = p;
    while (p < end && is_token_char(*p))
        ++p;
    name_r->len = (size_t)(p - name_r->s);
    if (name_r->len == 0 || p == end || *p != '=')
        return false;
    ++p;
    if (p < end && *p == '"') {
        value_r->s = ++p;
        while (p < end && *p != '"')
            p += *p == '\\' && p + 1 < end ? 2 : 1;
        if (p == end)
            return false;
        value_r->len = (size_t)(p - value_r->s);
        ++p;
    } else {
        value_r->s = p;
        while (p < end && is_token_char(*p))
            ++p;
        value_r->len = (size_t)(p - value_r->s);
        if (value_r->len == 0)
            return false;
    }
    *at = p;
    return true;
}

static bool span_is(struct span span, const char *text)
{
    return span.len == strlen(text) && strncasecmp(span.s, text, span.len) == 0;
}

bool multipart_boundary(const char *content_type, char boundary_r[71])
{
    static const char type[] = "multipart/form-data";
    if (strncasecmp(content_type, type, sizeof(type) - 1) != 0)
        return false;
    const char *at = content_type + sizeof(type) - 1, *end = at + strlen(at);
    struct span name, value;
    size_t found = 0;
    while (next_parameter(&at, end, &name, &value)) {
        if (!span_is(name, "boundary"))
            continue;
        if (++found > 1 || value.len < 1 || value.len > 70 || value.s[value.len - 1] == ' ')
            return false;
        for (size_t i = 0; i < value.len; ++i)
            if (!is_boundary_char(value.s[i]))
                return false;
        memcpy(boundary_r, value.s, value.len);
        boundary_r[value.len] = '\0';
    }
    return at == end && found == 1;
}

/* Behind a delimiter: blanks and CR LF go on with a part, "--" ends. */
enum after { AFTER_PART, AFTER_END, AFTER_NEITHER };

static enum after after_delimiter(const char **at, const char *end)
{
    const char *p = *at;
    enum after kind = AFTER_PART;
    if (end - p >= 2 && p[0] == '-' && p[1] == '-') {
        kind = AFTER_END;
        p += 2;
    }
    while (p < end && is_blank(*p))
        ++p;
    bool line_ends = end - p >= 2 && p[0] == '\r' && p[1] == '\n';
    if (!line_ends && !(kind == AFTER_END && p == end))
        return AFTER_NEITHER;
    *at = line_ends ? p + 2 : p;
    return kind;
}

/*
 * The next delimiter from scan->at on, which then stands behind its line. *before_r is where the content before it
 * ends. A line that only begins like the delimiter is content.
 */
static bool next_delimiter(struct scan *scan, const char **before_r, enum after *kind_r)
{
    while (scan->at < scan->end) {
        const char *hit = memmem(scan->at, (size_t)(scan->end - scan->at), scan->delimiter, scan->delimiter_len);
        if (hit == NULL)
            return false;
        scan->at = hit + scan->delimiter_len;
        *kind_r = after_delimiter(&scan->at, scan->end);
        if (*kind_r != AFTER_NEITHER) {
            *before_r = hit;
            return true;
        }
    }
    return false;
}

/* The first delimiter may stand at the very beginning, without its CR LF. */
static bool first_delimiter(struct scan *scan, enum after *kind_r)
{
    size_t len = scan->delimiter_len - 2;
    if ((size_t)(scan->end - scan->at) >= len && memcmp(scan->at, scan->delimiter + 2, len) == 0) {
        const char *behind = scan->at + len;
        *kind_r = after_delimiter(&behind, scan->end);
        if (*kind_r != AFTER_NEITHER) {
            scan->at = behind;
            return true;
        }
    }
    const char *before;
    return next_delimiter(scan, &before, kind_r);
}

static bool disposition(const char *at, const char *end, struct multipart_part *part)
{
    static const char kind[] = "form-data";
    while (at < end && is_blank(*at))
        ++at;
    if ((size_t)(end - at) < sizeof(kind) - 1 || strncasecmp(at, kind, sizeof(kind) - 1) != 0)
        return false;
    at += sizeof(kind) - 1;
    struct span name, value;
    while (next_parameter(&at, end, &name, &value)) {
        if (span_is(name, "name")) {
            if (part->name != NULL)
                return false;
            part->name = value.s;
            part->name_len = value.len;
        } else if (span_is(name, "filename")) {
            if (part->file_name != NULL)
                return false;
            part->file_name = value.s;
            part->file_name_len = value.len;
        }
    }
    return at == end && part->name != NULL;
}

static bool header_line(const char *line, size_t len, struct multipart_part *part, struct strbuf *error)
{
    static const char wanted[] = "content-disposition";
    const char *colon = memchr(line, ':', len);
    if (colon == NULL || colon == line || is_blank(line[0]))
        return strbuf_error(error, "malformed header of a part");
    if ((size_t)(colon - line) != sizeof(wanted) - 1 || strncasecmp(line, wanted, sizeof(wanted) - 1) != 0)
        return true;
    if (part->name != NULL || !disposition(colon + 1, line + len, part))
        return strbuf_error(error, "malformed Content-Disposition of a part");
    return true;
}

/* The part's headers up to the empty line; scan->at then stands at its content. */
static bool part_headers(struct scan *scan, struct multipart_part *part, struct strbuf *error)
{
    const char *start = scan->at;
    for (;;) {
        size_t left = (size_t)(scan->end - scan->at), room = HEADERS_MAX - (size_t)(scan->at - start);
        const char *newline = memchr(scan->at, '\n', left < room ? left : room);
        if (newline == NULL || newline == scan->at || newline[-1] != '\r')
            return strbuf_error(error, "headers of a part do not end");
        const char *line = scan->at;
        size_t len = (size_t)(newline - 1 - line);
        scan->at = newline + 1;
        if (len == 0)
            break;
        if (!header_line(line, len, part, error))
            return false;
    }
    return part->name != NULL || strbuf_error(error, "part without a name");
}

static bool one_part(struct scan *scan, struct multipart_part *part, enum after *kind_r, struct strbuf *error)
{
    memset(part, 0, sizeof(*part));
    if (!part_headers(scan, part, error))
        return false;
    part->content = scan->at;
    scan->at -= 2; /* the empty line's CR LF may already belong to the delimiter: a part without content */
    const char *before;
    if (!next_delimiter(scan, &before, kind_r))
        return strbuf_error(error, "the closing delimiter is missing");
    part->content_len = before > part->content ? (size_t)(before - part->content) : 0;
    return true;
}

bool multipart_parse(const char *body, size_t len, const char *boundary, struct multipart_part *parts_r, size_t max,
                     size_t *count_r, struct strbuf *error)
{
    struct scan scan = {.at = body, .end = body + len};
    size_t boundary_len = strlen(boundary);
    enum after kind;
    *count_r = 0;
    if (boundary_len < 1 || boundary_len > 70)
        return strbuf_error(error, "the boundary is not 1 to 70 characters long");
    memcpy(scan.delimiter, "\r\n--", 4);
    memcpy(scan.delimiter + 4, boundary, boundary_len);
    scan.delimiter_len = 4 + boundary_len;
    if (len == 0 || !first_delimiter(&scan, &kind))
        return strbuf_error(error, "the boundary does not occur");
    while (kind == AFTER_PART) {
        if (*count_r == max) {
            ++*count_r;
            return strbuf_error(error, "more than %zu part%s", max, max == 1 ? "" : "s");
        }
        if (!one_part(&scan, &parts_r[*count_r], &kind, error))
            return false;
        ++*count_r;
    }
    return true;
}
