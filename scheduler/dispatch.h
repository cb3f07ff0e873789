/*
 * dispatch - which lines go next, by which path, and when: the decision.
 *
 * Pure: state, backlog, what was seen and the time go in, a plan comes out, and
 * dispatcher.c carries it between this and the database.  All times are
 * microseconds of the database's clock.
 *
 * The limit is the unit.  A line is granted the earliest slot that all limits
 * of its path, pool and model allow, at most DISPATCH_HORIZON_US ahead.  Two
 * kinds of slot:
 *
 *   strict  leaves within PACE_LATE_US of its slot or comes back unsent; used
 *           where rates bind and a seat will be free;
 *   loose   leaves as soon as a seat is free, up to seconds later; used where
 *           seats bind, so that a freed seat is taken at once and no slot
 *           lapses.  The ledger carries it at the end of its time, so the limit
 *           holds whenever it leaves.
 */
#ifndef SCHEDULER_DISPATCH_H
#define SCHEDULER_DISPATCH_H

#include <sluice/buf.h>
#include <sluice/dialect.h>
#include <sluice/slc.h>

#include "aimd.h"
#include "breaker.h"
#include "clock.h"
#include "estimate.h"
#include "fair.h"
#include "foreign.h"
#include "pace.h"
#include "route.h"
#include "seats.h"

enum {
	DISPATCH_LEAD_US = 150000,    /* commit and take: no slot is nearer */
	DISPATCH_HORIZON_US = 500000, /* no slot is farther */
	DISPATCH_LOOSE_US = 10000000, /* least keep of a loose slot */
	DISPATCH_LOOSE_MAX_US = 600000000,
	DISPATCH_PLAN_LINES = 4096, /* of one plan */
	DISPATCH_FAILED_MAX = 256,  /* of one plan */
	DISPATCH_ASIDE_MAX = 256,   /* large lines of a lane that others pass */
	DISPATCH_CROWD_WINDOWS = 4, /* so many windows' worth wait: a crowd */
	DISPATCH_DIALECT_MAX = 31,
	DISPATCH_PENDING_MS = 3600000,
	DISPATCH_NO_POOL = -1,
	DISPATCH_READINGS = 8, /* of a path that are kept for people */
	DISPATCH_OWNERS = 4096,
};
/* Deviations of what calls under way may use above their estimates. */
#define DISPATCH_MARGIN 4.0

/* Configuration -------------------------------------------------------- */

/* The least and the most of late, so that what has passed is forgotten. */
struct dispatch_spread {
	int64_t since_us;
	int64_t n, min_us, max_us;             /* of this period */
	int64_t old_n, old_min_us, old_max_us; /* of the one before */
};

/* sql/001h_routes.sql */
enum dispatch_kind { DISPATCH_DIRECT, DISPATCH_SUFFIX, DISPATCH_BATCHES };

/* Live calls of a path. */
struct dispatch_live {
	int64_t held;    /* open, where the path's concurrency was learned */
	bool waited;     /* one found it used up */
	int64_t open;    /* now, for people */
	int64_t seen_us; /* when there were some last; 0: never */
	struct {
		int64_t s;
		int32_t over, open; /* that were sent in this second */
	} sends[64];                /* by second % 64 */
};

struct dispatch_path {
	int32_t id, pool;
	enum dispatch_kind kind;
	char **models; /* globs */
	size_t nmodels;
	struct route_price *prices; /* times of the database */
	size_t nprices;
	enum pace_charge charge;
	int32_t combine; /* lines that may share a call; 1: none do */
	struct breaker breaker;
	int64_t edited;   /* as in the configuration */
	int64_t out;      /* calls handed out without an outcome */
	int64_t going;    /* batches: of these, not with the upstream yet */
	struct aimd aimd; /* calls at once, where no limit says it */
	/* learned */
	struct dispatch_spread connect, late;
	char dialect[DISPATCH_DIALECT_MAX + 1];
	int64_t contended_us; /* its concurrency, undeclared, was all taken */
	size_t joins;         /* as of a rate */
	struct dispatch_reading *readings; /* DISPATCH_READINGS, or NULL */
	size_t nreadings;
	/* slots granted in each of the last seconds, by second % 64 */
	int64_t granted_s[64];
	int32_t granted[64];
	struct dispatch_live live;
};

/* What a limit is on: a pool or one path of it, the models that match. */
struct dispatch_scope {
	int32_t pool, path; /* path 0: all of the pool; pool DISPATCH_NO_POOL: a
			       limit of callers, whose lanes name it */
	char *model;        /* glob */
};

/* Of the choice of paths: seconds of a limit that lanes want. */
struct dispatch_work {
	double due_s;    /* those with a deadline before this lane's */
	double direct_s; /* those that go direct anyway and are due later */
};

struct dispatch_rate {
	int32_t id;
	struct dispatch_scope scope;
	int64_t configured; /* amount, nothing taken off */
	int64_t since_us;   /* what was sent before may not be in the ledger */
	struct pace pace;
	struct foreign foreign;
	/* tokens of calls under way that were not declared */
	double pending_more, pending_variance;
	double hurry;  /* of this plan */
	double due;    /* units up to the deadline of lane, for it */
	int64_t lane;  /* the last that was counted for it */
	bool changed;  /* next, pause, ladder: to be written */
	char why[128]; /* it is paused */
	/* of this plan: a line waits for it, a large one */
	bool waited, large_waited;
	int64_t contended_us; /* the last time that one waited */
	size_t joins;         /* in this plan: a model + 1 that contends */
	bool crowded;         /* large ones wait for several windows */
	int64_t large_units;  /* the first of them that waits */
	/* Live calls: units they ever took, as of live_us, and a microsecond */
	int64_t live_total, live_us;
	double live_rate;
	int64_t kept; /* for others and doubts, as last written */
	struct dispatch_work work;
};

struct dispatch_seats {
	int32_t id; /* 0: what the workers can hold, whatever the path */
	struct dispatch_scope scope;
	int64_t amount;  /* for batches */
	int64_t reserve; /* beside it: for live calls alone */
	int64_t granted; /* to live workers */
	int64_t frozen;  /* to dead ones: their calls may still be open */
	int64_t out;
	int64_t contended_us; /* the last time that none was free */
	size_t joins;         /* as of a rate */
	int64_t live;         /* open live calls */
	bool live_waited;     /* one found no seat */
	int64_t live_us;      /* when there were some last */
	int64_t wanted_us;    /* when a line asked for one last */
};

/* Why the next line of a flow does not go now. */
enum dispatch_waits {
	DISPATCH_WAITS_NOT,
	DISPATCH_WAITS_DOWN,  /* the path's breaker */
	DISPATCH_WAITS_PAUSE, /* paused_us of the flow */
	DISPATCH_WAITS_SEATS,
	DISPATCH_WAITS_RATE,  /* waits_rate, for waits_units */
	DISPATCH_WAITS_QUEUE, /* waits_queued */
};

/* A model that lines are for.  Those that wait for the same limits stand in one
 * book; one that waits for none has its own. */
struct dispatch_model {
	char *name;
	struct dispatch_flow **flows; /* one for each path that serves it */
	size_t nflows;
	bool resolved; /* all of them are there */
	struct fair_book own;
	/* of this plan: */
	struct fair_book *book;
	bool waits; /* lines of it do */
	size_t joins;
	int64_t key; /* of the book; INT64_MAX: its own */
};

/* A model on a path: what applies to it and what was learned of it. */
struct dispatch_flow {
	int32_t path_id;
	char *model;
	struct dispatch_path *path;
	struct dispatch_model *of;
	struct dispatch_rate **rates;
	size_t nrates;
	struct dispatch_seats **seats;
	size_t nseats;
	struct dispatch_queued **queued; /* dispatch_enqueue.h */
	size_t nqueued;
	struct estimate estimate;
	bool learned; /* since it was last written */
	int64_t out;
	int64_t paused_us;  /* refused, and no limit of ours to blame */
	int refusals;       /* of that kind, in a row */
	int64_t refused_us; /* paused by them, until then */
	bool probing;       /* after it one call shows whether it is over */
	int64_t probed_us;  /* slot of the last call */
	/* What answers said was left as calls stopped for it. */
	bool told_stop;
	int64_t told_left;
	bool undeclared; /* nothing but aimd says how many calls at once */
	/* calls under way whose tokens are not known, oldest first */
	struct dispatch_pending {
		int64_t slot_us;
		int32_t mean, cap; /* output: reserved, declared or -1 */
		int32_t lines;
	} * pending;
	size_t npending, pending_cap;
	/* of this plan: */
	enum dispatch_waits waits;
	const struct dispatch_rate *waits_rate;
	int64_t waits_units;
	const struct dispatch_queued *waits_queued;
	bool blocked;
	bool large_blocked;        /* lines with large costs */
	struct dispatch_work work; /* where no rate limit binds */
};

#include "dispatch_lane.h"
#include "dispatch_plan.h"

struct dispatch {
	int64_t revision; /* of the configuration */
	/* The database's, and whether it was another's when the ledgers were
	 * written last: a failover, which may have lost the newest of them. */
	int32_t timeline;
	bool timeline_new, failed_over;
	struct clock clock; /* all times in memory are its */
	struct dispatch_path **paths;
	size_t npaths;
	struct dispatch_rate **rates;
	size_t nrates;
	struct dispatch_seats **seats; /* [0]: the workers */
	size_t nseats;
	struct dispatch_queued **queued;
	size_t nqueued;
	struct dispatch_flow **flows;
	size_t nflows;
	struct dispatch_lane **lanes; /* by book, class, account, and then in
					 the order they go */
	size_t nlanes;
	struct dispatch_lane **by_id; /* the same lanes */
	int64_t workers;              /* live */
	double margin;                /* DISPATCH_MARGIN */
	/* dispatch_order.c */
	struct dispatch_model **models;
	size_t nmodels;
	struct fair_book **books; /* of limits */
	size_t nbooks;
	struct dispatch_turns *turns;  /* of this plan; NULL before the first */
	struct dispatch_owner *owners; /* DISPATCH_OWNERS, or NULL */
	size_t owner;                  /* the next to be overwritten */
	int64_t route_us; /* paths were chosen; 0: they must be anew */
	struct dispatch_purse *purses; /* of the working set */
	size_t npurses;
};

/* dispatch_conf.c: configuration and flows ------------------------------ */

void dispatch_init(struct dispatch *d);
void dispatch_fini(struct dispatch *d);

/* Exchange the configuration; what keeps its id keeps its state. */
struct dispatch_conf_path {
	int32_t id, pool;
	enum dispatch_kind kind;
	const char *const *models;
	size_t nmodels;
	struct route_price *prices; /* moved */
	size_t nprices;
	enum breaker_health
	    health; /* these three for a path that is new here */
	int64_t until_us;
	int failures;
	int64_t edited; /* while it was not up: another one each time */
	int64_t edited_us;
	enum pace_charge charge;
	int32_t combine;     /* 0: as 1 */
	int64_t concurrency; /* learned before; 0: nothing */
	bool concurrency_found;
	int64_t concurrency_refused;
};
struct dispatch_conf_limit {
	int32_t id, pool, path;
	const char *model;
	enum pace_dimension dimension;
	int64_t window_us; /* 0 for concurrency and queues */
	int64_t amount;
	double headroom, reserve;
	int64_t next_us, paused_us; /* these for a limit that is new here */
	struct ladder ladder;
	struct adaptive adaptive;
	int64_t most, refused_us; /* of a queue */
};
void
dispatch_configure(struct dispatch *d, const struct dispatch_conf_path *paths,
    size_t npaths, const struct dispatch_conf_limit *limits, size_t nlimits);

struct dispatch_rate *dispatch_rate(struct dispatch *d, int32_t id);
struct dispatch_path *dispatch_path(struct dispatch *d, int32_t id);
/* Made on first use. */
struct dispatch_model *dispatch_model(struct dispatch *d, const char *name);
/* See to it that all its flows are there. */
void dispatch_model_resolve(struct dispatch *d, struct dispatch_model *m);
/* The flow, made on first use; NULL when there is no such path any more. */
struct dispatch_flow *
dispatch_flow(struct dispatch *d, int32_t path, const char *model);

/* The world: call begin, then the rest, before each plan. */
void dispatch_world_begin(struct dispatch *d);
void dispatch_out(
    struct dispatch *d, int32_t path, const char *model, int64_t calls);
void dispatch_worker(struct dispatch *d, int32_t most);
/* To a worker that lives, or does not. */
void
dispatch_granted(struct dispatch *d, int32_t limit, int64_t seats, bool live);

/* dispatch_route.c: which paths a lane may take --------------------------- */

/* Bring the lanes' ways up to date, at most twice a second. */
void dispatch_route(struct dispatch *d, int64_t now_us);

/* dispatch_live.c: live calls ------------------------------------------- */

/* What stands in a cell of their ledger; cell 0: calls open now.  A limit below
 * 0 is what was learned of a path's concurrency. */
void dispatch_live_cell(
    struct dispatch *d, int32_t limit, int64_t cell, int64_t units);
void dispatch_live_path(struct dispatch *d, int32_t path, bool waited);
/* Calls of the path that count against what was learned of it. */
int64_t dispatch_path_open(const struct dispatch_path *path);
/* Units they ever took; one has found no room in the last seconds. */
void dispatch_live_limit(struct dispatch *d, int32_t limit, int64_t total,
    bool waited, int64_t now_us);
/* For people: a call of the path that is over was sent at us; those that are
 * open, after begin (us 0: longer than a minute ago). */
void dispatch_live_over(struct dispatch *d, int32_t path, int64_t us);
void dispatch_live_open_begin(struct dispatch *d);
void dispatch_live_open(
    struct dispatch *d, int32_t path, int64_t us, int64_t n, int64_t now_us);
/* Calls sent in a second of the last minute. */
int32_t dispatch_live_sends(const struct dispatch_path *path, int64_t second);
/* Some path has had live calls in the last minute. */
bool dispatch_live_lately(const struct dispatch *d, int64_t now_us);

/* Seats that the workers may have: what live calls leave. */
int64_t dispatch_seats_amount(const struct dispatch_seats *s);
/* The same now; none while live calls come and no line wants one. */
int64_t dispatch_seats_wanted(const struct dispatch_seats *s, int64_t now_us);

/* dispatch_seen.c: what workers saw -------------------------------------- */

struct dispatch_entry { /* a call under rate limits */
	int64_t slot_us, keep_us, sent_us;
	int64_t est_input, est_output, input, output;
	int64_t ms; /* latency of an answer whose tokens are known, else 0 */
	int64_t lane;
	int64_t lines; /* of it; 0: one */
};
void dispatch_settle(struct dispatch *d, int32_t path, const char *model,
    const struct dispatch_entry *e);

/* What is left of a limit, as an answer told it. */
struct dispatch_reading {
	struct dialect_reading said;
	int64_t sent_us, answered_us; /* the call that it came with */
};

/* Calls that were refused alike. */
struct dispatch_refusal {
	enum dialect_refusal kind;
	enum dialect_dim dim;
	int32_t window_s; /* 0: not said */
	int64_t n;
	int64_t wait_us; /* the upstream's word, from the answer on; 0: none */
	int64_t sent_us; /* of the last one */
	int64_t in_flight; /* calls of the path that its worker had then */
	char from[DIALECT_FROM_MAX + 1]; /* what told the wait; may be "" */
};

enum {
	DISPATCH_CONNECTS_MIN = 20, /* before a spread means something */
	DISPATCH_LATES_MIN = 200,
};
/* What arrivals jitter, and how late lines may leave, as learned. */
int64_t dispatch_jitter_us(const struct dispatch_path *path);
int64_t dispatch_late_us(const struct dispatch_path *path);

enum { DISPATCH_SEEN_MAX = 32 }; /* readings, refusals in one observation */

struct dispatch_seen {
	int32_t path;
	const char *model;
	struct estimate_sample sample;
	int64_t ok; /* answers, refusals of the request itself included */
	bool down;
	const char *why;
	const char *dialect; /* that was recognised; NULL: none */
	const struct dispatch_reading *readings;
	size_t nreadings;
	const struct dispatch_refusal *refusals;
	size_t nrefusals;
	/* Times that bound the slack: from slots to sends, to connect. */
	int64_t late_us;  /* the most */
	int64_t connects; /* made */
	bool live;        /* one live call; its in_flight as it was sent */
	int64_t connect_min_us, connect_max_us;
};
void dispatch_seen(
    struct dispatch *d, int64_t now_us, const struct dispatch_seen *seen);

/* dispatch_order.c: who goes first ---------------------------------------- */

/* A line of a lane was sent (or came back unsent), and is known to have taken
 * what it did. */
void dispatch_order_settle(struct dispatch *d, const struct dispatch_flow *f,
    const struct dispatch_entry *e);
/* The book of a limit (path: its id below 0), made on first use. */
struct fair_book *dispatch_book(struct dispatch *d, int64_t id, int64_t now_us);

/* dispatch.c: the plan --------------------------------------------------- */

/* Grants of the last lost_us may not be in the ledgers: charge for them. */
void dispatch_lost(struct dispatch *d, int64_t now_us, int64_t lost_us);

/* Fill plan (zeroed) and charge the ledgers for it. */
void
dispatch_plan(struct dispatch *d, int64_t now_us, struct dispatch_plan *plan);

#endif
