/*
 * heritage: runs in the children.
 */
#include "proc/heritage.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/compiler.h"
#include "core/log.h"

void heritage_ready(struct heritage *heritage)
{
    if (heritage->ready < 0)
        return;
    (void)!write(heritage->ready, "r", 1);
    close(heritage->ready);
    heritage->ready = -1;
}

bool heritage_orphaned(const struct heritage *heritage)
{
    struct pollfd poll_fd = {.fd = heritage->master, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1;
}

static int heritage_compare(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

void heritage_close_others(const struct heritage *heritage)
{
    int keep[] = {STDERR_FILENO, heritage->listener, heritage->ready, heritage->master, heritage->output, log_fd()};
    qsort(keep, ARRAY_SIZE(keep), sizeof(*keep), heritage_compare);
    for (size_t i = 0; i < ARRAY_SIZE(keep); i++) {
        unsigned first = keep[i] < STDERR_FILENO ? STDERR_FILENO + 1 : (unsigned)keep[i] + 1;
        unsigned last = i + 1 < ARRAY_SIZE(keep) ? (unsigned)keep[i + 1] - 1 : ~0U;
        if (i + 1 < ARRAY_SIZE(keep) && keep[i + 1] <= (int)first)
            continue;
        close_range(first, last, 0);
    }
}
