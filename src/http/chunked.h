/*
 * chunked: a strict decoder of chunked bodies (RFC 9112, 7.1), in place. It stands in for libh2o's, which takes "0x3"
 * for an empty chunk, "3xyz" for one of three bytes, bare LF for CR LF and any number of extension and trailer bytes.
 * Pure: fuzzed.
 */
#ifndef HTTP_CHUNKED_H
#define HTTP_CHUNKED_H

#include <stddef.h>
#include <sys/types.h>

#include "core/compiler.h"

#define CHUNKED_EXTENSION_MAX 120 /* bytes of extensions of one chunk */
#define CHUNKED_TRAILER_MAX 4096  /* bytes of all trailer lines */

/* The layout of picohttpparser's struct phr_chunked_decoder, in which libh2o allocates it. Zeroed before the first
 * call. */
struct chunked_decoder {
    size_t left;          /* bytes of this chunk that are still to come; in the trailer: bytes of it seen */
    char consume_trailer; /* set by libh2o, always 1 */
    char count;           /* digits of the size, then bytes of extensions */
    char state;
};

#define CHUNKED_INCOMPLETE -2
#define CHUNKED_BROKEN -1

/*
 * Decodes what came newly: buf holds *len raw bytes; afterwards *len decoded ones. The return value is
 * CHUNKED_INCOMPLETE (all was consumed), CHUNKED_BROKEN, or the number of bytes that follow the body; these stand in
 * buf behind the decoded ones.
 */
ssize_t chunked_decode(struct chunked_decoder *decoder, char *buf, size_t *len) WARN_UNUSED;

#endif
