/*
 * smtp_phase: which command of the dialogue was answered, and how: read off the lines that go over a connection
 * (RFC 5321). Pure; fed by libcurl's debug callback.
 */
#ifndef MAIL_SMTP_PHASE_H
#define MAIL_SMTP_PHASE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/strbuf.h"

enum smtp_phase {
    SMTP_PHASE_CONNECT, /* no answer yet, or the greeting */
    SMTP_PHASE_HELLO,   /* EHLO, HELO */
    SMTP_PHASE_TLS,     /* STARTTLS and what follows */
    SMTP_PHASE_AUTH,
    SMTP_PHASE_MAIL, /* MAIL FROM */
    SMTP_PHASE_RCPT, /* RCPT TO */
    SMTP_PHASE_DATA,
    SMTP_PHASE_BODY, /* the message itself */
    SMTP_PHASE_QUIT,
};

struct smtp_dialogue {
    enum smtp_phase phase; /* of the last command; the goodbye does not count */
    int code;              /* of the last answer to it; 0: none yet */
    struct strbuf answer;  /* its lines, divided by spaces, with the code before the first */
    bool quitting;
    bool whole; /* the message was handed over to its last byte */
};

void smtp_dialogue_init(struct smtp_dialogue *d);
void smtp_dialogue_release(struct smtp_dialogue *d);
/* A new message on the connection, whose first command will be MAIL FROM if the connection is a kept one. */
void smtp_dialogue_reset(struct smtp_dialogue *d);
/* Lines that we sent, or got; both may end in CRLF. */
void smtp_dialogue_sent(struct smtp_dialogue *d, const char *line, size_t len);
void smtp_dialogue_got(struct smtp_dialogue *d, const char *line, size_t len);
void smtp_dialogue_body(struct smtp_dialogue *d);
/* "the server's greeting", "MAIL FROM", … */
const char *smtp_phase_name(enum smtp_phase phase);

#endif
