#include "joint.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/jscan.h>

enum {
	JOINT_DEPTH = 64,
	JOINT_NUMBERS_MAX = 64, /* of usage; further ones stay as they are */
};
#define JOINT_NUMBER_MAX INT64_C(1000000000000)

void
joint_body(struct slice body, struct slice value, const struct slice *values,
    size_t n, struct buf *out)
{
	const char *after = value.p + value.n;

	buf_add(out, body.p, (size_t)(value.p - body.p));
	for (size_t i = 0; i < n; i++) {
		buf_addc(out, i == 0 ? '[' : ',');
		buf_add(out, values[i].p, values[i].n);
	}
	buf_addc(out, ']');
	buf_add(out, after, (size_t)(body.p + body.n - after));
}

struct remainder {
	uint64_t rest;
	size_t of;
};

static int
by_remainder(const void *a, const void *b)
{
	const struct remainder *x = a, *y = b;

	if (x->rest != y->rest)
		return x->rest > y->rest ? -1 : 1;
	return x->of < y->of ? -1 : 1;
}

void
joint_share(int64_t whole, const size_t *weights, size_t n, int64_t *parts)
{
	struct remainder *r = xcalloc(n, sizeof(*r));
	unsigned __int128 product;
	uint64_t sum = 0;
	int64_t left = whole;

	for (size_t i = 0; i < n; i++)
		sum += weights[i];
	assert(whole >= 0 && sum > 0);
	for (size_t i = 0; i < n; i++) {
		product = (unsigned __int128)(uint64_t)whole * weights[i];
		parts[i] = (int64_t)(product / sum);
		r[i] = (struct remainder){ (uint64_t)(product % sum), i };
		left -= parts[i];
	}
	qsort(r, n, sizeof(*r), by_remainder);
	for (size_t i = 0; left > 0; i++, left--)
		parts[r[i].of]++;
	free(r);
}

/* Parts of the answer ------------------------------------------------------ */

/* A whole number in usage, and the lines' parts of it. */
struct number {
	struct slice text;
	struct slice name;
	bool top; /* in usage itself, not in its details */
	int64_t whole;
	int64_t *parts;
};

struct joint {
	size_t n;
	struct slice *elements; /* by index */
	struct slice *indexes;  /* where it stands in each */
	size_t *by_input, *by_output;
	struct number numbers[JOINT_NUMBERS_MAX];
	size_t nnumbers;
};

/* The list's elements by their indexes; false: not each line has its own. */
static bool
find_elements(struct joint *j, struct slice list, const char *payload)
{
	const struct jscan_want wants[] = { { "index", -1 }, { payload, -1 } };
	struct jscan_rest rest = jscan_inside(list);
	struct jscan_found element, found[NITEMS(wants)];
	struct jscan_fault fault;
	struct slice name;
	size_t seen = 0;
	int64_t index;

	for (; jscan_each(&rest, &name, &element); seen++) {
		if (seen == j->n ||
		    jscan(element.text, JOINT_DEPTH, wants, NITEMS(wants),
			found, &fault) != JSCAN_OBJECT ||
		    !jscan_int(&found[0], (int64_t)j->n - 1, &index) ||
		    (found[1].kind != JSCAN_STRING &&
			found[1].kind != JSCAN_ARRAY) ||
		    j->elements[index].p != NULL)
			return false;
		j->elements[index] = element.text;
		j->indexes[index] = found[0].text;
		j->by_output[index] = found[1].text.n;
	}
	return seen == j->n;
}

static bool
starts(struct slice name, const char *with)
{
	size_t n = strlen(with);

	return name.n > n && memcmp(name.p + 1, with, n) == 0;
}

static bool
is_output(struct slice name)
{
	return starts(name, "completion") || starts(name, "output");
}

/* The whole numbers of usage or of an object in it, called name. */
static void
find_numbers(struct joint *j, struct slice object, struct slice name)
{
	struct jscan_rest rest = jscan_inside(object);
	struct jscan_found value;
	struct slice member;

	while (jscan_each(&rest, &member, &value)) {
		struct number *x;
		int64_t whole;

		if (value.kind == JSCAN_OBJECT && name.n == 0)
			find_numbers(j, value.text, member);
		if (j->nnumbers == JOINT_NUMBERS_MAX ||
		    !jscan_int(&value, JOINT_NUMBER_MAX, &whole))
			continue;
		x = &j->numbers[j->nnumbers];
		x->whole = whole;
		x->text = value.text;
		x->name = name.n > 0 ? name : member;
		x->top = name.n == 0;
		j->nnumbers++;
	}
}

/* total_tokens are what its terms are in each part, if they are in the whole.
 */
static void
share_total(struct joint *j, struct number *total)
{
	const struct number *terms[2] = { NULL, NULL };
	size_t nterms = 0;
	int64_t sum = 0;

	for (size_t i = 0; i < j->nnumbers; i++) {
		struct number *x = &j->numbers[i];

		if (!x->top || x == total ||
		    (!is_output(x->name) &&
			!starts(x->name, "prompt_tokens\"") &&
			!starts(x->name, "input_tokens\"")))
			continue;
		if (nterms == NITEMS(terms))
			return;
		terms[nterms++] = x;
		sum += x->whole;
	}
	if (nterms == 0 || sum != total->whole)
		return;
	for (size_t i = 0; i < j->n; i++) {
		total->parts[i] = 0;
		for (size_t k = 0; k < nterms; k++)
			total->parts[i] += terms[k]->parts[i];
	}
}

static void
share_numbers(struct joint *j)
{
	for (size_t i = 0; i < j->nnumbers; i++) {
		struct number *x = &j->numbers[i];

		x->parts = xcalloc(j->n, sizeof(*x->parts));
		joint_share(x->whole,
		    is_output(x->name) ? j->by_output : j->by_input, j->n,
		    x->parts);
	}
	for (size_t i = 0; i < j->nnumbers; i++)
		if (j->numbers[i].top &&
		    slice_eq(j->numbers[i].name, "\"total_tokens\""))
			share_total(j, &j->numbers[i]);
}

/* From from to to as it is, with line i's parts of the numbers. */
static void
add_shared(const struct joint *j, size_t i, const char *from, const char *to,
    struct buf *out)
{
	for (size_t k = 0; k < j->nnumbers; k++) {
		const struct number *x = &j->numbers[k];

		if (x->text.p < from || x->text.p >= to)
			continue;
		buf_add(out, from, (size_t)(x->text.p - from));
		buf_addf(out, "%" PRId64, x->parts[i]);
		from = x->text.p + x->text.n;
	}
	buf_add(out, from, (size_t)(to - from));
}

static void
add_part(const struct joint *j, struct slice answer, struct slice list,
    size_t i, struct buf *out)
{
	struct slice e = j->elements[i], at = j->indexes[i];
	const char *after = at.p + at.n;

	add_shared(j, i, answer.p, list.p, out);
	buf_addc(out, '[');
	buf_add(out, e.p, (size_t)(at.p - e.p));
	buf_addc(out, '0');
	buf_add(out, after, (size_t)(e.p + e.n - after));
	buf_addc(out, ']');
	add_shared(j, i, list.p + list.n, answer.p + answer.n, out);
}

static void
add_usage(const struct joint *j, const struct jscan_found *usage, size_t i,
    struct buf *out)
{
	buf_addc(out, '{');
	if (usage->kind != JSCAN_ABSENT) {
		buf_adds(out, "\"usage\":");
		add_shared(
		    j, i, usage->text.p, usage->text.p + usage->text.n, out);
	}
	buf_addc(out, '}');
}

bool
joint_split(struct slice answer, const char *endpoint,
    const struct slice *values, size_t n, struct buf *parts, struct buf *usages)
{
	bool embeddings = strcmp(endpoint, "/v1/embeddings") == 0;
	const struct jscan_want wants[] = {
		{ embeddings ? "data" : "choices", -1 }, { "usage", -1 }
	};
	struct jscan_found found[NITEMS(wants)];
	struct jscan_fault fault;
	struct joint j = { .n = n,
		.elements = xcalloc(n, sizeof(*j.elements)),
		.indexes = xcalloc(n, sizeof(*j.indexes)),
		.by_input = xcalloc(n, sizeof(*j.by_input)),
		.by_output = xcalloc(n, sizeof(*j.by_output)) };
	bool ok;

	for (size_t i = 0; i < n; i++)
		j.by_input[i] = values[i].n;
	ok = jscan(answer, JOINT_DEPTH, wants, NITEMS(wants), found, &fault) ==
		JSCAN_OBJECT &&
	    found[0].kind == JSCAN_ARRAY &&
	    (answer.n - found[0].text.n) * n <= JOINT_BESIDE_MAX &&
	    find_elements(&j, found[0].text, embeddings ? "embedding" : "text");
	if (ok && found[1].kind == JSCAN_OBJECT)
		find_numbers(&j, found[1].text, (struct slice){ 0 });
	if (ok)
		share_numbers(&j);
	for (size_t i = 0; ok && i < n; i++) {
		add_part(&j, answer, found[0].text, i, &parts[i]);
		add_usage(&j, &found[1], i, &usages[i]);
	}
	for (size_t i = 0; i < j.nnumbers; i++)
		free(j.numbers[i].parts);
	free(j.elements);
	free(j.indexes);
	free(j.by_input);
	free(j.by_output);
	return ok;
}
