/*
 * Blobs, in a worker. The steps of POST /api/v1/blobs/:
 *   blobs_post        who is it (the body is large; nobody's is not hashed)
 *   upload_known      a thread finds the one part in the body and writes, hashes and syncs it to a temporary file
 *   upload_written    400, 413, or reserve: quota, and the janitor keeps off
 *   upload_reserved   quota_exceeded, or a thread gives the file its name
 *   upload_kept       commit: quota again under the vault's lock, and the reference
 *   upload_committed  the answer
 * The steps of GET (and HEAD) /api/v1/blobs/{sha256}: blobs_get, blob_found.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/handlers.h"
#include "blob/store.h"
#include "core/config.h"
#include "core/hex.h"
#include "core/json_write.h"
#include "core/log.h"
#include "db/params.h"
#include "db/result.h"
#include "http/multipart.h"
#include "http/reply.h"
#include "http/request.h"

#define NO_SPACE_RETRY_SECONDS 60

enum { BLOB_ERROR_CODE = 3, BLOB_ERROR_DETAIL, BLOB_ALREADY }; /* columns of blob_reserve and blob_commit */
enum { BLOB_SIZE = 3 };                                        /* of blob_lookup */

struct upload {
    struct blob_store *store;
    const char *body;
    size_t body_len;
    char boundary[71];
    const char *content; /* of the part, in the body; NULL: the body is not as it must be */
    size_t len;
    size_t most;
    struct blob_temp temp;
    bool pending; /* temp is there and has neither got its name nor been dropped */
    unsigned char sha256[DIGEST_SIZE];
    enum blob_outcome outcome;
    struct strbuf error; /* of the thread: for the log, or why the body is refused */
};

/* Whatever way the request ends: no temporary file stays. */
static void upload_end(void *data)
{
    struct upload *upload = data;
    if (upload->pending)
        blob_store_drop(upload->store, &upload->temp);
    strbuf_release(&upload->error);
}

/* The thread could not: the client may try again, the operator reads why. */
static void upload_failed(struct http_request *request, const struct upload *upload)
{
    log_error("request %s: cannot store a blob: %s", http_request_id(request), upload->error.data);
    if (upload->outcome == BLOB_NO_SPACE)
        reply_retry_after(request, ERROR_UNAVAILABLE, NO_SPACE_RETRY_SECONDS);
    else
        reply_error(request, ERROR_BLOB_UNAVAILABLE);
}

static void upload_bind(struct http_request *request, const struct upload *upload, struct db_params *params_r)
{
    const struct config *config = http_request_config(request);
    http_request_params(request, params_r);
    db_params_bytes(params_r, upload->sha256, sizeof(upload->sha256));
    db_params_int8(params_r, (int64_t)upload->len);
    db_params_int8(params_r, config->limits_vault_quota);
    db_params_int8(params_r, config->limits_user_quota);
}

/* True when the statement refused: answered. */
static bool upload_refused(struct http_request *request, const struct db_result *result)
{
    if (db_result_null(result, 0, BLOB_ERROR_CODE))
        return false;
    const char *detail = db_result_text(result, 0, BLOB_ERROR_DETAIL, NULL);
    enum error_code code = error_code_find(db_result_text(result, 0, BLOB_ERROR_CODE, NULL));
    if (code == ERROR_COUNT || error_info(code)->status >= 500) {
        log_error("request %s: cannot refer to a blob: %s", http_request_id(request), detail);
        reply_error(request, code == ERROR_COUNT ? ERROR_INTERNAL_ERROR : code);
    } else {
        reply_error_text(request, code, "%s", detail);
    }
    return true;
}

static void upload_committed(struct http_request *request, const struct db_result *result)
{
    const struct upload *upload = http_request_data(request);
    struct strbuf body = STRBUF_INIT;
    char hex[DIGEST_HEX_SIZE];

    if (upload_refused(request, result))
        return;
    hex_encode(upload->sha256, sizeof(upload->sha256), hex);
    strbuf_append_char(&body, '{');
    json_write_member(&body, "sha256", hex);
    strbuf_printf(&body, ",\"size\":%zu}", upload->len);
    reply_json(request, 200, &body);
}

static void upload_keep(void *data)
{
    struct upload *upload = data;
    upload->outcome =
        blob_store_keep(upload->store, &upload->temp, upload->sha256, (int64_t)upload->len, &upload->error);
    upload->pending = false; /* blob_store_keep() has ended it in every case */
}

static void upload_kept(struct http_request *request, void *data)
{
    struct upload *upload = data;
    struct db_params params;

    if (upload->outcome != BLOB_OK) {
        upload_failed(request, upload);
        return;
    }
    upload_bind(request, upload, &params);
    http_request_query(request, STMT_BLOB_COMMIT, &params, upload_committed);
}

static void upload_reserved(struct http_request *request, const struct db_result *result)
{
    struct upload *upload = http_request_data(request);
    if (upload_refused(request, result))
        return;
    http_request_work(request, http_request_context(request)->files, upload, upload_keep, upload_kept);
}

/* The content of the one part of the body. */
static void upload_find(struct upload *upload)
{
    struct multipart_part part;
    size_t count = 0;
    if (!multipart_parse(upload->body, upload->body_len, upload->boundary, &part, 1, &count, &upload->error))
        return;
    if (count != 1 || part.name_len != 4 || memcmp(part.name, "file", 4) != 0 || part.file_name == NULL) {
        strbuf_append_str(&upload->error, "request body must hold exactly one part, named file, with a file name");
        return;
    }
    upload->content = part.content;
    upload->len = part.content_len;
}

/* In a thread, the search too: the body may be 256 MiB long. */
static void upload_write(void *data)
{
    struct upload *upload = data;
    upload_find(upload);
    if (upload->content == NULL || upload->len > upload->most)
        return;
    upload->outcome =
        blob_store_write(upload->store, upload->content, upload->len, &upload->temp, upload->sha256, &upload->error);
    upload->pending = upload->outcome == BLOB_OK;
}

static void upload_written(struct http_request *request, void *data)
{
    struct upload *upload = data;
    struct db_params params;

    if (upload->content == NULL) {
        reply_error_text(request, ERROR_INVALID_MULTIPART, "%s", upload->error.data);
        return;
    }
    if (upload->len > upload->most) {
        reply_error(request, ERROR_BLOB_TOO_LARGE);
        return;
    }
    if (upload->outcome != BLOB_OK) {
        upload_failed(request, upload);
        return;
    }
    upload_bind(request, upload, &params);
    http_request_query(request, STMT_BLOB_RESERVE, &params, upload_reserved);
}

static void upload_known(struct http_request *request, const struct db_result *result UNUSED)
{
    struct upload *upload = http_request_data(request);
    const char *type = http_request_header(request, "content-type");
    if (type == NULL || !multipart_boundary(type, upload->boundary)) {
        reply_error_text(request, ERROR_INVALID_MULTIPART, "request body must be multipart/form-data");
        return;
    }
    upload->body = http_request_body(request, &upload->body_len);
    upload->most = (size_t)http_request_config(request)->limits_blob_size;
    http_request_work(request, http_request_context(request)->files, upload, upload_write, upload_written);
}

void blobs_post(struct http_request *request)
{
    struct upload *upload = http_request_alloc(request, sizeof(*upload));
    struct db_params params;

    upload->store = http_request_context(request)->blobs;
    strbuf_init(&upload->error);
    http_request_on_end(request, upload_end, upload);
    http_request_set_data(request, upload);
    http_request_params(request, &params);
    http_request_query(request, STMT_DEVICE_ME, &params, upload_known);
}

static void blob_found(struct http_request *request, const struct db_result *result)
{
    const unsigned char *sha256 = http_request_data(request);
    const char *hex = http_request_arg(request);
    struct reply_file file = {.type = "application/octet-stream"};
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
