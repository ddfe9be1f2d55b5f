/*
 * reload: in the master.
 */
#include "proc/reload.h"

#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "core/log.h"
#include "core/mem.h"
#include "db/cluster.h"

static void reload_keep_string(const char *option, char **fresh, const char *old)
{
    if (strcmp(*fresh, old) == 0)
        return;
    log_warning("%s changed: that needs a restart; the old value stays until then", option);
    free(*fresh);
    *fresh = mem_strdup(old);
}

/* From one shared database to another is a reload; from or to the private one is not. */
static void reload_keep_database(struct config *fresh, const struct config *old)
{
    if (!*fresh->database_url != !*old->database_url)
        reload_keep_string("database.url", &fresh->database_url, old->database_url);
}

struct config *reload_config(const struct config_flags *flags, const struct config *old, struct strbuf *error)
{
    struct config *fresh = config_load(flags, error);
    if (!fresh)
        return NULL;
    reload_keep_string("server.listen", &fresh->server_listen, old->server_listen);
    reload_keep_string("server.user", &fresh->server_user, old->server_user);
    reload_keep_string("server.pid_file", &fresh->server_pid_file, old->server_pid_file);
    reload_keep_string("postgres.bin_dir", &fresh->postgres_bin_dir, old->postgres_bin_dir);
    reload_keep_database(fresh, old);
    if (db_cluster_wanted(fresh) && db_cluster_connections(fresh) > db_cluster_connections(old))
        log_warning(
            "more workers or connections than before: the private PostgreSQL takes as many only after a restart");
    if (fresh->postgres_shared_buffers != old->postgres_shared_buffers)
        log_warning("postgres.shared_buffers changed: that needs a restart; the old value stays until then");
    fresh->postgres_shared_buffers = old->postgres_shared_buffers;
    return fresh;
}
