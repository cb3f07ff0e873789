/*
 * sim - the product's pure core in a world of its own: virtual time, events,
 * seeded randomness.
 *
 * scenario.c draws a world from a seed; leader.c does what
 * scheduler/dispatcher.c does around the core, worker.c what worker/ does
 * around outcome.c, store.c what sql/ does; upstream.c enforces limits with
 * limiter.c and check.c compares all of it with what was promised.  All times
 * are microseconds; those without another word are the database's.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <inttypes.h>

#include <sluice/buf.h>
#include <sluice/slc.h>

#include "limiter.h"
#include "rng.h"

#define SEC   INT64_C(1000000)
#define MS    INT64_C(1000)
#define NEVER INT64_MAX

enum {
	LIMITS_MAX = 6,
	WORKERS_MAX = 6,
	LEADERS_MAX = 3,
	TRACE_LAST = 40, /* events shown with a violation */
};

enum profile {
	PROFILE_CALM,
	PROFILE_LONG,
	PROFILE_FAST,
	PROFILE_TOKENS,
	PROFILE_SEATS,
	PROFILE_CHAOS,
	PROFILE_LEARN,
	PROFILE_FOREIGN,
	PROFILE_RACES,
	PROFILE_HEADERS,
	PROFILES
};

extern const char *const profile_names[PROFILES];

/* How an upstream charges tokens. */
enum charge {
	CHARGE_ACTUAL,   /* when the answer is out */
	CHARGE_DECLARED, /* input and cap, at once, for good */
	CHARGE_REFUNDED, /* the same, what was not used given back */
	CHARGE_INPUT,    /* input only, at once */
};

enum dimension { DIM_REQUESTS, DIM_TOKENS, DIM_INPUT, DIM_OUTPUT, DIM_SEATS };
extern const char *const dimension_names[5];

enum style { STYLE_NONE, STYLE_OPENAI, STYLE_RELAY, STYLE_IETF, STYLES };
enum lie {
	LIE_NOT,
	LIE_UNITS,
	LIE_STALE,
	LIE_ABSURD,
	LIE_FLAP,
	LIE_LATE,
	LIES
};

struct sc_limit {
	int32_t id;
	enum dimension dim;
	enum limiter_kind kind;
	int64_t amount, window_us, phase_us, quantum_us, burst;
	bool charge_refused;
};

struct scenario {
	enum profile profile;
	int64_t start_us, end_us;
	struct sc_limit limits[LIMITS_MAX];
	size_t nlimits;
	/* upstream */
	enum { LATENCY_CONST, LATENCY_UNIFORM, LATENCY_LOGNORMAL } latency;
	double latency_s, latency_sd; /* median; sigma of a lognormal */
	double token_s;               /* more for each output token */
	double output, output_sd;     /* tokens: median, sigma */
	double declared;              /* share of lines that say a cap */
	int64_t net_us, jitter_us;    /* the way there: least, spread */
	enum charge charge;
	enum style style;
	enum lie lie;
	bool retry_after;
	double foreign; /* share of the first limit that others use */
	/* people */
	size_t nworkers, nleaders;
	int32_t worker_most;
	int64_t whole_us;
	int attempts;
	int64_t batch_every_us; /* mean; 0: one batch that never ends */
	int32_t batch_lines;    /* median */
	int64_t last_batch_us;
	bool must_end;   /* all lines have results at the end */
	bool seats_bind; /* rather than rates */
	/* database */
	int64_t db_us; /* mean of a round trip */
	/* faults: mean time between; 0: none */
	int64_t worker_kill_us, worker_stop_us, worker_leave_us, leader_kill_us,
	    leader_stop_us;
	int64_t trouble_us; /* the upstream's: outages, errors, broken calls */
	double lost, unknown, late; /* of the database's transactions */
	int64_t heal_us;            /* no faults from here on */
};

void scenario_draw(
    struct scenario *sc, uint64_t seed, enum profile profile, double days);
void scenario_print(const struct scenario *sc);
/* Mean seconds of a call. */
double scenario_latency_s(const struct scenario *sc);

struct sim;
struct event;
typedef void event_fn(struct sim *s, struct event *e);

struct event {
	int64_t at, seq;
	event_fn *run;
	void *obj;
	int64_t gen; /* of obj, when the event was made */
};

struct traced {
	int64_t at;
	const char *what;
	int64_t a, b, c;
};

struct stats {
	int64_t sends, answers, refusals, injected, results, lapsed, events;
	int64_t failed, plans, commits;
	int64_t stretch_units; /* in steady stretches */
	double stretch_due;    /* what the binding limit would have allowed */
	double stretch_us, gaps, gaps2;
	int64_t ngaps;
	double busy_us, seat_us; /* seats: used, there */
};

struct store;
struct upstream;
struct check;
struct leader;
struct worker;

struct sim {
	uint64_t seed;
	struct scenario sc;
	int64_t now;
	struct event *heap;
	size_t nheap, heap_cap;
	int64_t seq;
	uint64_t hash;
	struct traced last[TRACE_LAST];
	int64_t ntraced;
	bool trace, failed;
	char why[400];
	struct rng rng; /* of the network and the database */
	struct stats stats;
	int64_t results_then; /* when the end was last put off */
	struct store *store;
	struct upstream *upstream;
	struct check *check;
	struct leader *leaders[LEADERS_MAX];
	struct worker *workers[WORKERS_MAX];
};

/* sim.c */
void sim_at(struct sim *s, int64_t at, event_fn *run, void *obj, int64_t gen);
/* The same event once more, later. */
void sim_defer(struct sim *s, const struct event *e, int64_t at);
/* An event worth telling; what is a constant. */
void
sim_trace(struct sim *s, const char *what, int64_t a, int64_t b, int64_t c);
/* An invariant is broken: the run ends. */
void sim_fail(struct sim *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Run a seed; false when an invariant broke. */
bool sim_run(struct sim *s, uint64_t seed, enum profile profile, double days,
    bool trace);
void sim_fini(struct sim *s);
/* One way of a message to the database or back. */
int64_t sim_db_us(struct sim *s);
/* What becomes of a transaction. */
enum fate { FATE_GOOD, FATE_LOST, FATE_UNKNOWN, FATE_LATE };
enum fate sim_fate(struct sim *s);

#endif
