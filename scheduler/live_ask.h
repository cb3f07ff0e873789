/*
 * live_ask - what a live request asks for: the model and what it may cost, read
 * from its body, which stays as it is.
 *
 * Pure.
 */
#ifndef SCHEDULER_LIVE_ASK_H
#define SCHEDULER_LIVE_ASK_H

#include <sluice/buf.h>
#include <sluice/slc.h>

enum { LIVE_ASK_TOKENS_MAX = 1000000000 };

/* Zeroed is ready to use. */
struct live_ask {
	struct buf model; /* without ":batch"; terminated */
	bool cheap;       /* it ended so: by a cheaper path */
	bool stream;
	int64_t input;  /* tokens, a quarter of the bytes of text; >= 1 */
	int64_t output; /* the declared cap, 0: none */
};

void live_ask_fini(struct live_ask *a);

/*
 * JSON, or a form with the field "model".  Without one it is otherwise, if that
 * is not NULL.  On failure *param names what is wrong, or is NULL.
 */
enum slc_rc live_ask_read(struct slice content_type, struct slice body,
    const char *otherwise, struct live_ask *out, const char **param,
    struct slc_err *err);

#endif
