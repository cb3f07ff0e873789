/*
 * sim [--seed N | --seeds A-B] [--profile P] [--days D] [--trace] [--json]
 *
 * Runs each seed and prints what came of it, the hash of its events included;
 * exits 1 with the first broken invariant.  Without a profile the seed chooses
 * one.  sim --tap A-B is the test of tests/run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "sim.h"

/* Events under way at the end keep what they hold. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}

/*
 * Memory of documents, which are most of the work: pieces of a few sizes, kept
 * for the next one.
 */
enum { PIECE = 32, PIECES = 16 };

#ifdef __SANITIZE_ADDRESS__
enum { KEEP_PIECES = 0 }; /* it wants to see each of them come and go */
#else
enum { KEEP_PIECES = 1 };
#endif

struct piece {
	struct piece *next; /* while it is free */
	size_t n; /* its size, in PIECEs; more than PIECES: malloc's */
};

static struct piece *pieces[PIECES + 1];

static void *
piece_alloc(size_t size)
{
	size_t n = (size + PIECE - 1) / PIECE;
	struct piece *p = n <= PIECES ? pieces[n] : NULL;

	if (p != NULL)
		pieces[n] = p->next;
	else
		p = malloc(sizeof(*p) + n * PIECE);
	if (p == NULL)
		abort();
	p->n = n;
	return p + 1;
}

static void
piece_free(void *memory)
{
	struct piece *p = memory;

	if (p == NULL)
		return;
	p--;
	if (p->n > PIECES) {
		free(p);
		return;
	}
	p->next = pieces[p->n];
	pieces[p->n] = p;
}

struct args {
	uint64_t from, to;
	int profile; /* -1: the seed chooses */
	double days;
	bool trace, json, tap, quiet;
};

struct total {
	int64_t seeds, failed, refusals, sends, events;
	double util_min, util_sum, virtual_s;
	int64_t utils;
};

/* Those that hold now; the others are asked for by name. */
static enum profile
choose(const struct args *a, uint64_t seed)
{
	static const enum profile usual[] = { PROFILE_CALM, PROFILE_CHAOS,
		PROFILE_SEATS, PROFILE_CALM, PROFILE_CHAOS, PROFILE_LONG };

	return a->profile >= 0 ? (enum profile)a->profile
			       : usual[seed % NITEMS(usual)];
}

static double
utilisation(const struct stats *st)
{
	if (st->stretch_due > 0)
		return (double)st->stretch_units / st->stretch_due;
	return -1;
}

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
print_seed(const struct args *a, const struct sim *s)
{
	const struct stats *st = &s->stats;
	double util = utilisation(st),
	       cv = st->ngaps > 0
	    ? sqrt(fmax(
		  0, st->gaps2 * (double)st->ngaps / (st->gaps * st->gaps) - 1))
	    : -1,
	       seats = st->seat_us > 0 ? st->busy_us / st->seat_us : -1;

	if (a->json)
		printf("{\"seed\":%" PRIu64 ",\"profile\":\"%s\",\"hash\":\""
		       "%016" PRIx64 "\",\"good\":%s,\"sends\":%" PRId64
		       ",\"results\":%" PRId64 ",\"refusals\":%" PRId64
		       ",\"lapsed\":%" PRId64 ",\"utilisation\":%.4f,"
		       "\"cv\":%.3f,\"seats\":%.4f,\"events\":%" PRId64 "}\n",
		    s->seed, profile_names[s->sc.profile], s->hash,
		    s->failed ? "false" : "true", st->sends, st->results,
		    st->refusals, st->lapsed, util, cv, seats, st->events);
	else if (!a->tap && !a->quiet)
		printf("seed %-5" PRIu64 " %-7s %s %016" PRIx64
		       " sends %-7" PRId64 " 429 %-3" PRId64
		       " lapsed %-4" PRId64 " util %.4f cv %.3f seats %.3f\n",
		    s->seed, profile_names[s->sc.profile],
		    s->failed ? "FAILED" : "ok", s->hash, st->sends,
		    st->refusals, st->lapsed, util, cv, seats);
}

static bool
run_seed(const struct args *a, uint64_t seed, struct total *t, uint64_t *hash)
{
	struct sim *s = xcalloc(1, sizeof(*s));
	bool good = sim_run(s, seed, choose(a, seed), a->days, a->trace);
	double util = utilisation(&s->stats);

	print_seed(a, s);
	t->seeds++;
	t->failed += !good;
	t->refusals += s->stats.refusals;
	t->sends += s->stats.sends;
	t->events += s->stats.events;
	t->virtual_s += (double)(s->now - s->sc.start_us) / 1e6;
	if (util >= 0) {
		if (t->utils == 0 || util < t->util_min)
			t->util_min = util;
		t->util_sum += util;
		t->utils++;
	}
	if (hash != NULL)
		*hash = s->hash;
	sim_fini(s);
	free(s);
	return good;
}

static void
print_total(const struct total *t, double wall_s)
{
	printf("# %" PRId64 " seeds, %" PRId64 " violations, %" PRId64
	       " sends, %" PRId64 " refused, utilisation min %.4f mean %.4f, "
	       "%.1f days in %.1f s: %.1f days a second\n",
	    t->seeds, t->failed, t->sends, t->refusals, t->util_min,
	    t->utils > 0 ? t->util_sum / (double)t->utils : 0,
	    t->virtual_s / 86400, wall_s, t->virtual_s / 86400 / wall_s);
}

static int
tap(struct args *a)
{
	struct total t = { 0 };
	uint64_t first = 0, again = 0;
	int64_t failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..%" PRIu64 "\n", a->to - a->from + 2);
	for (uint64_t seed = a->from; seed <= a->to; seed++) {
		bool good =
		    run_seed(a, seed, &t, seed == a->from ? &first : NULL);

		failed += !good;
		printf("%s %" PRIu64 " - sim: seed %" PRIu64 " (%s)\n",
		    good ? "ok" : "not ok", seed - a->from + 1, seed,
		    profile_names[choose(a, seed)]);
	}
	run_seed(a, a->from, &t, &again);
	failed += first != again;
	printf("%s %" PRIu64 " - sim: a seed gives the same events twice\n",
	    first == again ? "ok" : "not ok", a->to - a->from + 2);
	return failed > 0;
}

static void
usage(void)
{
	fprintf(stderr,
	    "usage: sim [--seed N | --seeds A-B | --tap A-B] [--profile P] "
	    "[--days D]\n           [--trace] [--json] [--quiet]\n");
	exit(2);
}

static void
parse(int argc, char **argv, struct args *a)
{
	for (int i = 1; i < argc; i++) {
		const char *v = i + 1 < argc ? argv[i + 1] : "";
		char *end;

		if (strcmp(argv[i], "--trace") == 0) {
			a->trace = true;
		} else if (strcmp(argv[i], "--json") == 0) {
			a->json = true;
		} else if (strcmp(argv[i], "--quiet") == 0) {
			a->quiet = true;
		} else if (strcmp(argv[i], "--days") == 0) {
			a->days = strtod(v, NULL);
			i++;
		} else if (strcmp(argv[i], "--profile") == 0) {
			for (int p = 0; p < PROFILES; p++)
				if (strcmp(v, profile_names[p]) == 0)
					a->profile = p;
			if (a->profile < 0)
				usage();
			i++;
		} else if (strncmp(argv[i], "--seed", 6) == 0 ||
		    strcmp(argv[i], "--tap") == 0) {
			a->tap |= strcmp(argv[i], "--tap") == 0;
			a->from = a->to = strtoull(v, &end, 10);
			if (*end == '-')
				a->to = strtoull(end + 1, &end, 10);
			if (end == v || *end != '\0' || a->to < a->from)
				usage();
			i++;
		} else {
			usage();
		}
	}
}

int
main(int argc, char **argv)
{
	struct args a = { .from = 1, .to = 1, .profile = -1 };
	struct total t = { 0 };
	double start = seconds();

	if (KEEP_PIECES)
		json_set_alloc_funcs(piece_alloc, piece_free);
	parse(argc, argv, &a);
	if (a.tap)
		return tap(&a);
	for (uint64_t seed = a.from; seed <= a.to; seed++)
		run_seed(&a, seed, &t, NULL);
	if (!a.json)
		print_total(&t, seconds() - start);
	return t.failed > 0;
}
