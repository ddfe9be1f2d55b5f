/* Audit rows that no statement writes by itself. What changes the database is recorded by the statement that does it.
 */
#ifndef API_AUDIT_H
#define API_AUDIT_H

struct http_request;

/* With the client's address. Nobody waits for the row. No secrets, and nothing that may be one. */
void audit_record(struct http_request *request, const char *actor, const char *action, const char *subject,
                  const char *detail);

#endif
