/*
 * blob_writer: the way of a large file to the disk while more of it still comes. What is appended goes past the page
 * cache (O_DIRECT) in large pieces, and what was written is made durable at the same time, so that little is left to do
 * at the end. In a worker; each file has two threads and 8 MiB of memory meanwhile.
 */
#ifndef BLOB_WRITER_H
#define BLOB_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/compiler.h"

#define BLOB_WRITER_PIECE ((size_t)2 * 1024 * 1024) /* a huge page: the disk's driver gets it in one */

struct blob_writer;

/*
 * Goes on at the end of a file whose size is a multiple of BLOB_WRITER_PIECE (any other goes through the cache after
 * all). The descriptor stays the caller's, who
 * does not use it before blob_writer_free(). NULL: the file system cannot write past its cache, or there are no threads
 * or no memory; the descriptor is as it was.
 */
struct blob_writer *blob_writer_new(int fd) WARN_UNUSED;
/*
 * Copies the bytes; waits for the disk when it is more than the memory behind. False: errno says why, perhaps of bytes
 * that were appended before; nothing can be appended any more.
 */
bool blob_writer_append(struct blob_writer *writer, const void *bytes, size_t len) WARN_UNUSED;
/* True: all that the file holds is on the disk. False: errno says why. Nothing but blob_writer_free() comes behind it.
 */
bool blob_writer_finish(struct blob_writer *writer) WARN_UNUSED;
/* Waits for the system calls that run at this moment, and drops what was not finished. */
void blob_writer_free(struct blob_writer **writer);

#endif
