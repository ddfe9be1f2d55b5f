/*
 * The head of a request (http/framing.h) and, behind it, a chunked body (http/chunked.h). Beside what the sanitizers
 * see: an accepted head has at most one length, and what it says lies inside it; a chunked body is the same in one
 * piece and byte by byte.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/chunked.h"
#include "http/framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void head(const char *bytes, size_t len)
{
    struct framing_head read;
    enum framing_verdict verdict = framing_check(bytes, len, &read);
    require((read.problem != NULL) == (verdict == FRAMING_BAD));
    if (verdict != FRAMING_OK)
        return;
    require(!(read.chunked && read.has_length));
    require(read.method >= bytes && read.path > read.method && read.path + read.path_len < bytes + len);
    require(read.path_len <= FRAMING_PATH_MAX && memchr(read.path, '\n', read.path_len) == NULL);
}

static ssize_t decode(const char *bytes, size_t len, size_t piece, char *out, size_t *out_len_r)
{
    struct chunked_decoder decoder = {.consume_trailer = 1};
    ssize_t answer = CHUNKED_INCOMPLETE;
    size_t end = 0;
    for (size_t at = 0; at < len && answer == CHUNKED_INCOMPLETE; at += piece) {
        size_t raw = len - at < piece ? len - at : piece, n = raw;
        memcpy(out + end, bytes + at, raw);
        answer = chunked_decode(&decoder, out + end, &n);
        require(n <= raw && (answer < 0 || n + (size_t)answer <= raw));
        end += n;
        if (answer >= 0)
            answer += (ssize_t)(len - at - raw);
    }
    *out_len_r = end;
    return answer;
}

static void chunks(const char *bytes, size_t len)
{
    char *whole = malloc(len + 1), *pieces = malloc(len + 1);
    size_t whole_len, pieces_len;
    ssize_t first = decode(bytes, len, len > 0 ? len : 1, whole, &whole_len);
    ssize_t second = decode(bytes, len, 1, pieces, &pieces_len);
    require(first == second);
    require(first == CHUNKED_BROKEN || (whole_len == pieces_len && memcmp(whole, pieces, whole_len) == 0));
    free(whole);
    free(pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = malloc(size > 0 ? size : 1); /* of its own, so that a byte read behind it is seen */
    if (size > 0)
        memcpy(bytes, data, size);
    head(bytes, size);
    const char *end = size > 0 ? memmem(bytes, size, "\r\n\r\n", 4) : NULL;
    const char *body = end != NULL ? end + 4 : bytes;
    chunks(body, size - (size_t)(body - bytes));
    free(bytes);
    return 0;
}
