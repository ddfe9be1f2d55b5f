/* migrate: brings the schema up to date before anything else runs. Started by the master (proc/child_kinds.c). */
#ifndef PROC_MIGRATE_H
#define PROC_MIGRATE_H

struct heritage;

int migrate_main(struct heritage *heritage);

#endif
