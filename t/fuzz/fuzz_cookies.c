/*
 * Values of headers that anybody can send: Cookie (http/cookies.h), X-Forwarded-For (http/trusted.h), a query string
 * (http/urlencoded.h); all three read the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"
#include "http/cookies.h"
#include "http/trusted.h"
#include "http/urlencoded.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void cookies(const char *header, size_t len)
{
    const char *value;
    size_t value_len;
    if (!cookies_find(header, len, COOKIES_USER_SESSION, &value, &value_len))
        return;
    require(value >= header && value + value_len <= header + len);
    require(memchr(value, ';', value_len) == NULL);
    require(memmem(header, (size_t)(value - header), COOKIES_USER_SESSION, strlen(COOKIES_USER_SESSION)) != NULL);
}

static void query(const char *string, size_t len)
{
    const char *name, *value, *end = string + len;
    size_t name_len, value_len, decoded_len;
    while (urlencoded_next(&string, &len, &name, &name_len, &value, &value_len)) {
        require(name + name_len <= value && value + value_len <= end && string <= end);
        char *decoded = malloc(value_len + 1);
        if (urlencoded_decode(value, value_len, decoded, &decoded_len))
            require(decoded_len <= value_len && decoded[decoded_len] == '\0' && utf8_storable(decoded, decoded_len));
        free(decoded);
    }
    require(len == 0);
}

static void forwarded(const char *header, size_t len)
{
    struct trusted *trusted = trusted_new();
    struct trusted_address address, again;
    char text[TRUSTED_ADDRESS_SIZE];
    require(trusted_add(trusted, "10.0.0.0/8", NULL) && trusted_from_text("10.0.0.1", 8, &address));
    trusted_walk(trusted, header, len, &address);
    trusted_format(&address, text);
    require(trusted_from_text(text, strlen(text), &again) && memcmp(&address, &again, sizeof(address)) == 0);
    trusted_free(&trusted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = malloc(size > 0 ? size : 1); /* of its own, so that a byte read behind it is seen */
    if (size > 0)
        memcpy(bytes, data, size);
    cookies(bytes, size);
    query(bytes, size);
    forwarded(bytes, size);
    free(bytes);
    return 0;
}
