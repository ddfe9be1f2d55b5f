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

enum blob_outcome {
    BLOB_OK,
    BLOB_MISSING, /* no such file */
    BLOB_NO_SPACE,
    BLOB_FAILED,
};

/* Makes the directories (0700). */
struct blob_store *blob_store_open(const char *data_directory, struct strbuf *error) WARN_UNUSED;
void blob_store_close(struct blob_store **store);

/* A temporary file under <data>/blobs/tmp, on the same file system. */
struct blob_temp {
    int fd;
    char name[64];
};
/* Writes the bytes to a new temporary file, hashing on the way, and fsyncs it. Nothing stays behind on failure. */
enum blob_outcome blob_store_write(struct blob_store *store, const void *content, size_t len, struct blob_temp *temp_r,
                                   unsigned char sha256_r[DIGEST_SIZE], struct strbuf *error) WARN_UNUSED;
/* Gives the temporary file its final name (or drops it when the blob is there with this size already) and fsyncs the
 * directories. Ends the temp. */
enum blob_outcome blob_store_keep(struct blob_store *store, struct blob_temp *temp,
                                  const unsigned char sha256[DIGEST_SIZE], int64_t size,
                                  struct strbuf *error) WARN_UNUSED;
void blob_store_drop(struct blob_store *store, struct blob_temp *temp);
/* Opens for reading; *size_r is the file's. */
enum blob_outcome blob_store_read(struct blob_store *store, const unsigned char sha256[DIGEST_SIZE], int *fd_r,
                                  int64_t *size_r) WARN_UNUSED;
/* Unlinks; a missing file is BLOB_OK. */
enum blob_outcome blob_store_remove(struct blob_store *store, const unsigned char sha256[DIGEST_SIZE],
                                    struct strbuf *error) WARN_UNUSED;
/* Removes temporary files older than age_ms that no living process holds; returns how many. */
unsigned blob_store_sweep(struct blob_store *store, int64_t age_ms);
/* Writes and removes a small file: is the store writable? */
bool blob_store_writable(struct blob_store *store);
int64_t blob_store_free_bytes(struct blob_store *store);

#endif
