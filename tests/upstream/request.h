/*
 * request - what the server must know of a request body.
 *
 * Pure, and quick rather than strict: the body is walked once, only its top
 * level is looked at, and only the nesting of the rest is checked.
 */
#ifndef UPSTREAM_REQUEST_H
#define UPSTREAM_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request {
	const char *model;  /* as written in the JSON, escapes and all */
	size_t model_n;     /* 0: none given */
	int64_t output_max; /* max_tokens and its newer names; -1: none given */
	int64_t dimensions; /* -1: none given */
	int64_t inputs;     /* texts in "input" or "prompt"; >= 1 */
	const char *texts;  /* the list of several, NULL: there is one */
	bool stream;
	bool stream_usage; /* stream_options.include_usage */
};

/* False if the body is no JSON object; out then says nothing. */
bool request_parse(const char *p, size_t n, struct request *out);

/* FNV-1a, 64 bits. */
uint64_t request_hash(const char *p, size_t n);

/* Of q's texts into hashes[0..q->inputs): each JSON string with its quotes. */
void request_hashes(const struct request *q, const char *end, uint64_t *hashes);

#endif
