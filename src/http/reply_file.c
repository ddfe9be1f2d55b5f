/*
 * Answers with the content of a file, in a worker: which range of it, and whether the client has it already. The bytes
 * are file_stream's.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "http/file_stream.h"
#include "http/reply.h"
#include "http/reply_private.h"
#include "http/request_private.h"

struct range {
    int64_t first, length;
};

enum range_verdict { RANGE_NONE, RANGE_ONE, RANGE_UNSATISFIABLE };

/* Digits; what is too great for any file stays too great. False when there are none. */
static bool parse_position(const char **at, int64_t *position_r)
{
    const char *start = *at;
    int64_t position = 0;
    for (; **at >= '0' && **at <= '9'; ++*at)
        position = position > (INT64_MAX - 9) / 10 ? INT64_MAX - 1 : position * 10 + (**at - '0');
    *position_r = position;
    return *at != start;
}

/* RFC 9110, 14.1.2. Several ranges and malformed ones: as if there were none. */
static enum range_verdict parse_range(const char *header, int64_t size, struct range *range_r)
{
    int64_t first, last;
    if (strncasecmp(header, "bytes=", 6) != 0)
        return RANGE_NONE;
    header += 6;
    bool has_first = parse_position(&header, &first);
    if (*header++ != '-')
        return RANGE_NONE;
    bool has_last = parse_position(&header, &last);
    if (*header != '\0' || (!has_first && !has_last) || (has_first && has_last && last < first))
        return RANGE_NONE;
    if (!has_first) { /* the last so many bytes */
        first = last < size ? size - last : 0;
        has_last = false;
        if (last == 0)
            return RANGE_UNSATISFIABLE;
    }
    if (first >= size)
        return RANGE_UNSATISFIABLE;
    if (!has_last || last >= size)
        last = size - 1;
    range_r->first = first;
    range_r->length = last - first + 1;
    return RANGE_ONE;
}

/* One of a list of tags, compared weakly (RFC 9110, 13.1.2), or "*". */
static bool none_match_holds(const char *header, const char *etag)
{
    size_t etag_len = strlen(etag);
    for (;;) {
        header += strspn(header, " \t,");
        if (*header == '\0')
            return false;
        if (*header == '*')
            return true;
        if (strncmp(header, "W/", 2) == 0)
            header += 2;
        if (strncmp(header, etag, etag_len) == 0)
            return true;
        header += *header == '"' ? 1 + strcspn(header + 1, "\"") : 0;
        header += strcspn(header, ",");
    }
}

static enum range_verdict find_range(struct http_request *request, const struct reply_file *file, struct range *range_r)
{
    const char *header = http_request_header(request, "range"), *condition = http_request_header(request, "if-range");
    range_r->first = 0;
    range_r->length = file->size;
    if (header == NULL ||
        (condition != NULL && strcmp(condition, file->etag) != 0)) /* weak tags and dates never match */
        return RANGE_NONE;
    return parse_range(header, file->size, range_r);
}

static void reply_not_modified(struct http_request *request, const struct reply_file *file)
{
    close(file->fd);
    reply_header(request, "etag", file->etag);
    h2o_req_t *req = reply_begin(request, 304, "", SIZE_MAX, REPLY_PRIVATE);
    h2o_send_inline(req, NULL, 0);
}

static void reply_unsatisfiable(struct http_request *request, const struct reply_file *file)
{
    char value[64];
    close(file->fd);
    snprintf(value, sizeof(value), "bytes */%" PRId64, file->size);
    reply_header(request, "content-range", value);
    reply_error(request, ERROR_RANGE_INVALID);
}

static void send_content(struct http_request *request, const struct reply_file *file, const struct range *range,
                         bool partial)
{
    static h2o_generator_t empty = {NULL, NULL};
    char value[96];
    const char *type = http_request_strdup(request, file->type, strlen(file->type));
    bool head_only = request->head_only;
    reply_header(request, "etag", file->etag);
    reply_header(request, "accept-ranges", "bytes");
    if (partial) {
        snprintf(value, sizeof(value), "bytes %" PRId64 "-%" PRId64 "/%" PRId64, range->first,
                 range->first + range->length - 1, file->size);
        reply_header(request, "content-range", value);
    }
    h2o_req_t *req = reply_begin(request, partial ? 206 : 200, type, (size_t)range->length, REPLY_PRIVATE);
    if (!head_only && range->length > 0) {
        file_stream_start(request, req, file->fd, range->first, range->length);
        return;
    }
    close(file->fd);
    h2o_start_response(req, &empty);
    h2o_send(req, NULL, 0, H2O_SEND_STATE_FINAL);
}

/* An answer that waits for the disk. */
struct cold_file {
    struct reply_file file; /* fd < 0: it is somebody else's */
    struct range range;
    bool partial;
    int reason;
};

static void cold_end(void *data)
{
    const struct cold_file *cold = data;
    if (cold->file.fd >= 0)
        close(cold->file.fd);
}

static void cold_run(void *data)
{
    struct cold_file *cold = data;
    cold->reason = file_stream_read(cold->file.fd, cold->range.first, cold->range.length);
}

static void cold_read(struct http_request *request, void *data)
{
    struct cold_file *cold = data;
    if (cold->reason != 0) {
        log_error("request %s: cannot read the file: %s", request->id, strerror(cold->reason));
        reply_error(request, cold->file.unreadable);
        return;
    }
    struct reply_file file = cold->file;
    cold->file.fd = -1;
    send_content(request, &file, &cold->range, cold->partial);
}

static void reply_content(struct http_request *request, const struct reply_file *file, const struct range *range,
                          bool partial)
{
    if (request->head_only || range->length == 0 || file_stream_in_memory(file->fd, range->first, range->length)) {
        send_content(request, file, range, partial);
        return;
    }
    struct cold_file *cold = http_request_alloc(request, sizeof(*cold));
    *cold = (struct cold_file){.file = *file, .range = *range, .partial = partial};
    http_request_on_end(request, cold_end, cold);
    http_request_work(request, request->context->reading, cold, cold_run, cold_read);
}

void reply_file(struct http_request *request, const struct reply_file *file)
{
    struct range range;
    const char *none_match = http_request_header(request, "if-none-match");
    if (none_match != NULL && none_match_holds(none_match, file->etag)) {
        reply_not_modified(request, file);
        return;
    }
    switch (find_range(request, file, &range)) {
    case RANGE_UNSATISFIABLE:
        reply_unsatisfiable(request, file);
        return;
    case RANGE_ONE:
        reply_content(request, file, &range, true);
        return;
    case RANGE_NONE:
        reply_content(request, file, &range, false);
        return;
    }
}
