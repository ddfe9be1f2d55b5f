/* mailer: the process of the e-mail outbox. Started by the master (proc/child_kinds.c). */
#ifndef PROC_MAILER_H
#define PROC_MAILER_H

struct heritage;

int mailer_main(struct heritage *heritage);

#endif
