/*
 * dispatch: the mailer's work, turn by turn: takes due mails from the outbox (mail/outbox.h), hands them to threads
 * that speak SMTP (mail/sender.h), writes down what became of them. proc/mailer.c waits between the turns.
 */
#ifndef MAIL_DISPATCH_H
#define MAIL_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/compiler.h"
#include "core/strbuf.h"

struct config;
struct dispatch;

struct dispatch *dispatch_new(const struct config *config, struct strbuf *error);
void dispatch_free(struct dispatch **dispatch);
/* Readable when there is something to do before the time that dispatch_turn() said. */
int dispatch_fd(const struct dispatch *dispatch);
/* Does what can be done now; the milliseconds until the next turn. */
uint64_t dispatch_turn(struct dispatch *dispatch) WARN_UNUSED;
/*
 * The end: nothing new is begun, what was not begun is given back. False as long as mails are under way; `now_or_never`
 * breaks them off.
 */
bool dispatch_leave(struct dispatch *dispatch, bool now_or_never) WARN_UNUSED;

#endif
