/* worker: serves HTTP: a libh2o loop with its own connections to PostgreSQL. Started by the master
 * (proc/child_kinds.c). */
#ifndef PROC_WORKER_H
#define PROC_WORKER_H

struct heritage;

int worker_main(struct heritage *heritage);

#endif
