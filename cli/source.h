/*
 * source - the lines to submit, from a file or a pipe.
 */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include "client.h"
#include "progress.h"

struct source {
	int fd;
	struct buf head;    /* what was read to look at the first line */
	size_t head_at;     /* given out of it */
	int64_t size, sent; /* size -1: not known */
	off_t start;        /* after the head; -1: a pipe */
	int read_errno;
	struct progress progress;
	struct client_source client; /* for client_upload() */
};

/*
 * Open a file, or stdin for "-".  It must hold something, and its first line a
 * JSON object, whose "url" goes to *url ("" when there is none).
 */
enum slc_rc source_open(struct source *s, const struct cli *cli,
    const char *path, struct buf *url, struct slc_err *err);
void source_close(struct source *s);

#endif
