/* Encodings of MIME: words in headers (RFC 2047), quoted-printable (RFC 2045). Pure functions. */
#ifndef MAIL_ENCODING_H
#define MAIL_ENCODING_H

#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"
#include "core/strbuf.h"

#define ENCODING_WORD_MAX 75  /* bytes of an encoded word (RFC 2047, section 2) */
#define ENCODING_LINE_MAX 76  /* bytes of a header line that has one, and of a quoted-printable line */
#define ENCODING_7BIT_MAX 998 /* bytes of any line (RFC 5322, 2.1.1) */

/*
 * Appends a header's text as one line, or as several that are folded. Plain when it is short printable ASCII, else
 * encoded words, split between characters. Control characters and broken UTF-8 become spaces or "?" first. `used` are
 * the bytes that stand in the line already ("Subject: ").
 */
void encoding_header(const char *text, size_t used, struct strbuf *out);
/* The same for a name before an address: a quoted string (RFC 5322, 3.2.4) where that is enough. */
void encoding_phrase(const char *text, size_t used, struct strbuf *out);
/* Can the text go as it is: ASCII without control characters but LF and TAB, no line too long? */
bool encoding_is_7bit(const char *text, size_t len) WARN_UNUSED;
/* Appends the text, whose lines end in LF, with CRLF. */
void encoding_crlf(const char *text, size_t len, struct strbuf *out);
/* … as quoted-printable. */
void encoding_quoted_printable(const char *text, size_t len, struct strbuf *out);

/*
 * Appends text of outside for a line of an e-mail or log: control characters (C0, C1, line and paragraph separators)
 * become spaces, broken UTF-8 "?", marks that turn the direction of writing go, and what is over `most` bytes is cut
 * off between characters.
 */
void encoding_one_line(const char *text, size_t len, size_t most, struct strbuf *out);

#endif
