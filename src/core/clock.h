/* The two clocks: monotonic for deadlines, real time for what people read. */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t clock_mono_ms(void);
/* Microseconds of CLOCK_MONOTONIC. */
uint64_t clock_mono_us(void);

#define CLOCK_RFC3339_SIZE 24
/* "2026-11-22T10:15:00Z" (RFC 3339, UTC, seconds). Writes the terminating zero, too. */
void clock_rfc3339(time_t t, char out_r[CLOCK_RFC3339_SIZE]);

#endif
