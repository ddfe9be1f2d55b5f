/*
 * GET (and HEAD) /api/v1/blobs/{sha256}, in a worker. The steps:
 *   blobs_get   which blob, and does the device's vault refer to it?
 *   blob_found  the file, or 404
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/handlers.h"
#include "blob/store.h"
#include "core/hex.h"
#include "core/log.h"
#include "db/params.h"
#include "db/result.h"
#include "http/reply.h"
#include "http/request.h"

enum { BLOB_SIZE = 3 }; /* of blob_lookup */

static void blob_found(struct http_request *request, const struct db_result *result)
{
    const unsigned char *sha256 = http_request_data(request);
    const char *hex = http_request_arg(request);
    struct reply_file file = {.type = "application/octet-stream", .unreadable = ERROR_BLOB_UNAVAILABLE};
    char etag[DIGEST_HEX_SIZE + 2], disposition[DIGEST_HEX_SIZE + 32];

    if (db_result_null(result, 0, BLOB_SIZE)) {
        reply_error(request, ERROR_BLOB_NOT_FOUND);
        return;
    }
    enum blob_outcome outcome = blob_store_read(http_request_context(request)->blobs, sha256, &file.fd, &file.size);
    if (outcome == BLOB_OK && file.size != db_result_int(result, 0, BLOB_SIZE)) {
        close(file.fd);
        outcome = BLOB_FAILED;
    }
    if (outcome != BLOB_OK) {
        log_error("request %s: blob %s is not in the blob store as the database says; restore it from a backup",
                  http_request_id(request), hex);
        reply_error(request, ERROR_BLOB_UNAVAILABLE);
        return;
    }
    snprintf(etag, sizeof(etag), "\"%s\"", hex);
    snprintf(disposition, sizeof(disposition), "attachment; filename=\"%s\"", hex);
    file.etag = http_request_strdup(request, etag, strlen(etag));
    reply_header(request, "content-disposition", disposition);
    reply_file(request, &file);
}

void blobs_get(struct http_request *request)
{
    const char *hex = http_request_arg(request);
    unsigned char *sha256 = http_request_alloc(request, DIGEST_SIZE);
    struct db_params params;

    if (strlen(hex) != 2 * DIGEST_SIZE || !hex_decode(hex, 2 * DIGEST_SIZE, sha256)) {
        reply_error(request, ERROR_INVALID_BLOB_HASH);
        return;
    }
    http_request_set_data(request, sha256);
    http_request_params(request, &params);
    db_params_bytes(&params, sha256, DIGEST_SIZE);
    http_request_query(request, STMT_BLOB_LOOKUP, &params, blob_found);
}
