#include "admit_limits.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/buf.h>

static const char *
text_of(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s == NULL ? "" : s;
}

static int64_t
int_of(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static enum admit_algorithm
algorithm_of(const char *name, int32_t window_s)
{
	static const char *const names[] = {
		[ADMIT_SLIDING] = "sliding",
		[ADMIT_FIXED] = "fixed",
		[ADMIT_ANCHORED] = "anchored",
		[ADMIT_BUCKET] = "bucket",
	};

	for (size_t i = ADMIT_SLIDING; window_s > 0 && i < NITEMS(names); i++)
		if (strcmp(name, names[i]) == 0)
			return (enum admit_algorithm)i;
	return ADMIT_NO_WINDOW;
}

static void
limit_read(const json_t *o, struct admit_limit *l)
{
	l->id = (int32_t)int_of(o, "id");
	l->amount = int_of(o, "amount");
	l->window_s = (int32_t)int_of(o, "window_s");
	l->algorithm = algorithm_of(text_of(o, "algorithm"), l->window_s);
	l->subject = xstrdup(text_of(o, "subject"));
	l->zone = xstrdup(text_of(o, "zone"));
	l->text = xstrdup(text_of(o, "text"));
	l->dimension = xstrdup(text_of(o, "dimension"));
	l->scope = xstrdup(text_of(o, "scope"));
	if (strcmp(l->dimension, "money") == 0)
		l->hold = ADMIT_MONEY;
	else if (strcmp(l->dimension, "requests") != 0)
		l->hold = ADMIT_RESERVED;
	else if (json_is_true(json_object_get(o, "chunks")))
		l->hold = ADMIT_TOLD;
}

/* Requests, in the shortest window; of those the first. */
static int
head_of(const struct admit_limits *l)
{
	int head = -1;

	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].dimension, "requests") == 0 &&
		    (head < 0 || l->v[i].window_s < l->v[head].window_s))
			head = (int)i;
	return head;
}

bool
admit_limits_read(struct slice json, struct admit_limits *out)
{
	json_t *doc = json_loadb(json.p, json.n, 0, NULL);
	const json_t *list = json_object_get(doc, "limits");

	*out = (struct admit_limits){ .head = -1 };
	if (!json_is_integer(json_object_get(doc, "revision"))) {
		json_decref(doc);
		return false;
	}
	out->revision = int_of(doc, "revision");
	out->served = json_is_true(json_object_get(doc, "served"));
	out->n = json_array_size(list);
	out->v = xcalloc(out->n + 1, sizeof(*out->v));
	for (size_t i = 0; i < out->n; i++)
		limit_read(json_array_get(list, i), &out->v[i]);
	out->head = head_of(out);
	json_decref(doc);
	return true;
}

void
admit_limits_fini(struct admit_limits *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].subject);
		free(l->v[i].zone);
		free(l->v[i].text);
		free(l->v[i].dimension);
		free(l->v[i].scope);
	}
	free(l->v);
	*l = (struct admit_limits){ .head = -1 };
}

static int64_t
at_least_one(int64_t n)
{
	return n < 1 ? 1 : n;
}

int64_t
admit_limit_units(const struct admit_limit *l, int64_t input, int64_t output)
{
	if (l->hold == ADMIT_MONEY)
		return 0;
	if (strcmp(l->dimension, "tokens") == 0)
		return at_least_one(input + output);
	if (strcmp(l->dimension, "input_tokens") == 0)
		return at_least_one(input);
	if (strcmp(l->dimension, "output_tokens") == 0)
		return at_least_one(output);
	return 1;
}

bool
admit_refusal_read(const char *hint, struct admit_answer *out)
{
	*out = (struct admit_answer){ .verdict = ADMIT_LIMITED };
	return sscanf(hint, "%" SCNd64 " %23s %23s %159[^\n]", &out->wait_us,
		   out->dimension, out->scope, out->limit) == 4;
}
