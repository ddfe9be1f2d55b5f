/* Hashes a new password in a thread and goes on with the hash. Runs in workers; called by every handler that sets one.
 */
#include "api/password_hash.h"

#include <stdbool.h>

#include "auth/passwords.h"
#include "core/config.h"
#include "http/reply.h"
#include "http/request.h"

struct hashing {
    const char *password;
    int cost;
    bool done;
    char hash[PASSWORDS_HASH_SIZE];
    password_hash_step *step;
};

static void hashing_run(void *data)
{
    struct hashing *hashing = data;
    hashing->done = passwords_hash(hashing->password, hashing->cost, hashing->hash);
}

static void hashing_done(struct http_request *request, void *data)
{
    const struct hashing *hashing = data;
    if (hashing->done)
        hashing->step(request, hashing->hash);
    else
        reply_internal(request, "cannot hash a password: libcrypt does not make bcrypt hashes of cost %d",
                       hashing->cost);
}

void password_hash(struct http_request *request, const char *password, password_hash_step *step)
{
    struct hashing *hashing = http_request_alloc(request, sizeof(*hashing));
    hashing->password = password;
    hashing->cost = (int)http_request_config(request)->password_cost;
    hashing->step = step;
    http_request_work(request, http_request_context(request)->hashing, hashing, hashing_run, hashing_done);
}
