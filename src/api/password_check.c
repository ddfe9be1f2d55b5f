/* Checks a password in a thread and goes on with the answer. Runs in workers; called by every handler that asks for a
 * password. */
#include "api/password_check.h"

#include <string.h>

#include "auth/passwords.h"
#include "core/config.h"
#include "core/work_pool.h"
#include "http/reply.h"
#include "http/request.h"

struct check {
    const char *password;
    const char *hash;
    int cost;
    bool right;
    password_check_step *step;
};

static void check_run(void *data)
{
    struct check *check = data;
    check->right = passwords_verify(check->password, check->hash, check->cost);
}

static void check_done(struct http_request *request, void *data)
{
    struct check *check = data;
    check->step(request, check->right);
}

bool password_check_possible(struct http_request *request)
{
    const struct config *config = http_request_config(request);
    int64_t most = config->password_threads + config->password_queue;
    if (work_pool_depth(http_request_context(request)->hashing) < most)
        return true;
    reply_retry_after(request, ERROR_UNAVAILABLE, 2);
    return false;
}

void password_check(struct http_request *request, const char *password, const char *hash, password_check_step *step)
{
    struct check *check = http_request_alloc(request, sizeof(*check));
    check->password = password;
    check->hash = hash == NULL ? NULL : http_request_strdup(request, hash, strlen(hash));
    check->cost = (int)http_request_config(request)->password_cost;
    check->step = step;
    http_request_work(request, http_request_context(request)->hashing, check, check_run, check_done);
}
