/* Who may call a route. A route row must name one: zero is none of them. */
#ifndef AUTH_CALLER_H
#define AUTH_CALLER_H

enum caller {
    CALLER_UNSET = 0, /* a row that forgot the column: the table's check refuses it */
    CALLER_ANYONE,    /* no credential; an Authorization header is ignored */
    CALLER_DEVICE,    /* Authorization: Bearer <device token> */
    CALLER_USER,      /* cookie user_session or the same token as bearer */
    CALLER_ADMIN,     /* cookie admin_session */
};

/*
 * First column of every statement on behalf of a device, user or admin: `auth`, int4.
 */
enum auth_verdict {
    AUTH_OK = 0,
    AUTH_UNKNOWN = 1, /* 401 */
    AUTH_REVOKED = 2, /* 401 "device revoked" */
    AUTH_BLOCKED = 3, /* 403 "account blocked" */
};

#endif
