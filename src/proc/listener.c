/*
 * listener: called by the master at its start, while it is still root if it ever was.
 */
#include "proc/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/log.h"

/* The kernel cuts it to net.core.somaxconn. */
#define LISTENER_BACKLOG 4096

static bool listener_resolve(const char *address, struct sockaddr_storage *sa_r, socklen_t *len_r, struct strbuf *error)
{
    char host[64], port_text[8];
    unsigned port;
    if (!config_split_listen(address, host, &port))
        return strbuf_error(error, "'%s' is no address:port to listen on", address);
    snprintf(port_text, sizeof(port_text), "%u", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    int rc = getaddrinfo(*host ? host : NULL, port_text, &hints, &found);
    if (rc != 0)
        return strbuf_error(error, "cannot listen on '%s': %s", address, gai_strerror(rc));
    memcpy(sa_r, found->ai_addr, found->ai_addrlen);
    *len_r = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static int listener_try(const struct sockaddr_storage *sa, socklen_t len)
{
    int on = 1;
    int fd = socket(sa->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        bind(fd, (const struct sockaddr *)sa, len) == 0 && listen(fd, LISTENER_BACKLOG) == 0)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

static void listener_explain(const char *address, int reason, struct strbuf *error)
{
    const char *advice = "";
    if (reason == EADDRINUSE)
        advice = "; another program uses that port: stop it, or choose another port with --port";
    else if (reason == EACCES)
        advice = "; only root may listen on a port below 1024: choose another with --port";
    else if (reason == EADDRNOTAVAIL)
        advice = "; this machine has no such address";
    strbuf_error(error, "cannot listen on %s: %s%s", address, strerror(reason), advice);
}

int listener_open(const char *address, unsigned wait_ms, struct strbuf *error)
{
    struct sockaddr_storage sa = {.ss_family = AF_UNSPEC};
    socklen_t len = 0;
    if (!listener_resolve(address, &sa, &len, error))
        return -1;
    uint64_t deadline = clock_mono_ms() + wait_ms;
    bool told = false;
    for (;;) {
        int fd = listener_try(&sa, len);
        if (fd >= 0)
            return fd;
        if (errno != EADDRINUSE || clock_mono_ms() >= deadline)
            break;
        if (!told)
            log_info("%s is in use; trying for %u s", address, wait_ms / 1000);
        told = true;
        usleep(50000);
    }
    listener_explain(address, errno, error);
    return -1;
}

void listener_name(int fd, char name_r[LISTENER_NAME_SIZE])
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    char host[INET6_ADDRSTRLEN + 20], port[8];
    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0 ||
        getnameinfo((struct sockaddr *)&sa, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(name_r, LISTENER_NAME_SIZE, "an unknown address");
    else
        snprintf(name_r, LISTENER_NAME_SIZE, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}
