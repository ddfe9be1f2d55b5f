/* janitor: removes what is past its time. Started by the master (proc/child_kinds.c). */
#ifndef PROC_JANITOR_H
#define PROC_JANITOR_H

struct heritage;

int janitor_main(struct heritage *heritage);

#endif
