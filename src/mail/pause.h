/*
 * pause: what to do while the SMTP server takes nothing: wait, longer each time, and try with a single mail. Pure;
 * times are clock_mono_ms().
 */
#ifndef MAIL_PAUSE_H
#define MAIL_PAUSE_H

#include <stdbool.h>
#include <stdint.h>

#define PAUSE_MOST_MS 300000 /* or mail.retry_min, where that is longer */
#define PAUSE_LOST 3         /* mails lost in a row that count as trouble with the server */

struct pause {
    int64_t least_ms;
    bool on;
    int64_t delay_ms;
    uint64_t until;
    unsigned lost; /* in a row */
};

void pause_init(struct pause *p, int64_t least_ms);
/* The server took nothing. True when the trouble begins. */
bool pause_trouble(struct pause *p, uint64_t now);
/* A mail was lost in the middle: its own fault or the server's, which shows only when others are lost, too. True when
 * this counts as trouble. */
bool pause_lost(struct pause *p);
/* The server took a mail, or had an opinion on one. True when the trouble ends. */
bool pause_answered(struct pause *p);
/* Forget it: there are other settings. */
void pause_end(struct pause *p);
/* Milliseconds until the next try; 0: now. */
uint64_t pause_left(const struct pause *p, uint64_t now);

#endif
