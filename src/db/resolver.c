/*
 * db_resolver: see the header. In workers; used by db/pool.c at each round of connecting, so that a name that points
 * elsewhere after a failover is followed.
 */
#include "db/resolver.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"

/* What thread and resolver share. Until `done` only the thread touches found and error; the eventfd wakes the loop. */
struct lookup {
    atomic_int owners;
    atomic_bool done;
    int done_fd;
    struct db_endpoints *written; /* a copy of its own */
    struct db_endpoints *found;
    struct strbuf error;
};

struct db_resolver {
    h2o_loop_t *loop;
    const struct db_endpoints *written;
    db_resolver_cb cb;
    void *arg;
    struct lookup *lookup; /* the one that runs */
    h2o_socket_t *done;
};

static void resolve_name(struct db_endpoints *found, const struct db_endpoint *name, struct strbuf *error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    int failed = getaddrinfo(name->host, NULL, &hints, &list);
    if (failed != 0) {
        strbuf_error(error, "%scannot look up host '%s': %s", error->len > 0 ? "; " : "", name->host,
                     failed == EAI_SYSTEM ? strerror(errno) : gai_strerror(failed));
        return;
    }
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        char address[NI_MAXHOST];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof(address), NULL, 0, NI_NUMERICHOST) == 0)
            db_endpoints_add(found, name->host, address, name->port);
    }
    freeaddrinfo(list);
}

struct db_endpoints *db_resolve(const struct db_endpoints *written, struct strbuf *error)
{
    struct db_endpoints *found = db_endpoints_new();
    for (size_t i = 0; i < written->count; i++) {
        const struct db_endpoint *item = &written->items[i];
        if (db_endpoint_is_name(item))
            resolve_name(found, item, error);
        else
            db_endpoints_add(found, item->host, item->hostaddr, item->port);
    }
    if (found->count == 0)
        db_endpoints_drop(&found);
    return found;
}

static struct lookup *lookup_new(const struct db_endpoints *written)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return NULL;
    struct lookup *l = mem_zalloc(sizeof(*l));
    l->done_fd = fd;
    atomic_init(&l->owners, 2);
    atomic_init(&l->done, false);
    strbuf_init(&l->error);
    l->written = db_endpoints_new();
    for (size_t i = 0; i < written->count; i++)
        db_endpoints_add(l->written, written->items[i].host, written->items[i].hostaddr, written->items[i].port);
    return l;
}

static void lookup_release(struct lookup *l)
{
    if (atomic_fetch_sub(&l->owners, 1) > 1)
        return;
    close(l->done_fd);
    db_endpoints_drop(&l->written);
    db_endpoints_drop(&l->found);
    strbuf_release(&l->error);
    free(l);
}

/* No thread was started for it. */
static void lookup_abandon(struct lookup *l)
{
    atomic_store(&l->owners, 1);
    lookup_release(l);
}

static void *lookup_run(void *arg)
{
    struct lookup *l = arg;
    l->found = db_resolve(l->written, &l->error);
    atomic_store(&l->done, true);
    uint64_t one = 1;
    if (write(l->done_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
        log_error("cannot report a host name look-up: %s", strerror(errno));
    lookup_release(l);
    return NULL;
}

/* Lets go of the look-up; one that still runs ends unheard. */
static void resolver_forget(struct db_resolver *r)
{
    if (r->done != NULL)
        h2o_socket_close(r->done);
    r->done = NULL;
    if (r->lookup != NULL)
        lookup_release(r->lookup);
    r->lookup = NULL;
}

static void resolver_on_done(h2o_socket_t *sock, const char *failure)
{
    struct db_resolver *r = sock->data;
    (void)failure;
    struct lookup *l = r->lookup;
    if (!atomic_load(&l->done))
        return;
    struct db_endpoints *found = l->found;
    l->found = NULL;
    char *error = strbuf_detach(&l->error);
    resolver_forget(r);
    r->cb(r->arg, found, error);
    free(error);
}

struct db_resolver *db_resolver_new(h2o_loop_t *loop, const struct db_endpoints *written, db_resolver_cb cb, void *arg)
{
    bool names = false;
    for (size_t i = 0; i < written->count; i++)
        names = names || db_endpoint_is_name(&written->items[i]);
    if (!names)
        return NULL;
    struct db_resolver *r = mem_zalloc(sizeof(*r));
    r->loop = loop;
    r->written = written;
    r->cb = cb;
    r->arg = arg;
    return r;
}

void db_resolver_free(struct db_resolver **resolver)
{
    struct db_resolver *r = *resolver;
    *resolver = NULL;
    if (r == NULL)
        return;
    resolver_forget(r);
    free(r);
}

/* Without a descriptor or a thread nothing is reported: the caller gives up waiting and starts again. */
void db_resolver_start(struct db_resolver *resolver)
{
    if (resolver->lookup != NULL)
        return;
    struct lookup *l = lookup_new(resolver->written);
    int fd = l == NULL ? -1 : fcntl(l->done_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        log_error("cannot look up the database's host name: %s", strerror(errno));
        if (l != NULL)
            lookup_abandon(l);
        return;
    }
    int failed = thread_start(NULL, lookup_run, l, NULL);
    if (failed != 0) {
        log_error("cannot start a thread to look up the database's host name: %s", strerror(failed));
        close(fd);
        lookup_abandon(l);
        return;
    }
    resolver->lookup = l;
    resolver->done = h2o_evloop_socket_create(resolver->loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    resolver->done->data = resolver;
    h2o_socket_read_start(resolver->done, resolver_on_done);
}
