/*
 * data_dir: the data directory as a whole: made, owned and closed to others, and locked by the one master that serves
 * it.
 */
#ifndef PROC_DATA_DIR_H
#define PROC_DATA_DIR_H

#include <stdbool.h>

#include "core/compiler.h"
#include "core/strbuf.h"
#include "proc/privileges.h"

/*
 * Makes the directory (mode 0700, of that owner) with its parents, or checks an existing one: of ours (or empty) it
 * becomes that owner's with mode 0700; any other is refused, so that a wrong --data does no harm. Returns its real path
 * (heap), NULL with the reason.
 */
char *data_dir_prepare(const char *path, const struct privileges *owner, struct strbuf *error) WARN_UNUSED;
/*
 * Takes the lock for as long as the descriptor is open (close on exec). -1: another process has it (*in_use_r is true;
 * the message names its process id), or the lock file cannot be opened.
 */
int data_dir_lock(const char *data, const struct privileges *owner, bool *in_use_r, struct strbuf *error) WARN_UNUSED;
/* After the drop of privileges: can this user reach it and write into it, and into what is in it already? */
bool data_dir_usable(const char *data, struct strbuf *error) WARN_UNUSED;

#endif
