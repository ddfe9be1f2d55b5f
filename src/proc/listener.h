/*
 * listener: the one listening TCP socket, opened by the master and inherited by the workers.
 */
#ifndef PROC_LISTENER_H
#define PROC_LISTENER_H

#include <stdint.h>

#include "core/compiler.h"
#include "core/strbuf.h"

#define LISTENER_NAME_SIZE 80

/*
 * Binds and listens on "address:port" (non-blocking, close on exec). An address in use is tried again for wait_ms:
 * workers of a server that was killed leave within moments. -1 with the reason.
 */
int listener_open(const char *address, unsigned wait_ms, struct strbuf *error) WARN_UNUSED;
/* "127.0.0.1:47732", "[::1]:47732": where it listens really. */
void listener_name(int fd, char name_r[LISTENER_NAME_SIZE]);

#endif
