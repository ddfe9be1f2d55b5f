/*
 * The strict check of request heads, in a worker; called by http/edge.c for each head that libh2o's parser accepts.
 */
#include "http/framing.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

struct line {
    const char *s;
    size_t len; /* without CR LF */
};

struct counts {
    unsigned host, length, encoding;
    bool http11;
};

static enum framing_verdict bad(struct framing_head *head, const char *problem)
{
    head->problem = problem;
    return FRAMING_BAD;
}

/* Cuts the next line off; false when it does not end with CR LF. */
static bool next_line(const char **at, const char *end, struct line *line_r)
{
    const char *newline = memchr(*at, '\n', (size_t)(end - *at));
    if (newline == NULL || newline == *at || newline[-1] != '\r')
        return false;
    line_r->s = *at;
    line_r->len = (size_t)(newline - 1 - *at);
    *at = newline + 1;
    return true;
}

/* METHOD SP PATH SP HTTP/1.x, one space each. */
static bool request_line(const struct line *line, struct framing_head *head, bool *http11_r)
{
    const char *end = line->s + line->len;
    const char *space = memchr(line->s, ' ', line->len);
    if (space == NULL || space == line->s)
        return false;
    head->method = line->s;
    head->method_len = (size_t)(space - line->s);
    head->path = space + 1;
    const char *second = memchr(head->path, ' ', (size_t)(end - head->path));
    if (second == NULL || second == head->path)
        return false;
    head->path_len = (size_t)(second - head->path);
    if (end - second != 9 || memcmp(second + 1, "HTTP/1.", 7) != 0)
        return false;
    *http11_r = second[8] != '0';
    return true;
}

static bool name_is(const char *name, size_t len, const char *what, size_t what_len)
{
    return len == what_len && strncasecmp(name, what, len) == 0;
}
#define NAME_IS(name, len, literal) name_is(name, len, literal, sizeof(literal) - 1)

/* Digits only: no sign, no list, no blank inside. */
static bool parse_length(const char *s, size_t len, size_t *length_r)
{
    size_t value = 0;
    for (size_t i = 0; i < len; ++i) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        size_t digit = (size_t)(s[i] - '0');
        value = value > (SIZE_MAX - digit) / 10 ? SIZE_MAX : value * 10 + digit;
    }
    *length_r = value;
    return len > 0;
}

static enum framing_verdict header_line(const struct line *line, struct framing_head *head, struct counts *counts)
{
    if (line->s[0] == ' ' || line->s[0] == '\t')
        return bad(head, "folded header line");
    const char *colon = memchr(line->s, ':', line->len);
    if (colon == NULL || colon == line->s || colon[-1] == ' ' || colon[-1] == '\t')
        return bad(head, "malformed header line");
    size_t name_len = (size_t)(colon - line->s), value_len = line->len - name_len - 1;
    const char *value = colon + 1;
    while (value_len > 0 && (*value == ' ' || *value == '\t')) {
        ++value;
        --value_len;
    }
    while (value_len > 0 && (value[value_len - 1] == ' ' || value[value_len - 1] == '\t'))
        --value_len;
    if (NAME_IS(line->s, name_len, "host")) {
        ++counts->host;
    } else if (NAME_IS(line->s, name_len, "content-length")) {
        ++counts->length;
        head->has_length = true;
        if (!parse_length(value, value_len, &head->length))
            return bad(head, "malformed Content-Length");
    } else if (NAME_IS(line->s, name_len, "transfer-encoding")) {
        ++counts->encoding;
        if (!NAME_IS(value, value_len, "chunked"))
            return bad(head, "unknown Transfer-Encoding");
        head->chunked = true;
    } else if (NAME_IS(line->s, name_len, "authorization") || NAME_IS(line->s, name_len, "cookie")) {
        head->authorization = true;
    }
    return FRAMING_OK;
}

static enum framing_verdict agree(struct framing_head *head, const struct counts *counts)
{
    if (counts->length > 1)
        return bad(head, "more than one Content-Length");
    if (counts->encoding > 1)
        return bad(head, "more than one Transfer-Encoding");
    if (counts->length > 0 && counts->encoding > 0)
        return bad(head, "both Content-Length and Transfer-Encoding");
    if (counts->encoding > 0 && !counts->http11)
        return bad(head, "Transfer-Encoding in HTTP/1.0");
    if (counts->host > 1)
        return bad(head, "more than one Host");
    if (counts->host == 0 && counts->http11)
        return bad(head, "no Host");
    return FRAMING_OK;
}

enum framing_verdict framing_check(const char *head, size_t len, struct framing_head *head_r)
{
    const char *at = head, *end = head + len;
    struct counts counts = {0};
    struct line line;
    memset(head_r, 0, sizeof(*head_r));
    if (len >= 2 && memcmp(at, "\r\n", 2) == 0) /* one empty line in front is allowed (RFC 9112, 2.2) */
        at += 2;
    if (!next_line(&at, end, &line))
        return bad(head_r, "line does not end with CR LF");
    if (!request_line(&line, head_r, &counts.http11))
        return bad(head_r, "malformed request line");
    if (head_r->path_len > FRAMING_PATH_MAX)
        return FRAMING_LONG_PATH;
    for (;;) {
        if (!next_line(&at, end, &line))
            return bad(head_r, "line does not end with CR LF");
        if (at - head > FRAMING_HEAD_MAX)
            return FRAMING_LONG_HEAD;
        if (line.len == 0)
            return agree(head_r, &counts);
        enum framing_verdict verdict = header_line(&line, head_r, &counts);
        if (verdict != FRAMING_OK)
            return verdict;
    }
}
