/*
 * trusted: which peers are proxies whose X-Forwarded-For and X-Forwarded-Proto headers are believed
 * (server.trusted_proxies), and the client's address that follows from them. Pure.
 */
#ifndef HTTP_TRUSTED_H
#define HTTP_TRUSTED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "core/compiler.h"
#include "core/strbuf.h"

/* Room for any textual IPv6 address and a terminating zero. */
#define TRUSTED_ADDRESS_SIZE 46

struct trusted;

/* An address as 16 bytes; IPv4 as ::ffff:a.b.c.d, so that 127.0.0.1 and ::ffff:127.0.0.1 are one. */
struct trusted_address {
    unsigned char bytes[16];
};

struct trusted *trusted_new(void);
void trusted_free(struct trusted **trusted);
/* "10.0.0.0/8", "192.0.2.7", "2001:db8::/32". False with a reason for anything else. */
bool trusted_add(struct trusted *trusted, const char *network, struct strbuf *error) WARN_UNUSED;
bool trusted_contains(const struct trusted *trusted, const struct trusted_address *address) WARN_UNUSED;

bool trusted_from_sockaddr(const struct sockaddr *sa, struct trusted_address *address_r) WARN_UNUSED;
/* "192.0.2.7", "192.0.2.7:5000", "2001:db8::1", "[2001:db8::1]:5000". */
bool trusted_from_text(const char *s, size_t len, struct trusted_address *address_r) WARN_UNUSED;
void trusted_format(const struct trusted_address *address, char out_r[TRUSTED_ADDRESS_SIZE]);

/*
 * The client behind a trusted peer: *address (the peer on entry) becomes the rightmost address of X-Forwarded-For that
 * is no trusted proxy. What stands left of it anybody could have written. An entry that is no address ends the walk at
 * the one before.
 */
void trusted_walk(const struct trusted *trusted, const char *forwarded_for, size_t len,
                  struct trusted_address *address);

#endif
