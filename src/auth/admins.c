/*
 * The admins of config.yml. Their sessions stand in the database, but whether one is still an admin is decided here:
 * each statement of an admin's route gets the list of names and stamps that count now.
 */
#include "auth/admins.h"

#include <string.h>

#include "core/config.h"
#include "core/digest.h"
#include "core/hex.h"
#include "core/strbuf.h"
#include "db/params.h"

const char *admins_password_hash(const struct config *config, const char *username)
{
    for (size_t i = 0; i < config->admin_count; i++) {
        if (strcmp(config->admins[i].username, username) == 0)
            return config->admins[i].password_hash;
    }
    return NULL;
}

void admins_stamp(const char *password_hash, char out_r[ADMINS_STAMP_SIZE])
{
    unsigned char digest[DIGEST_SIZE];
    digest_sha256(password_hash, strlen(password_hash), digest);
    hex_encode(digest, (ADMINS_STAMP_SIZE - 1) / 2, out_r);
}

void admins_bind(const struct config *config, struct db_params *params)
{
    struct strbuf entry = STRBUF_INIT;
    db_params_array_begin(params, DB_ARRAY_TEXT, config->admin_count);
    for (size_t i = 0; i < config->admin_count; i++) {
        char stamp[ADMINS_STAMP_SIZE];
        admins_stamp(config->admins[i].password_hash, stamp);
        strbuf_reset(&entry);
        strbuf_printf(&entry, "%s:%s", config->admins[i].username, stamp);
        db_params_array_element(params, entry.data, entry.len);
    }
    db_params_array_end(params);
    strbuf_release(&entry);
}
