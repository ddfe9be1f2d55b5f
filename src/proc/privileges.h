/*
 * privileges: the system user that the server becomes when root starts it.
 */
#ifndef PROC_PRIVILEGES_H
#define PROC_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct privileges {
    bool drop; /* false when the process is not root: uid and gid are its own */
    uid_t uid;
    gid_t gid;
    char name[64];
};

/* Looks up `user` (server.user) when this process is root. False: no such user, or it is root itself. */
bool privileges_find(const char *user, struct privileges *privileges_r, struct strbuf *error) WARN_UNUSED;
/* Has the rights of that user, groups included, from here to privileges_return(): for files at paths in which the user
 * may have put a link to somebody else's. Nothing when drop is false. */
bool privileges_borrow(const struct privileges *privileges, struct strbuf *error) WARN_UNUSED;
void privileges_return(const struct privileges *privileges);
/* Becomes that user for good, groups and home directory included. Nothing when drop is false. */
bool privileges_drop(const struct privileges *privileges, struct strbuf *error) WARN_UNUSED;

#endif
