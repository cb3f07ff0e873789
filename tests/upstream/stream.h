/*
 * stream - an answer in pieces: server-sent events, one for each token.
 */
#ifndef UPSTREAM_STREAM_H
#define UPSTREAM_STREAM_H

#include "answer.h"
#include "serve.h"

struct stream;

struct stream_plan {
	const char *headers;     /* further ones, each with its CRLF */
	double ms;               /* between two pieces; less than 1: 1 */
	bool usage;              /* a last piece with the tokens */
	void (*over)(void *arg); /* all is sent; the connection goes on */
	void *arg;
};

/* Answers what the connection waits for; the answer is copied. */
struct stream *stream_start(
    struct conn *c, const struct answer *a, const struct stream_plan *plan);
/* The client has gone; over is not called. */
void stream_stop(struct stream *s);

#endif
