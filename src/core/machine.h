/* What the machine (or the container around us) has, for sizes that the configuration leaves open. */
#ifndef CORE_MACHINE_H
#define CORE_MACHINE_H

#include <stdint.h>

/* Processors that this process may use, at least 1; a cgroup's quota counts, rounded up. */
unsigned machine_processors(void);
/* Bytes of memory, or a cgroup's limit where that is smaller. */
uint64_t machine_memory(void);

#endif
