/* The hash of a new password, made in a worker's hashing threads. */
#ifndef API_PASSWORD_HASH_H
#define API_PASSWORD_HASH_H

struct http_request;

typedef void password_hash_step(struct http_request *request, const char *hash);

/*
 * password: valid as long as the request object (from its JSON or form); hash, too. A full queue is answered with 503,
 * a system that cannot hash with 500.
 */
void password_hash(struct http_request *request, const char *password, password_hash_step *step);

#endif
