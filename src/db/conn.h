/*
 * db_conn: one non-blocking connection of a lane of db/pool.c. It connects, and connects again after a loss, for ever.
 */
#ifndef DB_CONN_H
#define DB_CONN_H

#include <h2o.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/strbuf.h"
#include "db/conninfo.h"
#include "db/statements.h"

struct db_pool_lane;

enum db_conn_state {
    CONN_OFFLINE,    /* no PGconn; tries again at deadline */
    CONN_RESOLVING,  /* waits for the pool's resolver, until deadline */
    CONN_CONNECTING, /* PQconnectPoll, until deadline */
    CONN_IDLE,       /* takes statements */
    CONN_BUSY,       /* statements on `running`; takes more while there are fewer than the lane's depth */
};
#define CONN_STATE_COUNT 5

struct db_conn {
    struct db_pool_lane *lane;
    unsigned index; /* in its lane, for the log */
    enum db_conn_state state;
    PGconn *pg;
    h2o_socket_t *sock; /* on a dup of PQsocket(): both libh2o and libpq close what they have */
    ino_t sock_ino;     /* of the socket that sock watches: libpq may open another one under the same number */

    struct db_endpoints *endpoints; /* of this round of connecting */
    size_t endpoint;                /* where it connects or is connected */
    size_t tried;                   /* endpoints of this round */
    uint64_t deadline;
    uint64_t pause; /* milliseconds before the next round */
    uint64_t connected_at;
    bool was_connected;

    h2o_linklist_t running; /* struct db_query.link, in the order of sending */
    unsigned running_count;
    uint64_t head_since;       /* when the first of them had PostgreSQL for itself */
    bool prepared[STMT_COUNT]; /* Parse was sent */
    bool failed;               /* found broken while something else was done; the tick ends it */
    const char
        *retire; /* why it takes no more statements and is replaced when those it has are done; NULL: it is not */
    struct strbuf notice; /* last FATAL message that came outside of a statement */
};

void conn_init(struct db_conn *conn, struct db_pool_lane *lane, unsigned index);
/* Closes for good; fails what runs. */
void conn_release(struct db_conn *conn);
/* Looks at the deadlines. */
void conn_tick(struct db_conn *conn, uint64_t now);
/* The resolver has found something, or not (then reason says why). */
void conn_on_resolved(struct db_conn *conn, const char *reason);
/* Tries again at once instead of waiting for the end of the pause. */
void conn_hurry(struct db_conn *conn, uint64_t now);
/* Closes and connects again; what runs ends with DB_UNKNOWN, reads with DB_UNAVAILABLE. Only from events and the tick.
 */
void conn_lost(struct db_conn *conn, const char *reason);
/* The same when nothing runs, or as soon as that is so. reason: a literal. */
void conn_retire(struct db_conn *conn, const char *reason);
bool conn_usable(const struct db_conn *conn);
/* May it be given one more statement? */
bool conn_free(const struct db_conn *conn);
void conn_set_busy(struct db_conn *conn, bool busy);
/* Waits until the socket takes more bytes if libpq could not write all. False when the connection is broken. */
bool conn_flush(struct db_conn *conn);

#endif
