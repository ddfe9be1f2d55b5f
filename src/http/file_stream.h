/*
 * file_stream: sends a range of a file as the content of an answer. On the loop of a worker, which never waits for the
 * disk: what is not in memory is read by a thread first.
 */
#ifndef HTTP_FILE_STREAM_H
#define HTTP_FILE_STREAM_H

#include <h2o.h>
#include <stdint.h>

struct file_turns;
struct http_request;

/* One a worker: the queue of streams that let others go first. */
struct file_turns *file_turns_new(h2o_loop_t *loop);

/*
 * The head of the answer is complete (reply_begin()); length > 0, and the file is as long as first + length. The
 * descriptor is the stream's from now on.
 */
void file_stream_start(struct http_request *request, h2o_req_t *req, int fd, int64_t first, int64_t length);

#endif
