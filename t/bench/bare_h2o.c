/*
 * bare_h2o: the reference of the health benchmark. A single process with nothing but libh2o 2.2.5 that answers every GET with the bytes
 * of a file (its first argument) and the response headers of another (its second: "name: value" lines), so that it sends exactly what the
 * server under test sends. Prints the port that it listens on.
 */
#include <arpa/inet.h>
#include <h2o.h>
#include <h2o/http1.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADERS_MAX 16

static h2o_globalconf_t globalconf;
static h2o_context_t context;
static h2o_accept_ctx_t accept_context;
static h2o_iovec_t body;
static h2o_iovec_t names[HEADERS_MAX], values[HEADERS_MAX];
static size_t header_count;

static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
    static h2o_generator_t generator = {NULL, NULL};

    (void)self;
    req->res.status = 200;
    req->res.reason = "OK";
    req->res.content_length = body.len;
    for (size_t i = 0; i < header_count; i++)
        h2o_add_header_by_str(&req->pool, &req->res.headers, names[i].base, names[i].len, 0, NULL, values[i].base,
                              values[i].len);
    h2o_start_response(req, &generator);
    h2o_send(req, &body, 1, H2O_SEND_STATE_FINAL);
    return 0;
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
    h2o_socket_t *sock;

    if (err != NULL)
        return;
    while ((sock = h2o_evloop_socket_accept(listener)) != NULL)
        h2o_accept(&accept_context, sock);
}

static h2o_iovec_t read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *data = malloc(65536);

    if (file == NULL || data == NULL) {
        perror(path);
        exit(1);
    }
    size_t len = fread(data, 1, 65535, file);
    data[len] = '\0';
    fclose(file);
    return h2o_iovec_init(data, len);
}

static void read_headers(const char *path)
{
    h2o_iovec_t text = read_file(path);

    for (char *line = strtok(text.base, "\r\n"); line != NULL && header_count < HEADERS_MAX; line = strtok(NULL, "\r\n")) {
        char *colon = strchr(line, ':');
        if (colon == NULL)
            continue;
        char *value = colon + 1 + strspn(colon + 1, " ");
        names[header_count] = h2o_iovec_init(line, (size_t)(colon - line));
        values[header_count] = h2o_iovec_init(value, strlen(value));
        header_count++;
    }
}

static int listen_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        perror("listen");
        exit(1);
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: bare_h2o BODY-FILE HEADERS-FILE\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    body = read_file(argv[1]);
    read_headers(argv[2]);

    h2o_config_init(&globalconf);
    globalconf.http1.upgrade_to_http2 = 0;
    globalconf.server_name = h2o_iovec_init(H2O_STRLIT(""));
    h2o_hostconf_t *host = h2o_config_register_host(&globalconf, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_handler_t *handler = h2o_create_handler(&host->fallback_path, sizeof(*handler));
    handler->on_req = on_req;
    h2o_context_init(&context, h2o_evloop_create(), &globalconf);
    accept_context.ctx = &context;
    accept_context.hosts = globalconf.hosts;

    h2o_socket_t *listener = h2o_evloop_socket_create(context.loop, listen_loopback(), H2O_SOCKET_FLAG_DONT_READ);
    h2o_socket_read_start(listener, on_accept);
    while (h2o_evloop_run(context.loop, INT32_MAX) == 0)
        ;
    return 0;
}
