/* Audit rows of what was refused: wrong passwords. What succeeds is recorded by the statement that does it. */
#ifndef API_REFUSALS_H
#define API_REFUSALS_H

struct http_request;

/*
 * kind: "user" or "admin"; name: the account's as it was given, NULL when there is none (then what was typed is not
 * kept: it may be a password in the wrong field); action like "pair.refused". Nobody waits for the row.
 */
void refusals_record(struct http_request *request, const char *kind, const char *name, const char *action);

#endif
