/* postgres: becomes the private PostgreSQL server. Started by the master (proc/child_kinds.c). */
#ifndef PROC_POSTGRES_H
#define PROC_POSTGRES_H

struct heritage;

int postgres_main(struct heritage *heritage);

#endif
