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

static bool
recognise(const struct hearing *h, enum dialect_id *id, bool *sure)
{
	int best = 0;

	for (int i = 0; i < DIALECT_IDS; i++) {
		bool this_sure;
		int s = score(h, (enum dialect_id)i, &this_sure);

		if (s > best) {
			best = s;
			*id = (enum dialect_id)i;
			*sure = this_sure;
		}
	}
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
		.dynamic = row->dynamic,
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

static bool
same(struct slice a, struct slice b)
{
	return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

static void
read_ietf(const struct hearing *h, struct dialect_answer *out)
{
	struct dialect_item policies[POLICIES_MAX], states[POLICIES_MAX];
	size_t npolicies = read_lists(h, "ratelimit-policy", policies);
	size_t nstates = read_lists(h, "ratelimit", states);

	for (size_t i = 0; i < npolicies + nstates; i++) {
		bool is_policy = i < npolicies;
		struct dialect_item it =
		    is_policy ? policies[i] : states[i - npolicies];
		struct dialect_reading r;
		bool told = false;

		/* A state without a policy says how much, not of what. */
		for (size_t k = 0; k < (is_policy ? nstates : npolicies); k++) {
			const struct dialect_item *other =
			    is_policy ? &states[k] : &policies[k];

			if (!same(it.name, other->name))
				continue;
			told = true;
			if (is_policy) {
				it.r = other->r;
				it.t = other->t;
				break;
			}
		}
		if (told && !is_policy)
			continue;
		r = (struct dialect_reading){
			.dim =
			    is_policy ? dim_of_unit(it.unit) : DIALECT_UNKNOWN,
			.window_s =
			    it.w > 0 && it.w <= INT32_MAX ? (int32_t)it.w : 0,
			.limit = it.q > 0 ? it.q : -1,
			.remaining = it.r,
			.reset_ms =
			    it.t > 0 && it.t <= DIALECT_WAIT_MAX_MS / 1000
			    ? it.t * 1000
			    : -1,
		};
		snprintf(r.from, sizeof(r.from), "ratelimit %.*s",
		    it.name.n < DIALECT_FROM_MAX ? (int)it.name.n
						 : DIALECT_FROM_MAX,
		    it.name.p);
		add_reading(out, &r);
	}
}

void
dialect_hear(const struct dialect_heard *in, struct dialect_answer *out)
{
	struct hearing h = { .in = in };
	enum dialect_id id = DIALECT_IDS;
	bool sure = true;

	gather(&h);
	for (int i = 0; in->dialect != NULL && i < DIALECT_IDS; i++)
		if (strcmp(in->dialect, dialect_names[i]) == 0)
			id = (enum dialect_id)i;
	if (id == DIALECT_IDS && !recognise(&h, &id, &sure))
		return;
	out->dialect = dialect_names[id];
	if (id == DIALECT_ID_IETF) {
		read_ietf(&h, out);
		return;
	}
	for (size_t i = 0; i < dialect_nrows; i++)
		if (dialect_rows[i].id == id &&
		    dialect_rows[i].unit != UNIT_MARK &&
		    dialect_rows[i].unit != UNIT_BODY)
			read_row(&h, &dialect_rows[i], sure, out);
}
