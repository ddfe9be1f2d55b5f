/*
 * Admins are entries of config.yml. An admin session is valid while the entry still has the password hash it was made
 * with: the stamp.
 */
#ifndef AUTH_ADMINS_H
#define AUTH_ADMINS_H

#include <stddef.h>

struct config;
struct db_params;

#define ADMINS_STAMP_SIZE 17 /* 16 hexadecimal digits of the SHA-256 of the password hash */

/* The entry's password hash, or NULL. Names compare exactly. */
const char *admins_password_hash(const struct config *config, const char *username);
void admins_stamp(const char *password_hash, char out_r[ADMINS_STAMP_SIZE]);
/* Appends the text[] of "name:stamp" of all admins: parameter $2 of each statement of an admin route. */
void admins_bind(const struct config *config, struct db_params *params);

#endif
