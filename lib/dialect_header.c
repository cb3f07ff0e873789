#include "dialect_parts.h"

#include <stdio.h>
#include <string.h>

#include <sluice/header.h>

enum { FIELDS_MAX = 48, POLICIES_MAX = 8 };

/* What the '*' of a row stands for. */
enum part { PART_LIMIT, PART_REMAINING, PART_RESET, PART_USED, PARTS };

static const char *const part_names[PARTS] = { "limit", "remaining", "reset",
	"used" };

/* Headers that a row may know. */
struct field {
	struct slice name, value;
};

struct hearing {
	const struct dialect_heard *in;
	struct field fields[FIELDS_MAX];
	size_t n;
};

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Does a header have the name of a row; as which part?  PARTS: the row has no
 * parts; -1: no. */
static int
row_part(const struct dialect_row *row, struct slice name)
{
	const char *h = row->header, *star;
	size_t before, after;

	if (name.n == 0 || lower(name.p[0]) != h[0] || row->unit == UNIT_BODY)
		return -1;
	star = strchr(h, '*');
	if (star == NULL)
		return slice_ieq(name, h) ? PARTS : -1;
	before = (size_t)(star - h);
	after = strlen(star + 1);
	if (name.n < before + after || strncasecmp(name.p, h, before) != 0 ||
	    strncasecmp(name.p + name.n - after, star + 1, after) != 0)
		return -1;
	name = (struct slice){ name.p + before, name.n - before - after };
	for (int part = 0; part < PARTS; part++)
		if (slice_ieq(name, part_names[part]))
			return part;
	return -1;
}

/* Gathering ---------------------------------------------------------------- */

static void
add_field(struct hearing *h, struct slice name, struct slice value)
{
	for (size_t i = 0; i < dialect_nrows && h->n < FIELDS_MAX; i++)
		if (row_part(&dialect_rows[i], name) >= 0) {
			h->fields[h->n++] = (struct field){ name, value };
			return;
		}
}

static void
gather(struct hearing *h)
{
	struct slice rest = h->in->headers, object = h->in->error->headers;
	struct slice name, value;

	while (rest.n > 0) {
		struct slice line = dialect_line(&rest);
		const char *colon = memchr(line.p, ':', line.n);

		if (colon == NULL)
			continue;
		name = (struct slice){ line.p, (size_t)(colon - line.p) };
		value = (struct slice){ colon + 1, line.n - name.n - 1 };
		add_field(h, name, dialect_trim(value));
	}
	for (size_t at = 0; dialect_member(object, &at, &name, &value);)
		add_field(h, name, value);
}

/* Recognising ----------------------------------------------------------------
 */

/* No other dialect has a row of this header. */
static bool
is_unique(const struct dialect_row *row)
{
	for (size_t i = 0; i < dialect_nrows; i++)
		if (dialect_rows[i].id != row->id &&
		    strcmp(dialect_rows[i].header, row->header) == 0)
			return false;
	return true;
}

/* How well the answer is explained by a dialect; 0: not at all. */
static int
score(const struct hearing *h, enum dialect_id id, bool *sure)
{
	enum { SURE = 1000, MISFIT = 500 };
	const struct dialect_error *error = h->in->error;
	int fits = 0, misfit = 0;

	*sure = false;
	for (size_t i = 0; i < dialect_nrows; i++) {
		const struct dialect_row *row = &dialect_rows[i];

		if (row->id != id)
			continue;
		if (row->unit == UNIT_BODY && error->found &&
		    (strstr(error->codes, row->header) != NULL ||
			strstr(error->text, row->header) != NULL))
			*sure = true;
		for (size_t k = 0; k < h->n; k++) {
			int part = row_part(row, h->fields[k].name);
			enum dialect_unit shape;
			int64_t ms;

			if (part < 0)
				continue;
			fits++;
			if (row->unit == UNIT_MARK || is_unique(row))
				*sure = true;
			if (part != PART_RESET)
				continue;
			dialect_reset_ms(
			    h->fields[k].value, h->in->date_ms, &ms, &shape);
			if (shape != UNIT_NONE && shape != row->unit)
				misfit = MISFIT;
		}
	}
	if (fits == 0 && !*sure)
		return 0;
	return fits + (*sure ? SURE : 0) + MISFIT - misfit;
}

struct ranking {
	int score[DIALECT_IDS]; /* 0: out of the question */
	bool sure[DIALECT_IDS];
};

/* Those that an answer may be read as beside the named one (DIALECT_IDS: none
 * is named); who names a draft of the IETF's has named all. */
static void
rank(const struct hearing *h, enum dialect_id named, struct ranking *r)
{
	bool ietf = named == DIALECT_ID_IETF || named == DIALECT_ID_RATELIMIT;

	*r = (struct ranking){ 0 };
	for (int i = 0; i < DIALECT_IDS; i++)
		if (named == DIALECT_IDS ||
		    (ietf && i != (int)named &&
			(i == DIALECT_ID_IETF || i == DIALECT_ID_RATELIMIT)))
			r->score[i] = score(h, (enum dialect_id)i, &r->sure[i]);
}

/* Taken off the ranking; false: none is left. */
static bool
next_best(struct ranking *r, enum dialect_id *id, bool *sure)
{
	int best = 0;

	for (int i = 0; i < DIALECT_IDS; i++)
		if (r->score[i] > best) {
			best = r->score[i];
			*id = (enum dialect_id)i;
			*sure = r->sure[i];
		}
	if (best > 0)
		r->score[*id] = 0;
	return best > 0;
}

/* Reading
 * ---------------------------------------------------------------------- */

/* The window that all dialects with this header agree on, else 0. */
static int32_t
common_window(const struct dialect_row *row)
{
	for (size_t i = 0; i < dialect_nrows; i++)
		if (strcmp(dialect_rows[i].header, row->header) == 0 &&
		    dialect_rows[i].window_s != row->window_s)
			return 0;
	return row->window_s;
}

static void
add_reading(struct dialect_answer *out, const struct dialect_reading *r)
{
	if (out->nreadings < DIALECT_READINGS_MAX &&
	    (r->limit >= 0 || r->remaining >= 0 || r->reset_ms >= 0))
		out->readings[out->nreadings++] = *r;
}

static void
set_from(struct dialect_reading *r, struct slice name)
{
	size_t n = name.n < DIALECT_FROM_MAX ? name.n : DIALECT_FROM_MAX;

	for (size_t i = 0; i < n; i++)
		r->from[i] = lower(name.p[i]);
	r->from[n] = '\0';
}

static const struct field *
find_field(const struct hearing *h, const struct dialect_row *row, int part)
{
	for (size_t k = 0; k < h->n; k++)
		if (row_part(row, h->fields[k].name) == part)
			return &h->fields[k];
	return NULL;
}

static int64_t
count_of(const struct field *f, int64_t least)
{
	int64_t v;

	return f != NULL && dialect_count(f->value, &v) && v >= least ? v : -1;
}

/* Of a list of policies, as that header or RateLimit-Policy has it. */
static int32_t
listed_window(const struct hearing *h, const struct field *limit, int64_t count)
{
	int32_t window = dialect_count_window(limit->value, count);

	for (size_t k = 0; window == 0 && k < h->n; k++)
		if (slice_ieq(h->fields[k].name, "ratelimit-policy"))
			window =
			    dialect_count_window(h->fields[k].value, count);
	return window;
}

static void
read_row(const struct hearing *h, const struct dialect_row *row, bool sure,
    struct dialect_answer *out)
{
	const struct field *f[PARTS], *from = NULL;
	struct dialect_reading r = {
		.dim = row->dim,
		.window_s = sure ? row->window_s : common_window(row),
		/* Any amount would be the limit, were this only likely. */
		.dynamic = row->dynamic && sure,
		.reset_ms = -1,
	};
	int64_t used;

	for (int part = 0; part < PARTS; part++)
		f[part] = find_field(h, row, part);
	from = f[PART_REMAINING] != NULL ? f[PART_REMAINING] : f[PART_LIMIT];
	if (from == NULL)
		from = f[PART_RESET];
	if (from == NULL)
		return;
	set_from(&r, from->name);
	/* A limit of 0 is how some say that there is none, or none known. */
	r.limit = count_of(f[PART_LIMIT], 1);
	r.remaining = count_of(f[PART_REMAINING], 0);
	used = count_of(f[PART_USED], 0);
	if (r.remaining < 0 && r.limit >= 0 && used >= 0)
		r.remaining = used < r.limit ? r.limit - used : 0;
	if (r.window_s == 0 && r.limit > 0)
		r.window_s = listed_window(h, f[PART_LIMIT], r.limit);
	if (f[PART_RESET] != NULL &&
	    !dialect_reset_ms(
		f[PART_RESET]->value, h->in->date_ms, &r.reset_ms, NULL))
		r.reset_ms = -1;
	add_reading(out, &r);
}

static enum dialect_dim
dim_of_unit(struct slice unit)
{
	return unit.p == NULL || slice_eq(unit, "requests") ? DIALECT_REQUESTS
	    : slice_eq(unit, "concurrent-requests")         ? DIALECT_CONCURRENT
	    : slice_eq(unit, "tokens")                      ? DIALECT_TOKENS
							    : DIALECT_UNKNOWN;
}

/* Fields of one kind, one behind the other: lists may stand on many lines. */
static size_t
read_lists(const struct hearing *h, const char *name,
    struct dialect_item items[POLICIES_MAX])
{
	size_t n = 0;

	for (size_t k = 0; k < h->n; k++)
		if (slice_ieq(h->fields[k].name, name))
			n += dialect_list(
			    h->fields[k].value, items + n, POLICIES_MAX - n);
	return n;
}

/* The policy that a state is of: by its name, or without one by the amount, if
 * no other has as much. */
static const struct dialect_item *
policy_of(const struct dialect_item *state, const struct dialect_item *policies,
    size_t n)
{
	const struct dialect_item *found = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct dialect_item *p = &policies[i];

		if (state->name.p != NULL) {
			if (p->name.p != NULL && p->name.n == state->name.n &&
			    memcmp(p->name.p, state->name.p, p->name.n) == 0)
				return p;
		} else if (state->q > 0 && p->q == state->q) {
			if (found != NULL)
				return NULL;
			found = p;
		}
	}
	return found;
}

/* Of a policy, a state, or both: not both are NULL. */
static void
read_item(const struct dialect_item *policy, const struct dialect_item *state,
    struct dialect_answer *out)
{
	const struct dialect_item *of = policy != NULL ? policy : state;
	struct dialect_reading r = {
		/* A name alone says how much is left, not of what. */
		.dim = policy == NULL && state->name.p != NULL
		    ? DIALECT_UNKNOWN
		    : dim_of_unit(of->unit),
		.window_s =
		    of->w > 0 && of->w <= INT32_MAX ? (int32_t)of->w : 0,
		.limit = of->q > 0 ? of->q : -1,
		.remaining = state != NULL ? state->r : -1,
		.reset_ms = state != NULL && state->t_ms > 0 &&
			state->t_ms <= DIALECT_WAIT_MAX_MS
		    ? state->t_ms
		    : -1,
	};
	int n =
	    of->name.n < DIALECT_FROM_MAX ? (int)of->name.n : DIALECT_FROM_MAX;

	if (of->name.p != NULL)
		snprintf(
		    r.from, sizeof(r.from), "ratelimit %.*s", n, of->name.p);
	else
		set_from(&r,
		    slice_str(
			state != NULL ? "ratelimit" : "ratelimit-policy"));
	add_reading(out, &r);
}

static void
read_ietf(const struct hearing *h, struct dialect_answer *out)
{
	struct dialect_item policies[POLICIES_MAX], states[POLICIES_MAX];
	const struct dialect_item *of[POLICIES_MAX];
	size_t npolicies = read_lists(h, "ratelimit-policy", policies);
	size_t nstates = read_lists(h, "ratelimit", states);

	for (size_t k = 0; k < nstates; k++)
		of[k] = policy_of(&states[k], policies, npolicies);
	for (size_t i = 0; i < npolicies; i++) {
		size_t k = 0;

		while (k < nstates && of[k] != &policies[i])
			k++;
		read_item(&policies[i], k < nstates ? &states[k] : NULL, out);
	}
	for (size_t k = 0; k < nstates; k++)
		if (of[k] == NULL)
			read_item(NULL, &states[k], out);
}

static void
read_as(const struct hearing *h, enum dialect_id id, bool sure,
    struct dialect_answer *out)
{
	out->dialect = dialect_names[id];
	out->nreadings = 0;
	if (id == DIALECT_ID_IETF) {
		read_ietf(h, out);
		return;
	}
	for (size_t i = 0; i < dialect_nrows; i++)
		if (dialect_rows[i].id == id &&
		    dialect_rows[i].unit != UNIT_MARK &&
		    dialect_rows[i].unit != UNIT_BODY)
			read_row(h, &dialect_rows[i], sure, out);
}

static bool
says_what_is_left(const struct dialect_answer *a)
{
	for (size_t i = 0; i < a->nreadings; i++)
		if (a->readings[i].remaining >= 0)
			return true;
	return false;
}

void
dialect_hear(const struct dialect_heard *in, struct dialect_answer *out)
{
	struct hearing h = { .in = in };
	struct ranking ranking;
	enum dialect_id id = DIALECT_IDS;
	bool sure = true;

	gather(&h);
	for (int i = 0; in->dialect != NULL && i < DIALECT_IDS; i++)
		if (strcmp(in->dialect, dialect_names[i]) == 0)
			id = (enum dialect_id)i;
	rank(&h, id, &ranking);
	if (id == DIALECT_IDS && !next_best(&ranking, &id, &sure))
		return;
	read_as(&h, id, sure, out);
	/* Some speak two at once, and in one of them of the limit alone. */
	while (!says_what_is_left(out) && next_best(&ranking, &id, &sure)) {
		struct dialect_answer other = *out;

		read_as(&h, id, sure, &other);
		if (says_what_is_left(&other))
			*out = other;
	}
}
