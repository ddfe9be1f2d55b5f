/*
 * Finds the parts of a multipart/form-data body that comes in pieces. Called by handlers with a form, and by the upload
 * of a blob in a thread of the work pool: the search through 256 MiB takes too long for the event loop.
 *
 * A delimiter is CR LF "--" boundary, perhaps "--", blanks, CR LF. What begins like one is held back byte by byte until
 * it is one or is not; then it was content. CR stands only at a delimiter's beginning and end, so no byte that was held
 * can begin another one.
 */
#include "http/multipart.h"

#include <string.h>
#include <strings.h>

struct span {
    const char *s;
    size_t len;
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

bool multipart_boundary(const char *content_type, char boundary_r[MULTIPART_BOUNDARY_MAX + 1])
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
        if (++found > 1 || value.len < 1 || value.len > MULTIPART_BOUNDARY_MAX || value.s[value.len - 1] == ' ')
            return false;
        for (size_t i = 0; i < value.len; ++i)
            if (!is_boundary_char(value.s[i]))
                return false;
        memcpy(boundary_r, value.s, value.len);
        boundary_r[value.len] = '\0';
    }
    return at == end && found == 1;
}

static bool disposition(const char *at, const char *end, struct multipart *m)
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
            if (m->name != NULL)
                return false;
            m->name = value.s;
            m->name_len = value.len;
        } else if (span_is(name, "filename")) {
            if (m->file_name != NULL)
                return false;
            m->file_name = value.s;
            m->file_name_len = value.len;
        }
    }
    return at == end && m->name != NULL;
}

static enum multipart_event broken(struct multipart *m, const char *problem)
{
    m->state = MULTIPART_STATE_BROKEN;
    m->problem = problem;
    return MULTIPART_BROKEN;
}

/* NULL, or what is wrong. */
static const char *header_line(struct multipart *m, const char *line, size_t len)
{
    static const char wanted[] = "content-disposition";
    const char *colon = memchr(line, ':', len);
    if (colon == NULL || colon == line || is_blank(line[0]))
        return "malformed header of a part";
    if ((size_t)(colon - line) != sizeof(wanted) - 1 || strncasecmp(line, wanted, sizeof(wanted) - 1) != 0)
        return NULL;
    if (m->name != NULL || !disposition(colon + 1, line + len, m))
        return "malformed Content-Disposition of a part";
    return NULL;
}

/* The headers of a part are complete. */
static enum multipart_event part_begins(struct multipart *m)
{
    const char *line = m->headers, *end = m->headers + m->headers_len - 2;
    m->name = m->file_name = NULL;
    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line)); /* is there: the empty line follows */
        const char *problem = header_line(m, line, (size_t)(newline - 1 - line));
        if (problem != NULL)
            return broken(m, problem);
        line = newline + 1;
    }
    if (m->name == NULL)
        return broken(m, "part without a name");
    m->state = MULTIPART_STATE_CONTENT;
    memcpy(m->held, "\r\n", 2); /* the empty line may already belong to the delimiter: a part without content */
    m->held_len = m->foreign = 2;
    return MULTIPART_PART;
}

static enum multipart_event take_headers(struct multipart *m, const char **at, const char *end)
{
    while (*at < end) {
        if (m->headers_len == sizeof(m->headers))
            return broken(m, "headers of a part do not end");
        char c = *(*at)++;
        size_t before = m->headers_len;
        m->headers[m->headers_len++] = c;
        if (c != '\n')
            continue;
        if (before == 0 || m->headers[before - 1] != '\r')
            return broken(m, "headers of a part do not end");
        if (before == 1 || m->headers[before - 2] == '\n')
            return part_begins(m);
    }
    return MULTIPART_MORE;
}

/* What the held bytes are together with c. */
enum held { HELD_ON, HELD_NOT, HELD_PART, HELD_LAST };

static enum held hold(const struct multipart *m, char c)
{
    if (m->held_len < m->delimiter_len)
        return c == m->delimiter[m->held_len] ? HELD_ON : HELD_NOT;
    const char *tail = m->held + m->delimiter_len;
    size_t len = m->held_len - m->delimiter_len;
    bool dashes = len >= 2 && tail[0] == '-';
    if (len > 0 && tail[len - 1] == '\r')
        return c != '\n' ? HELD_NOT : dashes ? HELD_LAST : HELD_PART;
    if (len == 1 && tail[0] == '-')
        return c == '-' ? HELD_ON : HELD_NOT;
    if (m->held_len + 1 == sizeof(m->held)) /* more blanks than anybody sends */
        return HELD_NOT;
    return is_blank(c) || c == '\r' || (len == 0 && c == '-') ? HELD_ON : HELD_NOT;
}

static enum multipart_event give(struct multipart *m, const char *bytes, size_t len)
{
    m->content = bytes;
    m->content_len = len;
    return MULTIPART_CONTENT;
}

/* More of what may be a delimiter. MULTIPART_MORE: it has been decided, or there is nothing to decide with. */
static enum multipart_event take_held(struct multipart *m, const char **at, const char *end)
{
    while (*at < end) {
        enum held what = hold(m, **at);
        if (what == HELD_NOT) {
            size_t len = m->held_len - m->foreign;
            const char *bytes = m->held + m->foreign;
            m->held_len = m->foreign = 0;
            return len > 0 && m->state == MULTIPART_STATE_CONTENT ? give(m, bytes, len) : MULTIPART_MORE;
        }
        char c = *(*at)++;
        if (what == HELD_ON) {
            m->held[m->held_len++] = c;
            continue;
        }
        m->state = what == HELD_PART ? MULTIPART_STATE_HEADERS : MULTIPART_STATE_EPILOGUE;
        m->held_len = m->foreign = m->headers_len = 0;
        return MULTIPART_MORE;
    }
    return MULTIPART_MORE;
}

/* The first place where a delimiter begins, or may begin: its rest is not there yet. */
static const char *candidate(const struct multipart *m, const char *at, const char *end)
{
    size_t len = (size_t)(end - at);
    const char *hit = memmem(at, len, m->delimiter, m->delimiter_len);
    if (hit != NULL)
        return hit;
    size_t tail = len < m->delimiter_len - 1 ? len : m->delimiter_len - 1;
    const char *cr = memrchr(end - tail, '\r', tail);
    return cr != NULL && memcmp(cr, m->delimiter, (size_t)(end - cr)) == 0 ? cr : end;
}

static enum multipart_event take_content(struct multipart *m, const char **at, const char *end)
{
    if (m->held_len > 0)
        return take_held(m, at, end);
    const char *from = *at, *to = candidate(m, from, end);
    *at = to;
    if (to == from) {
        m->held[m->held_len++] = *(*at)++;
        return MULTIPART_MORE;
    }
    return m->state == MULTIPART_STATE_CONTENT ? give(m, from, (size_t)(to - from)) : MULTIPART_MORE;
}

void multipart_init(struct multipart *m, const char *boundary)
{
    size_t len = strlen(boundary);
    memset(m, 0, sizeof(*m));
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary, len);
    m->delimiter_len = 4 + len;
    memcpy(m->held, "\r\n", 2); /* the first delimiter may stand at the very beginning */
    m->held_len = m->foreign = 2;
}

enum multipart_event multipart_next(struct multipart *m, const char **at, const char *end)
{
    enum multipart_event event = MULTIPART_MORE;
    while (event == MULTIPART_MORE && *at < end) {
        switch (m->state) {
        case MULTIPART_STATE_PREAMBLE:
        case MULTIPART_STATE_CONTENT:
            event = take_content(m, at, end);
            break;
        case MULTIPART_STATE_HEADERS:
            event = take_headers(m, at, end);
            break;
        case MULTIPART_STATE_EPILOGUE:
            *at = end;
            break;
        case MULTIPART_STATE_BROKEN:
            return MULTIPART_BROKEN;
        }
    }
    return event;
}

bool multipart_end(struct multipart *m)
{
    const char *tail = m->held + m->delimiter_len;
    size_t len = m->held_len > m->delimiter_len ? m->held_len - m->delimiter_len : 0;
    switch (m->state) {
    case MULTIPART_STATE_EPILOGUE:
        return true;
    case MULTIPART_STATE_PREAMBLE:
    case MULTIPART_STATE_CONTENT:
        if (len >= 2 && tail[0] == '-' && tail[len - 1] != '\r') /* the last delimiter needs no line end */
            return true;
        (void)broken(m, m->state == MULTIPART_STATE_PREAMBLE ? "the boundary does not occur"
                                                             : "the closing delimiter is missing");
        break;
    case MULTIPART_STATE_HEADERS:
        (void)broken(m, "headers of a part do not end");
        break;
    case MULTIPART_STATE_BROKEN:
        break;
    }
    return false;
}
