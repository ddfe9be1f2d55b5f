/*
 * Client addresses behind proxies, in a worker. Called by http/server.c (the list, once) and http/connection.c,
 * http/request_input.c (each request that came over a trusted peer).
 */
#include "http/trusted.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

struct network {
    struct trusted_address address;
    unsigned bits;
};

struct trusted {
    struct network *networks;
    size_t count;
};

static const unsigned char mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

struct trusted *trusted_new(void)
{
    return mem_zalloc(sizeof(struct trusted));
}

void trusted_free(struct trusted **trusted)
{
    if (*trusted == NULL)
        return;
    free((*trusted)->networks);
    free(*trusted);
    *trusted = NULL;
}

static void from_ipv4(const void *four, struct trusted_address *address_r)
{
    memcpy(address_r->bytes, mapped_prefix, sizeof(mapped_prefix));
    memcpy(address_r->bytes + 12, four, 4);
}

/* The bare address, zero-terminated. */
static bool parse(const char *s, struct trusted_address *address_r, bool *ipv4_r)
{
    struct in_addr four;
    *ipv4_r = inet_pton(AF_INET, s, &four) == 1;
    if (*ipv4_r) {
        from_ipv4(&four, address_r);
        return true;
    }
    return inet_pton(AF_INET6, s, address_r->bytes) == 1;
}

static bool parse_bits(const char *s, unsigned most, unsigned *bits_r)
{
    unsigned bits = 0;
    size_t digits = strspn(s, "0123456789");
    if (digits == 0 || digits > 3 || s[digits] != '\0')
        return false;
    for (size_t i = 0; i < digits; ++i)
        bits = bits * 10 + (unsigned)(s[i] - '0');
    *bits_r = bits;
    return bits <= most;
}

bool trusted_add(struct trusted *trusted, const char *network, struct strbuf *error)
{
    char host[TRUSTED_ADDRESS_SIZE];
    const char *slash = strchr(network, '/');
    size_t len = slash != NULL ? (size_t)(slash - network) : strlen(network);
    struct network n = {.bits = 128};
    bool ipv4 = false;
    bool good = len < sizeof(host);
    if (good) {
        memcpy(host, network, len);
        host[len] = '\0';
        good = parse(host, &n.address, &ipv4);
    }
    if (good && slash != NULL) {
        good = parse_bits(slash + 1, ipv4 ? 32 : 128, &n.bits);
        n.bits += ipv4 ? 96 : 0;
    }
    if (!good)
        return strbuf_error(error, "'%s' is no address or network; write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32",
                            network);
    trusted->networks = mem_realloc(trusted->networks, (trusted->count + 1) * sizeof(n));
    trusted->networks[trusted->count++] = n;
    return true;
}

static bool network_contains(const struct network *network, const struct trusted_address *address)
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    if (memcmp(network->address.bytes, address->bytes, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    unsigned char mask = (unsigned char)(0xff << (8 - rest));
    return ((network->address.bytes[whole] ^ address->bytes[whole]) & mask) == 0;
}

bool trusted_contains(const struct trusted *trusted, const struct trusted_address *address)
{
    for (size_t i = 0; i < trusted->count; ++i)
        if (network_contains(&trusted->networks[i], address))
            return true;
    return false;
}

bool trusted_from_sockaddr(const struct sockaddr *sa, struct trusted_address *address_r)
{
    if (sa->sa_family == AF_INET) {
        from_ipv4(&((const struct sockaddr_in *)(const void *)sa)->sin_addr, address_r);
        return true;
    }
    if (sa->sa_family != AF_INET6)
        return false;
    memcpy(address_r->bytes, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
    return true;
}

/* Cuts ":port" and brackets off; a bare IPv6 address has more than one colon and no port. */
static bool cut_port(const char **s, size_t *len)
{
    if (*len > 0 && **s == '[') {
        const char *close = memchr(*s, ']', *len);
        if (close == NULL || (close + 1 != *s + *len && close[1] != ':'))
            return false;
        ++*s;
        *len = (size_t)(close - *s);
        return true;
    }
    const char *colon = memchr(*s, ':', *len);
    if (colon != NULL && memchr(colon + 1, ':', *len - (size_t)(colon + 1 - *s)) == NULL)
        *len = (size_t)(colon - *s);
    return true;
}

bool trusted_from_text(const char *s, size_t len, struct trusted_address *address_r)
{
    char host[TRUSTED_ADDRESS_SIZE];
    bool ipv4;
    if (!cut_port(&s, &len) || len == 0 || len >= sizeof(host) || memchr(s, '\0', len) != NULL)
        return false;
    memcpy(host, s, len);
    host[len] = '\0';
    return parse(host, address_r, &ipv4);
}

void trusted_format(const struct trusted_address *address, char out_r[TRUSTED_ADDRESS_SIZE])
{
    const char *text;
    if (memcmp(address->bytes, mapped_prefix, sizeof(mapped_prefix)) == 0)
        text = inet_ntop(AF_INET, address->bytes + 12, out_r, TRUSTED_ADDRESS_SIZE);
    else
        text = inet_ntop(AF_INET6, address->bytes, out_r, TRUSTED_ADDRESS_SIZE);
    if (text == NULL)
        out_r[0] = '\0';
}

void trusted_walk(const struct trusted *trusted, const char *forwarded_for, size_t len, struct trusted_address *address)
{
    while (len > 0 && trusted_contains(trusted, address)) {
        const char *comma = memrchr(forwarded_for, ',', len);
        const char *entry = comma != NULL ? comma + 1 : forwarded_for;
        size_t entry_len = len - (size_t)(entry - forwarded_for);
        len = comma != NULL ? (size_t)(comma - forwarded_for) : 0;
        while (entry_len > 0 && (*entry == ' ' || *entry == '\t')) {
            ++entry;
            --entry_len;
        }
        while (entry_len > 0 && (entry[entry_len - 1] == ' ' || entry[entry_len - 1] == '\t'))
            --entry_len;
        struct trusted_address next;
        if (!trusted_from_text(entry, entry_len, &next))
            return;
        *address = next;
    }
}
