/* utf8: checks of text from outside. Stateless; every process and thread. */
#include "core/utf8.h"

#include <stdint.h>
#include <string.h>

/*
 * The table of well-formed sequences (Unicode 15, table 3-7; RFC 3629, section 4): what the second byte may be depends
 * on the first, which rules out overlong forms, surrogates and what lies above U+10FFFF; further bytes are 80 to BF.
 */
size_t utf8_sequence(const char *s, size_t len)
{
    const unsigned char *b = (const unsigned char *)s;
    if (!len || (b[0] >= 0x80 && b[0] < 0xc2) || b[0] > 0xf4)
        return 0;
    if (b[0] < 0x80)
        return 1;
    size_t size = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    if (len < size)
        return 0;
    unsigned char least = b[0] == 0xe0 ? 0xa0 : b[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char most = b[0] == 0xed ? 0x9f : b[0] == 0xf4 ? 0x8f : 0xbf;
    if (b[1] < least || b[1] > most)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

/* Number of ASCII bytes at s, a multiple of eight; most text is nothing else. */
static size_t ascii_run(const char *s, size_t len)
{
    size_t i = 0;
    uint64_t word;
    for (; len - i >= sizeof(word); i += sizeof(word)) {
        memcpy(&word, s + i, sizeof(word));
        if (word & 0x8080808080808080)
            break;
    }
    return i;
}

bool utf8_valid(const char *s, size_t len)
{
    for (size_t i = 0; i < len;) {
        i += ascii_run(s + i, len - i);
        if (i == len)
            break;
        size_t size = utf8_sequence(s + i, len - i);
        if (!size)
            return false;
        i += size;
    }
    return true;
}

bool utf8_storable(const char *s, size_t len)
{
    return (!len || !memchr(s, '\0', len)) && utf8_valid(s, len);
}
