/*
 * machine: sched_getaffinity(2), sysconf(3) and the files of cgroup v2. Called by the master, and by the postgres child
 * for its settings.
 */
#include "core/machine.h"

#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

/* "max 100000" or "150000 100000": microseconds of processor time in a period. 0: no limit. */
static unsigned machine_quota(void)
{
    unsigned long long quota, period;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!file)
        return 0;
    bool limited = fscanf(file, "%llu %llu", &quota, &period) == 2 && period > 0;
    fclose(file);
    return limited ? (unsigned)((quota + period - 1) / period) : 0;
}

unsigned machine_processors(void)
{
    cpu_set_t set;
    unsigned count = sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
    unsigned quota = machine_quota();
    if (quota && quota < count)
        count = quota;
    return count ? count : 1;
}

uint64_t machine_memory(void)
{
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t limit;
    FILE *file = fopen("/sys/fs/cgroup/memory.max", "re");
    if (!file)
        return bytes;
    if (fscanf(file, "%" SCNu64, &limit) == 1 && limit < bytes)
        bytes = limit;
    fclose(file);
    return bytes;
}
