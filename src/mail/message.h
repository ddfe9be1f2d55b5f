/*
 * message: one e-mail, and how it is written for SMTP: RFC 5322 and MIME, multipart/alternative of plain text and HTML.
 * Header injection is impossible: control characters in addresses and Message-ID are refused, in names and subject they
 * become spaces.
 */
#ifndef MAIL_MESSAGE_H
#define MAIL_MESSAGE_H

#include <stdbool.h>
#include <time.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct message {
    char *id;           /* Message-ID without < > */
    char *from, *to;    /* addresses */
    char *from_name;    /* UTF-8 */
    char *subject;      /* UTF-8, any length */
    char *language;     /* "en" */
    time_t date;        /* 0: now */
    struct strbuf text; /* UTF-8, lines end in LF */
    struct strbuf html; /* UTF-8, lines end in LF; empty: plain text alone */
    char *secret;       /* what must not be shown in logs and answers; may be NULL */
};

void message_init(struct message *message);
void message_release(struct message *message);
/* Can this stand between < and >, as an address or Message-ID? */
bool message_takes_address(const char *text);
/* Appends the message with CRLF line ends. False, with the reason, when an address or the id cannot be written. */
bool message_write(const struct message *message, struct strbuf *out, struct strbuf *error) WARN_UNUSED;

#endif
