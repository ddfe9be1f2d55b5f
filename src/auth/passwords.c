/*
 * bcrypt by libcrypt's crypt_r(3). Runs in a worker's hashing threads and in the command line. The 32 KiB of struct
 * crypt_data are taken from the heap for each call and wiped afterwards: they hold the password's key schedule.
 */
#include "auth/passwords.h"

#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/digest.h"
#include "core/mem.h"

#define BCRYPT_LENGTH 60
#define BCRYPT_MIN_COST 4
#define BCRYPT_MAX_COST 31
#define BCRYPT_SALT_END 29 /* "$2b$12$" and 22 characters of salt */

/* crypt_r into out_r; false when libcrypt refuses. */
static bool bcrypt(const char *password, const char *setting, char out_r[PASSWORDS_HASH_SIZE])
{
    struct crypt_data *data = mem_zalloc(sizeof(*data));
    const char *hash = crypt_r(password, setting, data);
    bool done = hash != NULL && strlen(hash) == BCRYPT_LENGTH;
    if (done)
        memcpy(out_r, hash, BCRYPT_LENGTH + 1);
    mem_wipe(data, sizeof(*data));
    free(data);
    return done;
}

bool passwords_hash(const char *password, int cost, char out_r[PASSWORDS_HASH_SIZE])
{
    char setting[PASSWORDS_HASH_SIZE];
    if (crypt_gensalt_rn("$2b$", (unsigned long)cost, NULL, 0, setting, sizeof(setting)) == NULL)
        return false;
    return bcrypt(password, setting, out_r);
}

/* The cost of a bcrypt hash, or 0 when it is none that we verify. */
static int bcrypt_cost(const char *hash)
{
    if (hash == NULL || strlen(hash) != BCRYPT_LENGTH || hash[0] != '$' || hash[1] != '2' ||
        strchr("aby", hash[2]) == NULL || hash[3] != '$' || hash[6] != '$')
        return 0;
    if (hash[4] < '0' || hash[4] > '9' || hash[5] < '0' || hash[5] > '9')
        return 0;
    int cost = (hash[4] - '0') * 10 + (hash[5] - '0');
    return cost >= BCRYPT_MIN_COST && cost <= BCRYPT_MAX_COST ? cost : 0;
}

/* Takes as long as a check at this cost. */
static void bcrypt_idle(int cost)
{
    char setting[PASSWORDS_HASH_SIZE], ignored[PASSWORDS_HASH_SIZE];
    snprintf(setting, sizeof(setting), "$2b$%02d$abcdefghijklmnopqrstuu", cost);
    (void)bcrypt("", setting, ignored);
}

bool passwords_verify(const char *password, const char *hash, int cost)
{
    char computed[PASSWORDS_HASH_SIZE];
    int own = strlen(password) <= PASSWORDS_MAX ? bcrypt_cost(hash) : 0;
    if (own == 0) {
        bcrypt_idle(cost);
        return false;
    }
    if (bcrypt(password, hash, computed) && digest_equal(computed, hash, BCRYPT_LENGTH))
        return true;
    /*
     * An account whose hash is cheaper (from another installation) must not answer sooner than one that does not exist:
     * costs c, c, c+1, …, n-1 together are the work of cost n.
     */
    for (; own < cost; own++)
        bcrypt_idle(own);
    return false;
}

void passwords_random(char out_r[PASSWORDS_RANDOM_LENGTH + 1])
{
    static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* 32: no bias by the modulo */
    unsigned char random[PASSWORDS_RANDOM_LENGTH];
    digest_random(random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++)
        out_r[i] = letters[random[i] % (sizeof(letters) - 1)];
    out_r[PASSWORDS_RANDOM_LENGTH] = '\0';
    mem_wipe(random, sizeof(random));
}
