/*
 * provider_line - lines of the files that go to and come from an upstream's own
 * batches, and what it says of a batch.
 *
 * Pure.
 */
#ifndef WORKER_PROVIDER_LINE_H
#define WORKER_PROVIDER_LINE_H

#include <sluice/buf.h>
#include <sluice/slc.h>

enum {
	PROVIDER_ID_MAX = 200,   /* bytes of an upstream's name for something */
	PROVIDER_TEXT_MAX = 400, /* of what it says to people */
	PROVIDER_FAULTS_MAX = 1000,
};

/* Append one line: our name for it ("r12-3": run, place in it), the endpoint,
 * and the body as it is. */
void provider_line_write(struct buf *out, int64_t run, size_t place,
    const char *endpoint, struct slice body);

/* One line of a file of results; slices point into it. */
struct provider_answer {
	int64_t run;
	size_t place;
	bool answered; /* there is a response: these three */
	int status;
	struct buf request_id; /* the caller's to free */
	struct slice body;
	struct buf code, message; /* else why there is none; the same */
};

/* False: no line of ours, whatever it is.  out is zeroed. */
bool provider_line_read(struct slice line, struct provider_answer *out);
void provider_answer_fini(struct provider_answer *a);
/* Only the name, from the start of a line that was too long to be kept. */
bool provider_line_name(struct slice start, int64_t *run, size_t *place);

/* Why the upstream has no result for a line. */
enum provider_lack {
	PROVIDER_NOT_RUN, /* expired, cancelled: it was not worked on */
	PROVIDER_TRY,     /* it may do another time */
	PROVIDER_NEVER,   /* the line is wrong */
};
enum provider_lack provider_lack_of(struct slice code);

enum provider_status {
	PROVIDER_UNDER_WAY,
	PROVIDER_COMPLETED,
	PROVIDER_FAILED,
	PROVIDER_EXPIRED,
	PROVIDER_CANCELLED,
};

/* Why a whole batch, or a call about it, was refused. */
enum provider_fault {
	PROVIDER_OVER,  /* too much is enqueued there */
	PROVIDER_MONEY, /* ours is at an end */
	PROVIDER_WRONG, /* lines are wrong: they are named */
	PROVIDER_OTHER,
};

struct provider_batch { /* zeroed is ready; provider_batch_fini() */
	char id[PROVIDER_ID_MAX + 1];
	char input_file[PROVIDER_ID_MAX + 1];
	char output_file[PROVIDER_ID_MAX + 1]; /* "" when there is none */
	char error_file[PROVIDER_ID_MAX + 1];
	char tag[64]; /* metadata.sluice */
	char status_text[32];
	enum provider_status status;
	int64_t done; /* lines completed or failed */
	/* of PROVIDER_FAILED */
	enum provider_fault fault;
	char why[PROVIDER_TEXT_MAX + 1];
	struct buf faults; /* JSON: [{line, code, message}], or empty */
};

/* A batch object; false: it is none. */
bool provider_batch_read(struct slice json, struct provider_batch *out);
void provider_batch_fini(struct provider_batch *b);

/* A file object's id; false: none. */
bool provider_file_read(struct slice json, char id[PROVIDER_ID_MAX + 1]);

/* An answer with an error: which, and why in words. */
enum provider_fault
provider_error_read(struct slice json, char why[PROVIDER_TEXT_MAX + 1]);

/*
 * A page of the upstream's batches.  1: the one with that tag, or else that
 * input file, is in out; 0: it is not there, and last is the page's last id, ""
 * when there are no more; -1: that is no list.
 */
int
provider_list_find(struct slice json, const char *tag, const char *input_file,
    struct provider_batch *out, char last[PROVIDER_ID_MAX + 1]);

/* Of a page of files those called name, but for the one with the id keep: their
 * ids, each with a '\0', are appended.  The same returns as above, without 1.
 */
int provider_list_strays(struct slice json, const char *name, const char *keep,
    struct buf *ids, char last[PROVIDER_ID_MAX + 1]);

#endif
