/* db_listener: see the header. In the mailer. */
#include "db/listener.h"

#include <libpq-fe.h>
#include <stdlib.h>

#include "core/mem.h"
#include "db/session.h"

void db_listener_init(struct db_listener *l, struct db_session *session, const char *channel, bool wanted)
{
    *l = (struct db_listener){.session = session, .channel = channel, .wanted = wanted};
}

bool db_listener_connect(struct db_listener *l, bool *fresh_r, struct strbuf *error)
{
    *fresh_r = false;
    if (!db_session_connect(l->session, error))
        return false;
    if (db_session_connects(l->session) == l->connects)
        return true;
    char *listen = mem_printf("LISTEN %s", l->channel);
    bool ok = !l->wanted || db_session_exec(l->session, listen, error);
    free(listen);
    if (ok) {
        l->connects = db_session_connects(l->session);
        *fresh_r = true;
    }
    return ok;
}

bool db_listener_next(struct db_listener *l, struct strbuf *payload_r)
{
    PGconn *pg = db_session_pg(l->session);
    /* a connection that is lost is found out by its next statement */
    if (pg == NULL || !PQconsumeInput(pg))
        return false;
    PGnotify *notify = PQnotifies(pg);
    if (notify == NULL)
        return false;
    strbuf_reset(payload_r);
    strbuf_append_str(payload_r, notify->extra);
    PQfreemem(notify);
    return true;
}
