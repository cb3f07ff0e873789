#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "leader.h"
#include "store.h"
#include "upstream.h"
#include "weather.h"
#include "worker.h"

/* Events ----------------------------------------------------------------- */

static bool
earlier(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void
heap_push(struct sim *s, const struct event *e)
{
	size_t i = s->nheap++;

	if (s->nheap > s->heap_cap) {
		s->heap_cap = s->heap_cap == 0 ? 256 : s->heap_cap * 2;
		s->heap = xrealloc(s->heap, s->heap_cap * sizeof(*s->heap));
	}
	while (i > 0 && earlier(e, &s->heap[(i - 1) / 2])) {
		s->heap[i] = s->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	s->heap[i] = *e;
}

static struct event
heap_pop(struct sim *s)
{
	struct event first = s->heap[0], last = s->heap[--s->nheap];
	size_t i = 0;

	for (;;) {
		size_t kid = 2 * i + 1;

		if (kid + 1 < s->nheap &&
		    earlier(&s->heap[kid + 1], &s->heap[kid]))
			kid++;
		if (kid >= s->nheap || !earlier(&s->heap[kid], &last))
			break;
		s->heap[i] = s->heap[kid];
		i = kid;
	}
	s->heap[i] = last;
	return first;
}

void
sim_at(struct sim *s, int64_t at, event_fn *run, void *obj, int64_t gen)
{
	struct event e = { .at = at < s->now ? s->now : at,
		.seq = s->seq++,
		.run = run,
		.obj = obj,
		.gen = gen };

	heap_push(s, &e);
}

void
sim_defer(struct sim *s, const struct event *e, int64_t at)
{
	sim_at(s, at, e->run, e->obj, e->gen);
}

/* Telling ---------------------------------------------------------------- */

static void
hash_add(struct sim *s, uint64_t v)
{
	for (int i = 0; i < 8; i++) {
		s->hash ^= v >> (8 * i) & 0xff;
		s->hash *= UINT64_C(0x100000001b3);
	}
}

static void
print_traced(const struct sim *s, const struct traced *t)
{
	printf("# %14.6f %-16s %" PRId64 " %" PRId64 " %" PRId64 "\n",
	    (double)(t->at - s->sc.start_us) / 1e6, t->what, t->a, t->b, t->c);
}

void
sim_trace(struct sim *s, const char *what, int64_t a, int64_t b, int64_t c)
{
	struct traced *t = &s->last[s->ntraced++ % TRACE_LAST];

	*t = (struct traced){ s->now, what, a, b, c };
	hash_add(s, (uint64_t)s->now);
	for (const char *p = what; *p != '\0'; p++)
		s->hash = (s->hash ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
	hash_add(s, (uint64_t)a);
	hash_add(s, (uint64_t)b);
	hash_add(s, (uint64_t)c);
	if (s->trace)
		print_traced(s, t);
}

void
sim_fail(struct sim *s, const char *fmt, ...)
{
	int64_t from = s->ntraced > TRACE_LAST ? s->ntraced - TRACE_LAST : 0;
	va_list ap;

	if (s->failed)
		return;
	s->failed = true;
	va_start(ap, fmt);
	vsnprintf(s->why, sizeof(s->why), fmt, ap);
	va_end(ap);
	if (!s->trace)
		for (int64_t i = from; i < s->ntraced; i++)
			print_traced(s, &s->last[i % TRACE_LAST]);
	printf("# seed %" PRIu64 " profile %s at %.6f s: %s\n", s->seed,
	    profile_names[s->sc.profile],
	    (double)(s->now - s->sc.start_us) / 1e6, s->why);
}

/* The database ----------------------------------------------------------- */

int64_t
sim_db_us(struct sim *s)
{
	return 300 + (int64_t)rng_exp(&s->rng, (double)s->sc.db_us / 2);
}

enum fate
sim_fate(struct sim *s)
{
	double u = rng_unit(&s->rng);

	if (s->now >= s->sc.heal_us)
		return FATE_GOOD;
	if (u < s->sc.lost)
		return FATE_LOST;
	if (u < s->sc.lost + s->sc.unknown)
		return FATE_UNKNOWN;
	if (u < s->sc.lost + s->sc.unknown + s->sc.late)
		return FATE_LATE;
	return FATE_GOOD;
}

/* Running ---------------------------------------------------------------- */

/* Lines are left, and some had results since the last time that this was asked.
 */
static bool
more_time(struct sim *s)
{
	if (!s->sc.must_end || store_open(s->store) == 0 ||
	    s->stats.results == s->results_then)
		return false;
	s->results_then = s->stats.results;
	s->sc.end_us += 7200 * SEC;
	return true;
}

bool
sim_run(
    struct sim *s, uint64_t seed, enum profile profile, double days, bool trace)
{
	*s = (struct sim){ .seed = seed,
		.hash = UINT64_C(0xcbf29ce484222325),
		.trace = trace,
		.rng = rng_new(seed, 1) };
	scenario_draw(&s->sc, seed, profile, days);
	if (trace)
		scenario_print(&s->sc);
	s->now = s->sc.start_us;
	s->store = store_new(s);
	s->upstream = upstream_new(s);
	s->check = check_new(s);
	for (size_t i = 0; i < s->sc.nworkers; i++)
		s->workers[i] = worker_new(s, (int)i);
	for (size_t i = 0; i < s->sc.nleaders; i++)
		s->leaders[i] = leader_new(s, (int)i);
	weather_start(s);
	while (!s->failed && s->nheap > 0) {
		struct event e = heap_pop(s);

		if (e.at > s->sc.end_us && !more_time(s))
			break;
		s->now = e.at;
		s->stats.events++;
		e.run(s, &e);
	}
	if (!s->failed)
		check_end(s);
	return !s->failed;
}

void
sim_fini(struct sim *s)
{
	for (size_t i = 0; i < s->sc.nleaders; i++)
		leader_free(s->leaders[i]);
	for (size_t i = 0; i < s->sc.nworkers; i++)
		worker_free(s->workers[i]);
	check_free(s->check);
	upstream_free(s->upstream);
	store_free(s->store);
	free(s->heap);
	s->heap = NULL;
}
