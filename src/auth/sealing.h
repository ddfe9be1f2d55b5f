/*
 * sealing: secrets that the server must read again (the SMTP password) are stored encrypted in the database, with a key
 * that only the data directory holds: <data>/secret.key, 32 random bytes, mode 0600. AES-256-GCM (NIST SP 800-38D) with
 * a random nonce of 96 bits; the secret's name is authenticated with it, so that one row's text does not pass as
 * another's. As text: "v1:KEYID:BASE64" of nonce, cipher text and tag; KEYID are 8 hex digits that tell keys apart.
 * Used by workers (settings) and mailer; an open one may be used by several threads.
 */
#ifndef AUTH_SEALING_H
#define AUTH_SEALING_H

#include <stdbool.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct sealing;

#define SEALING_TEXT_MAX 4096 /* bytes of a secret */

/*
 * Reads the key; makes it when there is none, atomically: of several processes that make it at once one wins, and the
 * others read its key. False with a reason that names the file.
 */
bool sealing_open(struct sealing **sealing_r, const char *data_dir, struct strbuf *error) WARN_UNUSED;
void sealing_free(struct sealing **sealing);
/* Appends the sealed text to out. False when text is longer than SEALING_TEXT_MAX. */
bool sealing_seal(const struct sealing *sealing, const char *name, const char *text, struct strbuf *out,
                  struct strbuf *error) WARN_UNUSED;
/*
 * Appends the secret to out, which the caller wipes. False when it was sealed with another key (the reason says which
 * file to copy from the other host), under another name, or was changed.
 */
bool sealing_unseal(const struct sealing *sealing, const char *name, const char *sealed, struct strbuf *out,
                    struct strbuf *error) WARN_UNUSED;

#endif
