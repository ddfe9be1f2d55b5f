/*
 * framing: the strict look at a request's head before libh2o believes it. libh2o takes the first of two lengths, lets
 * Transfer-Encoding win over Content-Length and unfolds folded lines; a proxy in front may see it otherwise, and then
 * the two disagree where a request ends (request smuggling, RFC 9112, 11.2). So everything that could be read in two
 * ways is refused. Pure: fuzzed.
 */
#ifndef HTTP_FRAMING_H
#define HTTP_FRAMING_H

#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"

#define FRAMING_HEAD_MAX (32 * 1024) /* a longer head is a 431 */
#define FRAMING_PATH_MAX (8 * 1024)  /* a longer path (with query) is a 414 */

enum framing_verdict {
    FRAMING_OK,
    FRAMING_BAD,       /* 400 */
    FRAMING_LONG_PATH, /* 414 */
    FRAMING_LONG_HEAD, /* 431 */
};

struct framing_head {
    const char *method, *path; /* borrowed from the head */
    size_t method_len, path_len;
    bool chunked;
    bool has_length;
    bool authorization;  /* an Authorization or Cookie line is there */
    size_t length;       /* Content-Length; SIZE_MAX when too great for that */
    const char *problem; /* with FRAMING_BAD: English, for the log and the answer */
};

/*
 * head: the bytes of a request from its first one; the head must be complete (its empty line is there), as the parser
 * has found it to be. *head_r is filled as far as the look came.
 */
enum framing_verdict framing_check(const char *head, size_t len, struct framing_head *head_r) WARN_UNUSED;

#endif
