/*
 * answer - bodies as OpenAI's API sends them, and the tokens they cost.
 *
 * Pure.  An answer says which request it belongs to: its text starts with
 * "echo:" and the request body's FNV-1a hash in 16 hex digits; the first four
 * numbers of every embedding are that hash's four 16-bit groups, each divided
 * by 100000.  Of several texts in one request each has its own: the hash of its
 * JSON string.
 */
#ifndef UPSTREAM_ANSWER_H
#define UPSTREAM_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "text.h"

enum endpoint {
	ENDPOINT_CHAT,
	ENDPOINT_COMPLETIONS,
	ENDPOINT_EMBEDDINGS,
	ENDPOINT_RESPONSES,
	ENDPOINT_MODERATIONS,
	ENDPOINTS
};

enum answer_style { ANSWER_ECHO, ANSWER_WORDS };

struct answer {
	enum endpoint endpoint;
	enum answer_style style;
	uint64_t hash;      /* of the request's body */
	uint64_t serial;    /* makes the ids of equal requests differ */
	const char *model;  /* JSON, without the quotes */
	int64_t created;    /* seconds since 1970 */
	int64_t prompt;     /* tokens */
	int64_t completion; /* tokens; 0 where an endpoint has none */
	int64_t inputs;
	const uint64_t *each; /* hashes of several texts, NULL: there is one */
	bool reversed;        /* the last of them first */
	bool bad_index;       /* two of them have the same */
	int64_t dimensions;
	bool cut_short; /* max_tokens was reached */
	bool bad_usage; /* numbers no provider should send */
	bool bad_utf8;
	int64_t padding; /* further bytes of text */
};

/* Tokens of the text: log-normal by the hash, 1..most (most < 0: no bound). */
int64_t answer_tokens(uint64_t hash, double mean, double cv, int64_t most);
bool answer_has_text(enum endpoint e);

void answer_write(struct text *out, const struct answer *a);
/* As an event of a stream: the number-th token, from 0; and the one after the
 * last, which has the usage. */
void answer_piece(struct text *out, const struct answer *a, int64_t number);
void answer_last_piece(struct text *out, const struct answer *a);

/* OpenAI's error object; code may be NULL. */
void answer_error(
    struct text *out, const char *message, const char *type, const char *code);

/* GET /v1/models */
void answer_models(struct text *out);

#endif
