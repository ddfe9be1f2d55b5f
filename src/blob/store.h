/*
 * blob_store: content-addressed files under <data>/blobs/ab/cd/<sha256>. The small interface behind which an object
 * store could stand. Calls block (files, fsync): in a work pool of the worker, or in the janitor. Paths come from a
 * hash that was checked, never from a request.
 */
#ifndef BLOB_STORE_H
#define BLOB_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/compiler.h"
#include "core/digest.h"
#include "core/strbuf.h"

struct blob_store;

/* Large files that go to the disk at once in a way of their own (blob/writer.h); more go through the page cache. */
#define BLOB_WRITERS_MOST 2

enum blob_outcome {
    BLOB_OK,
    BLOB_MISSING, /* no such file */
    BLOB_NO_SPACE,
    BLOB_FAILED,
};

/* Makes the directories (0700). */
struct blob_store *blob_store_open(const char *data_directory, struct strbuf *error) WARN_UNUSED;
void blob_store_close(struct blob_store **store);

/* A temporary file under <data>/blobs/tmp, on the same file system, and the hash of what was written to it. */
struct blob_temp {
    int fd; /* -1: there is none */
    char name[64];
    struct evp_md_ctx_st *hash;
    int64_t size;               /* bytes appended */
    int64_t behind;             /* of these, bytes that the disk was told to begin with */
    uint64_t since;             /* clock_mono_ms() of the beginning, then of the last whole BLOB_WRITER_PIECE */
    struct blob_writer *writer; /* of a large file that comes fast, behind its beginning; else NULL */
};
/* Makes an empty one. It ends with blob_store_keep() or blob_store_drop(), also after one of the next two failed. */
enum blob_outcome blob_store_begin(struct blob_store *store, struct blob_temp *temp_r,
                                   struct strbuf *error) WARN_UNUSED;
/* Writes more bytes, hashing on the way. Waits for the disk when a large file with a writer comes faster than that
 * takes it; without one only when the kernel has no memory for more. */
enum blob_outcome blob_store_append(struct blob_store *store, struct blob_temp *temp, const void *bytes, size_t len,
                                    struct strbuf *error) WARN_UNUSED;
/* The file is complete: its hash, and fsync. */
enum blob_outcome blob_store_sync(struct blob_store *store, struct blob_temp *temp, unsigned char sha256_r[DIGEST_SIZE],
                                  struct strbuf *error) WARN_UNUSED;
/* Gives the temporary file its final name (or drops it when the blob is there with this size already) and fsyncs the
 * directories. Ends the temp. */
enum blob_outcome blob_store_keep(struct blob_store *store, struct blob_temp *temp,
                                  const unsigned char sha256[DIGEST_SIZE], int64_t size,
                                  struct strbuf *error) WARN_UNUSED;
/* Removes the file. Freeing the pages of a large one takes a while: in a thread. */
void blob_store_drop(struct blob_store *store, struct blob_temp *temp);
/* Opens for reading; *size_r is the file's. */
enum blob_outcome blob_store_read(struct blob_store *store, const unsigned char sha256[DIGEST_SIZE], int *fd_r,
                                  int64_t *size_r) WARN_UNUSED;
/*
 * Removing a blob takes three steps, because the database's word that nothing needs it counts only once its transaction
 * is committed: the file is taken aside (a missing one is BLOB_OK), then the row is deleted; after the commit the file
 * is dropped, and if the commit failed it is put back, unless an upload has made it anew meanwhile.
 */
enum blob_outcome blob_store_take_aside(struct blob_store *store, const unsigned char sha256[DIGEST_SIZE],
                                        struct strbuf *error) WARN_UNUSED;
void blob_store_drop_aside(struct blob_store *store, const unsigned char sha256[DIGEST_SIZE]);
enum blob_outcome blob_store_put_back(struct blob_store *store, const unsigned char sha256[DIGEST_SIZE],
                                      struct strbuf *error) WARN_UNUSED;
/* Removes temporary files older than age_ms that no living process holds; returns how many. */
unsigned blob_store_sweep(struct blob_store *store, int64_t age_ms);
/* Writes and removes a small file: is the store writable? */
bool blob_store_writable(struct blob_store *store);
int64_t blob_store_free_bytes(struct blob_store *store);

#endif
