/*
 * sealing: see the header. Runs in workers (an admin saves or tests SMTP settings) and in the mailer. The key file is
 * made by whoever needs it first.
 */
#include "auth/sealing.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/digest.h"
#include "core/file.h"
#include "core/hex.h"
#include "core/mem.h"

#define SEALING_FILE "secret.key"
#define SEALING_VERSION "v1:"
#define SEALING_KEY 32
#define SEALING_NONCE 12
#define SEALING_TAG 16
#define SEALING_ID 8 /* hex digits */
#define SEALING_PREFIX (sizeof(SEALING_VERSION) - 1 + SEALING_ID + 1)
#define SEALING_BYTES_MAX (SEALING_NONCE + SEALING_TEXT_MAX + SEALING_TAG)
#define SEALING_BASE64_MAX (SEALING_BYTES_MAX / 3 * 4 + 8)

struct sealing {
    char *file; /* for messages */
    unsigned char key[SEALING_KEY];
    char id[SEALING_ID + 1];
};

/* --- the key file --- */

/* The file gets its name only when it is whole and on the disk; whoever comes second finds the first one's. */
static bool sealing_link(int dir, const char *temporary)
{
    unsigned char key[SEALING_KEY];
    int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    digest_random(key, sizeof(key));
    /* the umask may have taken our own rights */
    bool ok = fchmod(fd, 0600) == 0 && file_write_all(fd, key, sizeof(key)) && fsync(fd) == 0;
    mem_wipe(key, sizeof(key));
    int reason = errno;
    close(fd);
    if (ok && linkat(dir, temporary, dir, SEALING_FILE, 0) != 0 && errno != EEXIST) {
        reason = errno;
        ok = false;
    }
    unlinkat(dir, temporary, 0);
    ok = ok && fsync(dir) == 0;
    errno = ok ? 0 : reason;
    return ok;
}

static bool sealing_make(const struct sealing *s, int dir, struct strbuf *error)
{
    unsigned char random[8];
    char digits[2 * sizeof(random) + 1];
    digest_random(random, sizeof(random));
    hex_encode(random, sizeof(random), digits);
    char *temporary = mem_printf("." SEALING_FILE ".%s", digits);
    bool ok = sealing_link(dir, temporary) ||
              strbuf_error(error, "cannot make '%s': %s", s->file, errno ? strerror(errno) : "input/output error");
    free(temporary);
    return ok;
}

/* 1: read, 0: there is none, -1: the reason is in error. */
static int sealing_read(struct sealing *s, int dir, struct strbuf *error)
{
    struct stat st;
    unsigned char more;
    int fd = openat(dir, SEALING_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return 0;
    bool ok = fd >= 0 && fstat(fd, &st) == 0;
    if (!ok)
        strbuf_error(error, "cannot read '%s': %s", s->file, strerror(errno));
    else if (!S_ISREG(st.st_mode) || (st.st_mode & 077))
        ok = strbuf_error(error, "'%s' may be read by others; make it a file of the server's user with mode 0600",
                          s->file);
    else if (read(fd, s->key, SEALING_KEY) != SEALING_KEY || read(fd, &more, 1) != 0)
        ok = strbuf_error(error, "'%s' is no key (32 bytes); restore it, or remove it and set the SMTP password again",
                          s->file);
    if (fd >= 0)
        close(fd);
    return ok ? 1 : -1;
}

static bool sealing_load(struct sealing *s, int dir, struct strbuf *error)
{
    int found = sealing_read(s, dir, error);
    if (!found && sealing_make(s, dir, error))
        found = sealing_read(s, dir, error);
    return found > 0;
}

static void sealing_name_key(struct sealing *s)
{
    unsigned char digest[DIGEST_SIZE];
    char digits[DIGEST_HEX_SIZE];
    digest_hmac(s->key, sizeof(s->key), "key id", 6, digest);
    hex_encode(digest, sizeof(digest), digits);
    memcpy(s->id, digits, SEALING_ID);
}

bool sealing_open(struct sealing **sealing_r, const char *data_dir, struct strbuf *error)
{
    struct sealing *s = mem_zalloc(sizeof(*s));
    s->file = mem_printf("%s/" SEALING_FILE, data_dir);
    int dir = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = dir >= 0 ? sealing_load(s, dir, error)
                       : strbuf_error(error, "cannot open the data directory '%s': %s", data_dir, strerror(errno));
    if (dir >= 0)
        close(dir);
    if (ok)
        sealing_name_key(s);
    else
        sealing_free(&s);
    *sealing_r = s;
    return ok;
}

void sealing_free(struct sealing **sealing)
{
    struct sealing *s = *sealing;
    *sealing = NULL;
    if (!s)
        return;
    mem_wipe(s->key, sizeof(s->key));
    free(s->file);
    free(s);
}

/* --- sealing --- */

/* Our own parameters: a call that fails is a broken library. */
static void sealing_must(int done)
{
    if (done != 1)
        abort();
}

/* Begins a cipher with key and nonce, and takes the name as what is authenticated with the text. */
static EVP_CIPHER_CTX *sealing_cipher(const struct sealing *s, const unsigned char *nonce, const char *name, int seals)
{
    int n;
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    sealing_must(cipher && EVP_CipherInit_ex(cipher, EVP_aes_256_gcm(), NULL, s->key, nonce, seals) == 1);
    sealing_must(EVP_CipherUpdate(cipher, NULL, &n, (const unsigned char *)name, (int)strlen(name)));
    return cipher;
}

bool sealing_seal(const struct sealing *sealing, const char *name, const char *text, struct strbuf *out,
                  struct strbuf *error)
{
    unsigned char bytes[SEALING_BYTES_MAX];
    char base64[SEALING_BASE64_MAX];
    size_t len = strlen(text);
    int n;
    if (len > SEALING_TEXT_MAX)
        return strbuf_error(error, "the text is longer than %d bytes", SEALING_TEXT_MAX);
    digest_random(bytes, SEALING_NONCE);
    EVP_CIPHER_CTX *cipher = sealing_cipher(sealing, bytes, name, 1);
    sealing_must(EVP_CipherUpdate(cipher, bytes + SEALING_NONCE, &n, (const unsigned char *)text, (int)len));
    unsigned char *tag = bytes + SEALING_NONCE + len;
    sealing_must(EVP_CipherFinal_ex(cipher, tag, &n));
    sealing_must(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, SEALING_TAG, tag));
    EVP_CIPHER_CTX_free(cipher);
    EVP_EncodeBlock((unsigned char *)base64, bytes, (int)(SEALING_NONCE + len + SEALING_TAG));
    strbuf_printf(out, SEALING_VERSION "%s:%s", sealing->id, base64);
    return true;
}

/* --- unsealing --- */

/* Base64 to bytes; false when it is none, too long, or not as EVP_EncodeBlock() writes it. */
static bool sealing_decode(const char *base64, unsigned char *bytes_r, size_t *len_r)
{
    char again[SEALING_BASE64_MAX];
    size_t len = strlen(base64);
    size_t padding = len - strcspn(base64, "=");
    if (!len || len % 4 || padding > 2 || len >= sizeof(again))
        return false;
    int n = EVP_DecodeBlock(bytes_r, (const unsigned char *)base64, (int)len);
    if (n < 0 || (size_t)n < padding + SEALING_NONCE + SEALING_TAG)
        return false;
    *len_r = (size_t)n - padding;
    EVP_EncodeBlock((unsigned char *)again, bytes_r, (int)*len_r);
    return *len_r <= SEALING_BYTES_MAX && strcmp(again, base64) == 0;
}

static bool sealing_foreign(const struct sealing *s, const char *sealed, struct strbuf *error)
{
    if (strncmp(sealed, SEALING_VERSION, sizeof(SEALING_VERSION) - 1) != 0 || strlen(sealed) < SEALING_PREFIX)
        return strbuf_error(error, "is not in a form that this version reads");
    return strbuf_error(error,
                        "was sealed with another key (%.8s) than that of '%s' (%s): copy " SEALING_FILE
                        " from the host where it was set, or set it again",
                        sealed + sizeof(SEALING_VERSION) - 1, s->file, s->id);
}

bool sealing_unseal(const struct sealing *sealing, const char *name, const char *sealed, struct strbuf *out,
                    struct strbuf *error)
{
    unsigned char bytes[SEALING_BASE64_MAX], text[SEALING_TEXT_MAX + 16];
    size_t len;
    int n, rest;
    char *prefix = mem_printf(SEALING_VERSION "%s:", sealing->id);
    bool ours = strncmp(sealed, prefix, SEALING_PREFIX) == 0;
    free(prefix);
    if (!ours)
        return sealing_foreign(sealing, sealed, error);
    if (!sealing_decode(sealed + SEALING_PREFIX, bytes, &len))
        return strbuf_error(error, "was changed in the database: set it again");
    size_t text_len = len - SEALING_NONCE - SEALING_TAG;
    EVP_CIPHER_CTX *cipher = sealing_cipher(sealing, bytes, name, 0);
    sealing_must(EVP_CipherUpdate(cipher, text, &n, bytes + SEALING_NONCE, (int)text_len));
    sealing_must(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, SEALING_TAG, bytes + SEALING_NONCE + text_len));
    bool ok = EVP_CipherFinal_ex(cipher, text + n, &rest) == 1;
    EVP_CIPHER_CTX_free(cipher);
    if (ok)
        strbuf_append(out, text, text_len);
    else
        strbuf_error(error, "was changed in the database: set it again");
    mem_wipe(text, sizeof(text));
    return ok;
}
