/*
 * db_listener: NOTIFY for a process that waits with poll(). Belongs to a db_session and goes with its connections:
 * LISTEN is sent again after each reconnect. A notification may be lost with a connection, and with PgBouncer in
 * transaction mode none arrives: whoever listens also looks by itself now and then.
 */
#ifndef DB_LISTENER_H
#define DB_LISTENER_H

#include <stdbool.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct db_session;

struct db_listener {
    struct db_session *session; /* borrowed */
    const char *channel;        /* of our own: goes into SQL as it is */
    bool wanted;                /* false: connects, but does not LISTEN */
    unsigned connects;          /* db_session_connects() when LISTEN was sent */
};

void db_listener_init(struct db_listener *l, struct db_session *session, const char *channel, bool wanted);
/* Connects if need be. *fresh_r: the connection is a new one, on which something may have been missed. */
bool db_listener_connect(struct db_listener *l, bool *fresh_r, struct strbuf *error) WARN_UNUSED;
/* Takes the next notification that has arrived: payload_r gets its text. False when there is none. */
bool db_listener_next(struct db_listener *l, struct strbuf *payload_r) WARN_UNUSED;

#endif
