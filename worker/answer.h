/*
 * answer - from what an upstream sent to a line of an output file.
 *
 * Pure.
 */
#ifndef WORKER_ANSWER_H
#define WORKER_ANSWER_H

#include <sluice/buf.h>
#include <sluice/jscan.h>
#include <sluice/slc.h>

struct answer_usage { /* tokens; all 0 and known false when not said */
	bool known;
	int64_t input, cached, output, reasoning;
};

/*
 * Is a 2xx body what the endpoint gives: one JSON object, without an error in
 * place of a result?  Fills usage as far as it makes sense (0..10^9 each).
 */
bool answer_check(struct slice body, struct answer_usage *usage);

struct answer_line {
	const char *id;         /* batch_req_... */
	struct slice custom_id; /* as it stood, with quotes */
	int status;
	struct slice request_id; /* the upstream's; may be empty */
	struct slice body;       /* any bytes */
	const char *code;        /* instead of a response, with message */
	const char *message;
};

enum { ANSWER_TEXT_MAX = 256 << 20 }; /* bytes of a body in a result */

/* Is the body short enough for a result, also when it must become a string? */
bool answer_fits(struct slice body);

/*
 * Append the line with its newline.  A JSON body stays as it came, but for line
 * ends between its tokens; anything else becomes a JSON string.
 */
void answer_write(struct buf *out, const struct answer_line *line);

/*
 * Blank what must not reach a caller in an error of the upstream: our secret
 * (p NULL: none) and whatever looks like a key (sk-..., Bearer ...).
 */
void answer_redact(char *p, size_t n, struct slice secret);

#endif
