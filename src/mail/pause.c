/* pause: see the header. In the mailer's loop. */
#include "mail/pause.h"

void pause_init(struct pause *p, int64_t least_ms)
{
    *p = (struct pause){.least_ms = least_ms};
}

bool pause_trouble(struct pause *p, uint64_t now)
{
    int64_t most = p->least_ms > PAUSE_MOST_MS ? p->least_ms : PAUSE_MOST_MS;
    bool begins = !p->on;
    /* of several mails that were under way together only the first counts */
    if (p->on && now < p->until)
        return false;
    p->delay_ms = begins ? p->least_ms : p->delay_ms * 2;
    if (p->delay_ms > most)
        p->delay_ms = most;
    p->until = now + (uint64_t)p->delay_ms;
    p->on = true;
    return begins;
}

bool pause_lost(struct pause *p)
{
    return ++p->lost >= PAUSE_LOST || p->on;
}

bool pause_answered(struct pause *p)
{
    bool ends = p->on;
    pause_end(p);
    return ends;
}

void pause_end(struct pause *p)
{
    *p = (struct pause){.least_ms = p->least_ms};
}

uint64_t pause_left(const struct pause *p, uint64_t now)
{
    return p->on && p->until > now ? p->until - now : 0;
}
