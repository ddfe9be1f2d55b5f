/*
 * janitor: main of the process that removes what is past its time: once every retention.interval, one janitor at work
 * per database (a lease that it renews between steps). Left-over uploads are of this host's disk and need no lease.
 * What is removed, and why that is safe, say the statements in sql/queries/janitor_*.sql.
 */
#include "proc/janitor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob/store.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/log.h"
#include "core/mem.h"
#include "db/session.h"
#include "proc/heritage.h"
#include "proc/service.h"

#define JANITOR_BATCH 1000           /* rows of one statement, so that none runs long */
#define JANITOR_LEASE_EXTRA_MS 60000 /* the lease lasts that much longer than the pause between two runs */

struct janitor {
    struct service service;
    const struct config *config;
    struct db_session *session;
    struct blob_store *store;
    char *holder;        /* of the lease: this process */
    bool held;           /* the lease may be ours */
    uint64_t renewed_at; /* clock_mono_ms() */
    bool failing;        /* the last run ended with an error, which the log has */
};

enum janitor_retention { JANITOR_NONE, JANITOR_IDEMPOTENCY, JANITOR_MAIL, JANITOR_ACCOUNTS, JANITOR_AUDIT };

/* The statements whose answer is the number of removed rows. */
static const struct janitor_step {
    enum db_statement statement;
    enum janitor_retention retention; /* what is its first parameter */
    const char *what;
} janitor_steps[] = {
    {STMT_JANITOR_IDEMPOTENCY, JANITOR_IDEMPOTENCY, "idempotency keys"},
    {STMT_JANITOR_SESSIONS, JANITOR_NONE, "sessions"},
    {STMT_JANITOR_TOKENS, JANITOR_NONE, "e-mail tokens"},
    {STMT_JANITOR_ACCOUNTS, JANITOR_ACCOUNTS, "accounts that were never confirmed"},
    {STMT_JANITOR_MAIL, JANITOR_MAIL, "e-mails, or the texts of expired ones"},
    {STMT_JANITOR_AUDIT, JANITOR_AUDIT, "audit rows"},
    {STMT_JANITOR_ATTEMPTS, JANITOR_NONE, "attempt counters"},
    {STMT_JANITOR_VAULTS, JANITOR_NONE, "rows of deleted vaults"},
};

static bool janitor_failed(struct janitor *j, const char *reason)
{
    if (!j->failing)
        log_warning("cleaning failed, trying again at each interval: %s", reason);
    j->failing = true;
    return false;
}

/* Runs a statement of one row; false when it failed. The result lives until the next statement. */
static const struct db_result *janitor_run(struct janitor *j, enum db_statement statement, struct db_params *params)
{
    const struct db_result *result = db_session_run(j->session, statement, params);
    if (result->outcome == DB_OK)
        return result;
    janitor_failed(j, result->message);
    return NULL;
}

/* Takes the lease, or renews it when a third of it has passed. */
static bool janitor_lease(struct janitor *j)
{
    int64_t lease = j->config->retention_interval + JANITOR_LEASE_EXTRA_MS;
    uint64_t now = clock_mono_ms();
    if (j->held && now - j->renewed_at < (uint64_t)lease / 3)
        return true;
    struct db_params params;
    db_params_init(&params);
    db_params_str(&params, j->holder);
    db_params_int8(&params, lease);
    const struct db_result *result = janitor_run(j, STMT_JANITOR_LEASE, &params);
    db_params_release(&params);
    j->held = result && db_result_bool(result, 0, 0);
    j->renewed_at = now;
    return j->held;
}

static bool janitor_goes_on(struct janitor *j)
{
    return !service_leaving(&j->service) && janitor_lease(j);
}

/* One batch; the number of removed rows, -1 when it failed. */
static int64_t janitor_batch(struct janitor *j, const struct janitor_step *step)
{
    struct db_params params;
    db_params_init(&params);
    if (step->retention == JANITOR_IDEMPOTENCY)
        db_params_int8(&params, j->config->retention_idempotency);
    else if (step->retention == JANITOR_MAIL)
        db_params_int8(&params, j->config->retention_mail);
    else if (step->retention == JANITOR_ACCOUNTS)
        db_params_int8(&params, j->config->retention_unconfirmed);
    else if (step->retention == JANITOR_AUDIT)
        db_params_int8(&params, j->config->retention_audit);
    db_params_int4(&params, JANITOR_BATCH);
    const struct db_result *result = janitor_run(j, step->statement, &params);
    db_params_release(&params);
    return result ? db_result_int(result, 0, 0) : -1;
}

static bool janitor_step_run(struct janitor *j, const struct janitor_step *step)
{
    int64_t removed, total = 0;
    do {
        if (!janitor_goes_on(j))
            return false;
        removed = janitor_batch(j, step);
        total += removed > 0 ? removed : 0;
    } while (removed >= JANITOR_BATCH);
    if (total > 0)
        log_info("removed %" PRId64 " %s", total, step->what);
    return removed >= 0;
}

/* The steps between BEGIN and COMMIT: the file goes while the row is locked, so that no upload can count on it
 * meanwhile. */
static bool janitor_blob_locked(struct janitor *j, const unsigned char *sha256, bool *removed_r)
{
    struct db_params params;
    struct strbuf error = STRBUF_INIT;
    db_params_init(&params);
    db_params_bytes(&params, sha256, DIGEST_SIZE);
    db_params_int8(&params, j->config->retention_blob_grace);
    const struct db_result *result = janitor_run(j, STMT_JANITOR_BLOB_LOCK, &params);
    bool ok = result != NULL;
    *removed_r = ok && db_result_bool(result, 0, 0);
    if (*removed_r && blob_store_take_aside(j->store, sha256, &error) != BLOB_OK) {
        ok = janitor_failed(j, error.data);
    } else if (*removed_r) {
        db_params_bytes(&params, sha256, DIGEST_SIZE);
        ok = janitor_run(j, STMT_JANITOR_BLOB_DELETE, &params) != NULL;
    }
    db_params_release(&params);
    strbuf_release(&error);
    return ok;
}

/*
 * The file of a removable blob. Only the commit says that the row's lock was ours all the time: had we lost it (a
 * database that failed over while we were stopped), an upload may refer to this file by now.
 */
static bool janitor_blob_aside(struct janitor *j, const unsigned char *sha256, bool committed)
{
    struct strbuf error = STRBUF_INIT;
    bool ok = true;
    if (committed)
        blob_store_drop_aside(j->store, sha256);
    else if (blob_store_put_back(j->store, sha256, &error) != BLOB_OK)
        ok = janitor_failed(j, error.data);
    strbuf_release(&error);
    return ok;
}

static bool janitor_blob(struct janitor *j, const unsigned char *sha256, bool *removed_r)
{
    struct strbuf error = STRBUF_INIT;
    *removed_r = false;
    bool ok = db_session_exec(j->session, "BEGIN", &error);
    if (ok) {
        bool worked = janitor_blob_locked(j, sha256, removed_r);
        ok = db_session_exec(j->session, worked ? "COMMIT" : "ROLLBACK", &error);
        ok = (!*removed_r || janitor_blob_aside(j, sha256, worked && ok)) && ok;
        *removed_r = *removed_r && worked && ok;
    }
    if (!ok)
        janitor_failed(j, error.data);
    strbuf_release(&error);
    return ok;
}

/* Copies the next candidates after *after; their number, -1 when it failed. */
static int janitor_candidates(struct janitor *j, const struct strbuf *after, unsigned char (*hashes)[DIGEST_SIZE])
{
    struct db_params params;
    db_params_init(&params);
    db_params_int8(&params, j->config->retention_blob_grace);
    db_params_bytes(&params, after->data, after->len);
    db_params_int4(&params, JANITOR_BATCH);
    const struct db_result *result = janitor_run(j, STMT_JANITOR_BLOB_CANDIDATES, &params);
    db_params_release(&params);
    int rows = result ? db_result_rows(result) : -1;
    int count = 0;
    for (int i = 0; i < rows && i < JANITOR_BATCH; i++) {
        size_t len;
        const void *sha256 = db_result_bytes(result, i, 0, &len);
        if (len == DIGEST_SIZE)
            memcpy(hashes[count++], sha256, DIGEST_SIZE);
    }
    return rows < 0 ? -1 : count;
}

/* A blob whose file cannot be removed stays and does not keep the others. */
static bool janitor_blobs(struct janitor *j)
{
    unsigned char(*hashes)[DIGEST_SIZE] = mem_alloc(JANITOR_BATCH * sizeof(*hashes));
    struct strbuf after = STRBUF_INIT;
    unsigned total = 0;
    int count;
    bool ok = true;
    do {
        count = janitor_candidates(j, &after, hashes);
        for (int i = 0; ok && i < count; i++) {
            bool removed = false;
            ok = janitor_goes_on(j) && janitor_blob(j, hashes[i], &removed);
            total += removed;
        }
        strbuf_reset(&after);
        if (count > 0)
            strbuf_append(&after, hashes[count - 1], DIGEST_SIZE);
    } while (ok && count == JANITOR_BATCH);
    if (total)
        log_info("removed %u blobs that nothing references", total);
    strbuf_release(&after);
    free(hashes);
    return ok && count >= 0;
}

static void janitor_clean(struct janitor *j)
{
    unsigned swept = blob_store_sweep(j->store, j->config->retention_upload_leftover);
    if (swept)
        log_info("removed %u left-over uploads", swept);
    bool ok = janitor_lease(j);
    for (size_t i = 0; ok && i < ARRAY_SIZE(janitor_steps); i++)
        ok = janitor_step_run(j, &janitor_steps[i]);
    if (ok && janitor_blobs(j) && j->failing) {
        log_info("cleaning works again");
        j->failing = false;
    }
}

static void janitor_release(struct janitor *j)
{
    struct db_params params;
    if (!j->held)
        return;
    db_params_init(&params);
    db_params_str(&params, j->holder);
    db_session_run(j->session, STMT_JANITOR_RELEASE, &params);
    db_params_release(&params);
}

static bool janitor_begin(struct janitor *j, struct heritage *heritage, struct strbuf *error)
{
    char host[256] = "";
    *j = (struct janitor){.config = heritage->config};
    if (!service_begin(&j->service, heritage, error))
        return false;
    j->store = blob_store_open(heritage->config->data, error);
    if (!j->store)
        return false;
    gethostname(host, sizeof(host) - 1);
    j->holder = mem_printf("%s:%ld:%" PRIu64, host, (long)getpid(), clock_mono_us());
    char *conninfo = db_conninfo(heritage->config);
    j->session = db_session_new(heritage->config, conninfo);
    free(conninfo);
    return true;
}

int janitor_main(struct heritage *heritage)
{
    struct janitor j;
    struct strbuf error = STRBUF_INIT;
    if (!janitor_begin(&j, heritage, &error)) {
        log_error("%s", error.data);
        return EXIT_FAILURE;
    }
    heritage_ready(heritage);
    do
        janitor_clean(&j);
    while (service_wait(&j.service, (uint64_t)heritage->config->retention_interval, -1) != SERVICE_LEAVE);
    janitor_release(&j);
    db_session_free(&j.session);
    blob_store_close(&j.store);
    free(j.holder);
    return EXIT_SUCCESS;
}
