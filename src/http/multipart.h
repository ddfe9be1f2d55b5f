/*
 * multipart/form-data (RFC 7578, RFC 2046) that comes in pieces: tells of each part's headers and content as they come,
 * without copying content and in bounded memory. Pure function of bytes: fuzzed. Linear, but 256 MiB take about 0.1 s:
 * large bodies are parsed in a thread (http_request_receive).
 */
#ifndef HTTP_MULTIPART_H
#define HTTP_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"

#define MULTIPART_BOUNDARY_MAX 70
#define MULTIPART_HEADERS_MAX 8192 /* of one part */
#define MULTIPART_BLANKS_MAX 64    /* behind a delimiter */

enum multipart_event {
    MULTIPART_MORE,    /* all bytes were taken */
    MULTIPART_PART,    /* a part begins: name, file_name */
    MULTIPART_CONTENT, /* content, content_len: more of the content of the part */
    MULTIPART_BROKEN,  /* problem says why; no more events come */
};

enum multipart_state {
    MULTIPART_STATE_PREAMBLE, /* zero: the first state */
    MULTIPART_STATE_HEADERS,
    MULTIPART_STATE_CONTENT,
    MULTIPART_STATE_EPILOGUE,
    MULTIPART_STATE_BROKEN,
};

struct multipart {
    /* of the part, until the next one's headers come; not zero-terminated, in headers */
    const char *name;
    size_t name_len;
    const char *file_name; /* NULL when the part has none */
    size_t file_name_len;
    const char *content; /* until the next call; in the bytes given to it, or in held */
    size_t content_len;
    const char *problem; /* English, static */
    /* the parser's own */
    enum multipart_state state;
    char delimiter[4 + MULTIPART_BOUNDARY_MAX]; /* CR LF "--" boundary */
    size_t delimiter_len;
    char held[4 + MULTIPART_BOUNDARY_MAX + 2 + MULTIPART_BLANKS_MAX + 1]; /* what may be the line of a delimiter */
    size_t held_len;
    size_t foreign; /* bytes of held, from its beginning, that are no content */
    char headers[MULTIPART_HEADERS_MAX];
    size_t headers_len;
};

/* boundary of a Content-Type header value; 1 to 70 characters of RFC 2046. False when it is no multipart/form-data. */
bool multipart_boundary(const char *content_type, char boundary_r[MULTIPART_BOUNDARY_MAX + 1]) WARN_UNUSED;
/* boundary: from multipart_boundary(). Owns nothing: there is no release. */
void multipart_init(struct multipart *m, const char *boundary);
/* Takes bytes from *at on, up to the next event. Called until it says MULTIPART_MORE; then with the next piece. */
enum multipart_event multipart_next(struct multipart *m, const char **at, const char *end) WARN_UNUSED;
/* After the last piece: was that a whole body? Else problem says why not. */
bool multipart_end(struct multipart *m) WARN_UNUSED;

#endif
