/*
 * machine: sched_getaffinity(2), sysconf(3) and the files of cgroup v2. Called by the master, and by the postgres child
 * for its settings.
 */
#include "core/machine.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first line of a file of the cgroup; false: there is none, or it begins with "max", no limit. */
static bool machine_limit(const char *path, char line_r[64])
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool limited = fgets(line_r, 64, file) && strncmp(line_r, "max", 3) != 0;
    fclose(file);
    return limited;
}

/* "150000 100000": microseconds of processor time in a period. 0: no limit. */
static unsigned machine_quota(void)
{
    char line[64], *rest;
    if (!machine_limit("/sys/fs/cgroup/cpu.max", line))
        return 0;
    unsigned long quota = strtoul(line, &rest, 10), period = strtoul(rest, NULL, 10);
    return period ? (unsigned)((quota + period - 1) / period) : 0;
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
    char line[64];
    if (!machine_limit("/sys/fs/cgroup/memory.max", line))
        return bytes;
    uint64_t limit = strtoull(line, NULL, 10);
    return limit && limit < bytes ? limit : bytes;
}
