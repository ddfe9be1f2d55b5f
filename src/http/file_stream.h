/*
 * file_stream: sends a range of a file as the content of an answer. On the loop of a worker, which never waits for the
 * disk: what is not in memory is read by a thread first.
 *
 * The beginning is its caller's: file_stream_in_memory(), else file_stream_read() in a thread, then
 * file_stream_start(). So an answer begins only when there is something to send, and a disk that fails is told in its
 * status.
 */
#ifndef HTTP_FILE_STREAM_H
#define HTTP_FILE_STREAM_H

#include <h2o.h>
#include <stdbool.h>
#include <stdint.h>

struct file_turns;
struct http_request;

/* One a worker: the queue of streams that let others go first. */
struct file_turns *file_turns_new(h2o_loop_t *loop);

/* Is what file_stream_start() sends at first in memory? */
bool file_stream_in_memory(int fd, int64_t first, int64_t length);
/* Reads it into memory: blocks. 0 or an errno; ENODATA when the file is shorter. */
int file_stream_read(int fd, int64_t first, int64_t length);

/*
 * The head of the answer is complete (reply_begin()); length > 0, and the file is as long as first + length. The
 * descriptor is the stream's from now on.
 */
void file_stream_start(struct http_request *request, h2o_req_t *req, int fd, int64_t first, int64_t length);

/* Is it the disk, or other streams' turn, that the answer to this request waits for, and not its client? */
bool file_stream_waits(const struct http_request *request, uint64_t now);

#endif
