/*
 * POST /api/v1/blobs/, in a worker. The steps:
 *   upload_post       who is it, and how much room is left? The body is still with the client
 *   upload_admitted   401, 403 or 413 without the body, or it may come
 *   upload_take       in a thread, piece by piece: finds the content of the one part, hashes and writes it
 *   upload_taken      400, 413 or 503 as soon as it is known, perhaps in the middle; else a thread syncs the file
 *   upload_synced     reserve: the quota's bytes are held, and the janitor keeps off
 *   upload_reserved   quota_exceeded, or a thread gives the file its name
 *   upload_kept       commit: the reference; quota again if the reservation has run out
 *   upload_committed  the answer
 * Threads of `files` take pieces, a millisecond each, but that BLOB_WRITERS_MOST of them may wait for the disk; those
 * of `syncing` do as long as it takes.
 */
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "blob/store.h"
#include "core/config.h"
#include "core/hex.h"
#include "core/json_write.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/work_pool.h"
#include "db/params.h"
#include "db/result.h"
#include "http/multipart.h"
#include "http/reply.h"
#include "http/request.h"

#define NO_SPACE_RETRY_SECONDS 60

enum { UPLOAD_MOST = 3 };                            /* column of blob_admit */
enum { UPLOAD_ERROR_CODE = 3, UPLOAD_ERROR_DETAIL }; /* of blob_reserve and blob_commit */

enum upload_verdict {
    UPLOAD_GOOD,
    UPLOAD_MALFORMED, /* error says why */
    UPLOAD_TOO_LARGE,
    UPLOAD_FAILED,   /* error says why, for the log */
    UPLOAD_NO_SPACE, /* the same */
};

struct upload {
    struct http_request *request;
    struct blob_store *store;
    struct work_pool *syncing;
    int64_t most; /* bytes of content */
    struct multipart multipart;
    unsigned parts;
    struct blob_temp temp; /* while temp.fd >= 0 it has neither got its name nor been dropped */
    unsigned char sha256[DIGEST_SIZE];
    int64_t size;
    enum upload_verdict verdict;
    struct strbuf error; /* of the thread */
};

/* A temporary file that nobody needs any more. */
struct leftover {
    struct work work;
    struct http_server *server; /* in whose uploads it counts */
    struct blob_store *store;
    struct blob_temp temp;
};

static void leftover_run(struct work *work)
{
    struct leftover *leftover = (struct leftover *)(void *)work;
    blob_store_drop(leftover->store, &leftover->temp);
}

static void leftover_done(struct work *work)
{
    struct leftover *leftover = (struct leftover *)(void *)work;
    http_upload_over(leftover->server);
    free(leftover);
}

/* Whatever way the request ends: no temporary file stays. In a thread, because it may be large. */
static void upload_end(void *data)
{
    struct upload *upload = data;
    strbuf_release(&upload->error);
    if (upload->temp.fd < 0)
        return;
    struct leftover *leftover = mem_zalloc(sizeof(*leftover));
    leftover->work.run = leftover_run;
    leftover->work.done = leftover_done;
    leftover->server = http_upload_keep(upload->request);
    leftover->store = upload->store;
    leftover->temp = upload->temp;
    work_pool_add(upload->syncing, &leftover->work); /* never on the loop; http.max_uploads bounds them, too */
}

static bool upload_verdict_is(struct upload *upload, enum blob_outcome outcome)
{
    if (outcome != BLOB_OK)
        upload->verdict = outcome == BLOB_NO_SPACE ? UPLOAD_NO_SPACE : UPLOAD_FAILED;
    return outcome == BLOB_OK;
}

/* True when the verdict of a thread was not good: answered. The client may try again, the operator reads why. */
static bool upload_failed(struct http_request *request, const struct upload *upload)
{
    switch (upload->verdict) {
    case UPLOAD_GOOD:
        return false;
    case UPLOAD_MALFORMED:
        reply_error_text(request, ERROR_INVALID_MULTIPART, "%s", upload->error.data);
        return true;
    case UPLOAD_TOO_LARGE:
        reply_error(request, ERROR_BLOB_TOO_LARGE);
        return true;
    case UPLOAD_NO_SPACE:
    case UPLOAD_FAILED:
        break;
    }
    log_error("request %s: cannot store a blob: %s", http_request_id(request), upload->error.data);
    if (upload->verdict == UPLOAD_NO_SPACE)
        reply_retry_after(request, ERROR_UNAVAILABLE, NO_SPACE_RETRY_SECONDS);
    else
        reply_error(request, ERROR_BLOB_UNAVAILABLE);
    return true;
}

/* True when the statement refused: answered. */
static bool upload_refused(struct http_request *request, const struct db_result *result)
{
    if (db_result_null(result, 0, UPLOAD_ERROR_CODE))
        return false;
    const char *detail = db_result_text(result, 0, UPLOAD_ERROR_DETAIL, NULL);
    enum error_code code = error_code_find(db_result_text(result, 0, UPLOAD_ERROR_CODE, NULL));
    if (code == ERROR_COUNT || error_info(code)->status >= 500) {
        log_error("request %s: cannot refer to a blob: %s", http_request_id(request), detail);
        reply_error(request, code == ERROR_COUNT ? ERROR_INTERNAL_ERROR : code);
    } else {
        reply_error_text(request, code, "%s", detail);
    }
    return true;
}

static void upload_query(struct http_request *request, enum db_statement statement, http_query_step *step)
{
    const struct upload *upload = http_request_data(request);
    const struct config *config = http_request_config(request);
    struct db_params params;
    http_request_params(request, &params);
    db_params_bytes(&params, upload->sha256, sizeof(upload->sha256));
    db_params_int8(&params, upload->size);
    db_params_int8(&params, config->limits_vault_quota);
    db_params_int8(&params, config->limits_user_quota);
    http_request_query(request, statement, &params, step);
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
    strbuf_printf(&body, ",\"size\":%lld}", (long long)upload->size);
    reply_json(request, 200, &body);
}

static void upload_kept(struct http_request *request, void *data)
{
    if (!upload_failed(request, data))
        upload_query(request, STMT_BLOB_COMMIT, upload_committed);
}

static void upload_keep(void *data)
{
    struct upload *upload = data;
    (void)upload_verdict_is(
        upload, blob_store_keep(upload->store, &upload->temp, upload->sha256, upload->size, &upload->error));
}

static void upload_reserved(struct http_request *request, const struct db_result *result)
{
    struct upload *upload = http_request_data(request);
    if (!upload_refused(request, result))
        http_request_work(request, upload->syncing, upload, upload_keep, upload_kept);
}

static void upload_synced(struct http_request *request, void *data)
{
    if (!upload_failed(request, data))
        upload_query(request, STMT_BLOB_RESERVE, upload_reserved);
}

static bool upload_malformed(struct upload *upload, const char *why)
{
    strbuf_append_str(&upload->error, why);
    upload->verdict = UPLOAD_MALFORMED;
    return false;
}

static bool upload_one_part(struct upload *upload)
{
    return upload_malformed(upload, "request body must hold exactly one part, named file, with a file name");
}

static void upload_sync(void *data)
{
    struct upload *upload = data;
    if (!multipart_end(&upload->multipart)) {
        (void)upload_malformed(upload, upload->multipart.problem);
        return;
    }
    if (upload->parts != 1) {
        (void)upload_one_part(upload);
        return;
    }
    upload->size = upload->temp.size;
    (void)upload_verdict_is(upload, blob_store_sync(upload->store, &upload->temp, upload->sha256, &upload->error));
}

static void upload_taken(struct http_request *request, void *data)
{
    struct upload *upload = data;
    if (!upload_failed(request, upload))
        http_request_work(request, upload->syncing, upload, upload_sync, upload_synced);
}

static bool upload_part(struct upload *upload)
{
    const struct multipart *m = &upload->multipart;
    if (++upload->parts > 1 || m->name_len != 4 || memcmp(m->name, "file", 4) != 0 || m->file_name == NULL)
        return upload_one_part(upload);
    return upload_verdict_is(upload, blob_store_begin(upload->store, &upload->temp, &upload->error));
}

static bool upload_content(struct upload *upload)
{
    const struct multipart *m = &upload->multipart;
    if ((int64_t)m->content_len > upload->most - upload->temp.size) {
        upload->verdict = UPLOAD_TOO_LARGE;
        return false;
    }
    return upload_verdict_is(
        upload, blob_store_append(upload->store, &upload->temp, m->content, m->content_len, &upload->error));
}

/* In a thread. False: whatever comes, it is refused. */
static bool upload_take(void *data, const char *bytes, size_t len)
{
    struct upload *upload = data;
    const char *end = bytes + len;
    bool good = true;
    while (good) {
        switch (multipart_next(&upload->multipart, &bytes, end)) {
        case MULTIPART_MORE:
            return true;
        case MULTIPART_PART:
            good = upload_part(upload);
            break;
        case MULTIPART_CONTENT:
            good = upload_content(upload);
            break;
        case MULTIPART_BROKEN:
            good = upload_malformed(upload, upload->multipart.problem);
            break;
        }
    }
    return false;
}

static void upload_admitted(struct http_request *request, const struct db_result *result)
{
    struct upload *upload = http_request_data(request);
    const char *type = http_request_header(request, "content-type");
    char boundary[MULTIPART_BOUNDARY_MAX + 1];
    size_t length;
    int64_t most = db_result_int(result, 0, UPLOAD_MOST);
    if (type == NULL || !multipart_boundary(type, boundary)) {
        reply_error_text(request, ERROR_INVALID_MULTIPART, "request body must be multipart/form-data");
        return;
    }
    if (http_request_length(request, &length) && (int64_t)length - ROUTE_UPLOAD_FRAMING > most) {
        reply_error(request, ERROR_QUOTA_EXCEEDED);
        return;
    }
    multipart_init(&upload->multipart, boundary);
    http_request_receive(request, http_request_context(request)->files, upload, upload_take, upload_taken);
}

void upload_post(struct http_request *request)
{
    const struct config *config = http_request_config(request);
    struct upload *upload = http_request_alloc(request, sizeof(*upload));
    struct db_params params;

    upload->request = request;
    upload->store = http_request_context(request)->blobs;
    upload->syncing = http_request_context(request)->syncing;
    upload->most = config->limits_blob_size;
    upload->temp.fd = -1;
    strbuf_init(&upload->error);
    http_request_on_end(request, upload_end, upload);
    http_request_set_data(request, upload);
    http_request_params(request, &params);
    db_params_int8(&params, config->limits_vault_quota);
    db_params_int8(&params, config->limits_user_quota);
    http_request_query(request, STMT_BLOB_ADMIT, &params, upload_admitted);
}
