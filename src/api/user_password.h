/*
 * Asks for the password again before a person's session changes something that matters: counts the attempt (class
 * login), checks the password in a thread, then goes on. Whoever finds an open session or steals one cannot take the
 * account over.
 */
#ifndef API_USER_PASSWORD_H
#define API_USER_PASSWORD_H

#include "http/json_fields.h"

struct http_request;

/* hash: the one that was right; the statement that makes the change looks under lock whether it still is. */
typedef void user_password_step(struct http_request *request, const char *hash);

/* The first member of what a handler of such a change keeps (http_request_set_data). */
struct user_password {
    struct json_text given; /* by the handler: the field `password` */
    const char *refused;    /* by the handler: the audit log's word for a wrong password */
    const char *hash;
    user_password_step *step;
};

/*
 * Exactly one call, as http_request_query(); http_request_data() is the struct or begins with it. Answers 400 without
 * a password, 429, 403 for a wrong one, 503.
 */
void user_password_ask(struct http_request *request, user_password_step *step);
/* 403, also for a password that was changed after it was checked. */
void user_password_refuse(struct http_request *request);

#endif
