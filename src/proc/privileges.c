/*
 * privileges: called by the master before it forks its first child, and by the command line before it touches the
 * private database.
 */
#include "proc/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool privileges_find(const char *user, struct privileges *privileges_r, struct strbuf *error)
{
    *privileges_r = (struct privileges){.uid = geteuid(), .gid = getegid()};
    if (geteuid() != 0)
        return true;
    errno = 0;
    const struct passwd *entry = getpwnam(user);
    if (!entry && errno && errno != ENOENT && errno != ESRCH)
        return strbuf_error(error, "cannot look up the user '%s': %s", user, strerror(errno));
    if (!entry)
        return strbuf_error(error,
                            "no system user '%s' to run as; create it (adduser --system --group %s) or name another "
                            "with --user",
                            user, user);
    if (entry->pw_uid == 0)
        return strbuf_error(error,
                            "server.user is '%s', but the server and its PostgreSQL must not run as root; "
                            "name an unprivileged user with --user",
                            user);
    *privileges_r = (struct privileges){.drop = true, .uid = entry->pw_uid, .gid = entry->pw_gid};
    snprintf(privileges_r->name, sizeof(privileges_r->name), "%s", user);
    return true;
}

bool privileges_borrow(const struct privileges *privileges, struct strbuf *error)
{
    if (!privileges->drop)
        return true;
    if (initgroups(privileges->name, privileges->gid) == 0 && setegid(privileges->gid) == 0 &&
        seteuid(privileges->uid) == 0)
        return true;
    strbuf_error(error, "cannot work as the user '%s': %s", privileges->name, strerror(errno));
    privileges_return(privileges);
    return false;
}

/* The supplementary groups stay the user's: root needs none. */
void privileges_return(const struct privileges *privileges)
{
    if (privileges->drop && (seteuid(0) < 0 || setegid(0) < 0))
        abort(); /* half a user is a state that nothing here is written for */
}

/* libpq looks there for keys and certificates, and takes root's, which it may not read, for a broken connection. */
static void privileges_set_home(const struct privileges *privileges)
{
    const struct passwd *entry = getpwnam(privileges->name);
    if (!entry)
        return;
    setenv("HOME", entry->pw_dir, 1);
    setenv("USER", privileges->name, 1);
    setenv("LOGNAME", privileges->name, 1);
}

bool privileges_drop(const struct privileges *privileges, struct strbuf *error)
{
    if (!privileges->drop)
        return true;
    privileges_set_home(privileges);
    if (initgroups(privileges->name, privileges->gid) < 0 || setgid(privileges->gid) < 0 || setuid(privileges->uid) < 0)
        return strbuf_error(error, "cannot become the user '%s': %s", privileges->name, strerror(errno));
    if (setuid(0) == 0 || geteuid() == 0)
        return strbuf_error(error, "still root after becoming the user '%s'", privileges->name);
    return true;
}
