/* The rules for names, e-mail addresses and passwords. Called by the handlers that make accounts and by the command
 * line. */
#include "auth/accounts.h"

#include <stdbool.h>
#include <string.h>

#include "auth/passwords.h"
#include "core/utf8.h"

/*
 * What nobody sees but turns a text around or breaks its line, so that one name passes for another or for what stands
 * around it: U+200B, the marks of direction U+200E to U+200F, U+2028 to U+202E and U+2066 to U+2069, U+2060, U+FEFF.
 * Not the joiners U+200C and U+200D, which some scripts need. s has three bytes.
 */
static bool is_invisible(const char *s)
{
    unsigned char last = (unsigned char)s[2];
    if (memcmp(s, "\xe2\x80", 2) == 0)
        return last == 0x8b || last == 0x8e || last == 0x8f || (last >= 0xa8 && last <= 0xae);
    if (memcmp(s, "\xe2\x81", 2) == 0)
        return last == 0xa0 || (last >= 0xa6 && last <= 0xa9);
    return memcmp(s, "\xef\xbb\xbf", 3) == 0;
}

/* C0 controls and DEL, the C1 controls as UTF-8, and what acts like them. */
static bool has_control(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c < 0x20 || c == 0x7f)
            return true;
        if (c == 0xc2 && i + 1 < len && (unsigned char)s[i + 1] < 0xa0)
            return true;
        if (i + 2 < len && is_invisible(s + i))
            return true;
    }
    return false;
}

/* The length of the blank that s begins with; 0 for anything else. Space, no-break space, U+2000 to U+200B, U+3000,
 * U+FEFF. */
static size_t blank_length(const char *s, size_t len)
{
    if (len >= 1 && s[0] == ' ')
        return 1;
    if (len >= 2 && memcmp(s, "\xc2\xa0", 2) == 0)
        return 2;
    if (len >= 3 && memcmp(s, "\xe2\x80", 2) == 0 && (unsigned char)s[2] <= 0x8b)
        return 3;
    if (len >= 3 && (memcmp(s, "\xe3\x80\x80", 3) == 0 || memcmp(s, "\xef\xbb\xbf", 3) == 0))
        return 3;
    return 0;
}

static bool blank_at_an_end(const char *s, size_t len)
{
    if (blank_length(s, len) > 0)
        return true;
    for (size_t n = 1; n <= 3 && n <= len; n++) {
        if (blank_length(s + len - n, n) == n)
            return true;
    }
    return false;
}

static bool has_blank(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (blank_length(s + i, len - i) > 0)
            return true;
    }
    return false;
}

const char *accounts_name_fault(const char *name, size_t len)
{
    if (len == 0)
        return "username is required";
    if (len > ACCOUNTS_NAME_MAX)
        return "username is longer than 64 bytes";
    if (!utf8_storable(name, len) || has_control(name, len))
        return "username holds characters that are not allowed";
    if (memchr(name, '@', len) != NULL)
        return "username may not hold '@'";
    if (blank_at_an_end(name, len))
        return "username may not begin or end with a blank";
    return NULL;
}

/* No quoting, nothing that has a meaning in an address list or an SMTP command. */
static bool local_part_ok(const char *s, size_t len)
{
    if (len == 0 || len > 64 || s[0] == '.' || s[len - 1] == '.')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (strchr("()<>[]:;@\\,\"", s[i]) != NULL || (s[i] == '.' && s[i - 1] == '.'))
            return false;
    }
    return true;
}

static bool domain_ok(const char *s, size_t len)
{
    size_t label = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80;
        if (c == '.') {
            if (label == 0 || s[i - 1] == '-')
                return false;
            label = 0;
        } else if (letter || (c == '-' && label > 0)) {
            if (++label > 63)
                return false;
        } else {
            return false;
        }
    }
    return label > 0 && s[len - 1] != '-';
}

const char *accounts_email_fault(const char *email, size_t len)
{
    if (len == 0)
        return "email is required";
    if (len > ACCOUNTS_EMAIL_MAX)
        return "email is longer than 254 bytes";
    const char *at = memrchr(email, '@', len);
    if (at == NULL || !utf8_storable(email, len) || has_control(email, len) || has_blank(email, len) ||
        !local_part_ok(email, (size_t)(at - email)) || !domain_ok(at + 1, len - (size_t)(at - email) - 1))
        return "email is not an address";
    return NULL;
}

const char *accounts_password_fault(const char *password, size_t len)
{
    if (len < PASSWORDS_MIN)
        return "PASSWORD_TOO_SHORT";
    if (len > PASSWORDS_MAX)
        return "PASSWORD_TOO_LONG";
    if (memchr(password, '\0', len) != NULL)
        return "password may not hold a zero byte";
    return NULL;
}
