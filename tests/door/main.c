/*
 * door - callers at the door, as one sluiced has them: asks, and says what it
 * was told.  For tests and bench/admission.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/db.h>
#include <sluice/log.h>

#include "../../scheduler/admit_limits.h"

enum { LATENCIES_MAX = 1 << 20 };

static struct door {
	uv_loop_t loop;
	struct db *db;
	struct admit *admit;
	struct conf {
		const char *database, *model;
		int64_t account, first_key, keys, callers, asks, seconds;
		int64_t input, output, used_input, used_output;
		bool settle, obey, verbose;
	} conf;
	int64_t as_of;
	int64_t asked, open, settling, started_us, ended_us;
	int64_t verdicts[ADMIT_DB + 1];
	int64_t early; /* refused again after the wait they were told */
	uint32_t *latency_us;
	size_t nlatencies;
} door;

struct caller {
	uv_timer_t wait;
	int64_t key, asked_us, admission;
	bool waited;
};

static void caller_ask(struct caller *c);
static void caller_send(struct caller *c);

static int64_t
now_us(void)
{
	return (int64_t)(uv_hrtime() / 1000);
}

static void
door_on_closed(void *arg)
{
	(void)arg;
}

static void
door_on_admit_closed(void *arg)
{
	(void)arg;
	db_close(door.db, door_on_closed, NULL);
}

static void
caller_leave(struct caller *c)
{
	uv_close((uv_handle_t *)&c->wait, NULL);
	if (--door.open > 0)
		return;
	door.ended_us = now_us();
	admit_free(door.admit, door_on_admit_closed, NULL);
}

static void
caller_next(struct caller *c)
{
	bool over = door.conf.seconds > 0 ? door.asked > door.conf.keys &&
		now_us() - door.started_us >= door.conf.seconds * 1000000
					  : door.asked >= door.conf.asks;

	if (over)
		caller_leave(c);
	else
		caller_ask(c);
}

static void
caller_on_settled(struct db_result *res, void *arg)
{
	if (db_rc(res) != SLC_OK || !db_bool(res, 0, 0, 0))
		fprintf(stderr, "door: not settled: %s\n", db_message(res));
	caller_next(arg);
}

static void
caller_on_waited(uv_timer_t *timer)
{
	struct caller *c = timer->data;

	c->waited = true;
	caller_ask(c);
}

static void
say(const struct caller *c, const struct admit_answer *a)
{
	static const char *const names[] = { "yes", "limited", "busy",
		"no_model", "no_cheap", "no_path", "stale", "db" };

	printf("{\"key\":%" PRId64 ",\"verdict\":\"%s\",\"admission\":%" PRId64
	       ",\"path\":%" PRId32 ",\"wait_us\":%" PRId64
	       ",\"limit\":\"%s\",\"dimension\":\"%s\",\"scope\":\"%s\","
	       "\"known\":%s,\"amount\":%" PRId64 ",\"used\":%" PRId64
	       ",\"window_s\":%" PRId64 ",\"reset_us\":%" PRId64
	       ",\"url\":\"%s\"}\n",
	    c->key, names[a->verdict], a->admission, a->path, a->wait_us,
	    a->limit, a->dimension, a->scope,
	    a->headline.known ? "true" : "false", a->headline.amount,
	    a->headline.used, a->headline.window_s, a->headline.reset_us,
	    a->worker_url);
	fflush(stdout);
}

/* Its keys are good: it only has to know under which revision. */
static void
caller_on_revision(struct db_result *res, void *arg)
{
	struct caller *c = arg;
	struct admit_limits limits;

	if (db_rc(res) == SLC_OK &&
	    admit_limits_read(db_slice(res, 0, 0, 0), &limits)) {
		door.as_of = limits.revision;
		admit_limits_fini(&limits);
	}
	caller_send(c);
}

static struct admit_ask
ask_of(const struct caller *c)
{
	return (struct admit_ask){ .as_of = door.as_of,
		.era = admit_era(door.admit),
		.account = door.conf.account,
		.key = c->key,
		.model = door.conf.model,
		.resource = "chat",
		.input = door.conf.input,
		.output = door.conf.output,
		.priority = 4 };
}

static void
caller_on_answer(const struct admit_answer *a, void *arg)
{
	struct caller *c = arg;
	struct admit_ask ask = ask_of(c);

	if (a->verdict == ADMIT_LIMITED || a->verdict == ADMIT_BUSY)
		admit_refused(door.admit, &ask);
	if (a->verdict == ADMIT_STALE) {
		db_run(door.db, caller_on_revision, c, STMT_DOOR_LIMITS,
		    door.conf.account, c->key, door.conf.model, "chat");
		return;
	}
	door.verdicts[a->verdict]++;
	if (door.nlatencies < LATENCIES_MAX)
		door.latency_us[door.nlatencies++] =
		    (uint32_t)(now_us() - c->asked_us);
	if (door.conf.verbose)
		say(c, a);
	if (a->verdict == ADMIT_LIMITED && c->waited)
		door.early++;
	c->waited = false;
	if (a->verdict == ADMIT_LIMITED && door.conf.obey && a->wait_us > 0)
		uv_timer_start(&c->wait, caller_on_waited,
		    (uint64_t)(a->wait_us / 1000 + 1), 0);
	else if (a->verdict == ADMIT_YES && door.conf.settle)
		db_run(door.db, caller_on_settled, c, STMT_LIVE_SETTLE,
		    a->admission, INT64_C(0), INT64_C(200),
		    door.conf.used_input, INT64_C(0), door.conf.used_output,
		    INT64_C(0), INT64_C(1), INT64_C(1), 1);
	else
		caller_next(c);
}

/* Every key was known once: from here on it is measured. */
static void
start_over(void)
{
	door.nlatencies = 0;
	memset(door.verdicts, 0, sizeof(door.verdicts));
	door.started_us = now_us();
}

static void
caller_send(struct caller *c)
{
	struct admit_ask ask = ask_of(c);

	c->asked_us = now_us();
	admit_ask(door.admit, &ask, caller_on_answer, c);
}

static void
caller_ask(struct caller *c)
{
	if (!c->waited)
		door.asked++;
	if (door.conf.seconds > 0 && door.asked == door.conf.keys + 1 &&
	    door.nlatencies > 0)
		start_over();
	/* A walk over all keys, each caller elsewhere. */
	if (door.conf.keys > 1)
		c->key = door.conf.first_key +
		    (int64_t)((uint64_t)door.asked * 7919 %
			(uint64_t)door.conf.keys);
	caller_send(c);
}

static int
by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void
report(void)
{
	double seconds = (double)(door.ended_us - door.started_us) / 1e6;
	size_t n = door.nlatencies;

	qsort(door.latency_us, n, sizeof(*door.latency_us), by_size);
	printf("{\"asked\":%" PRId64 ",\"yes\":%" PRId64 ",\"limited\":%" PRId64
	       ",\"busy\":%" PRId64 ",\"no_model\":%" PRId64
	       ",\"no_path\":%" PRId64 ",\"db\":%" PRId64 ",\"early\":%" PRId64
	       ",\"seconds\":%.3f,\"per_s\":%.0f,\"p50_us\":%u,\"p99_us\":%u"
	       "}\n",
	    door.asked, door.verdicts[ADMIT_YES], door.verdicts[ADMIT_LIMITED],
	    door.verdicts[ADMIT_BUSY], door.verdicts[ADMIT_NO_MODEL],
	    door.verdicts[ADMIT_NO_PATH], door.verdicts[ADMIT_DB], door.early,
	    seconds, (double)n / seconds, n == 0 ? 0 : door.latency_us[n / 2],
	    n == 0 ? 0 : door.latency_us[n * 99 / 100]);
}

static bool
parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "database", required_argument, NULL, 'd' },
		{ "model", required_argument, NULL, 'm' },
		{ "account", required_argument, NULL, 'a' },
		{ "key", required_argument, NULL, 'k' },
		{ "keys", required_argument, NULL, 'K' },
		{ "callers", required_argument, NULL, 'c' },
		{ "asks", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 's' },
		{ "tokens", required_argument, NULL, 't' },
		{ "used", required_argument, NULL, 'u' },
		{ "obey", no_argument, NULL, 'o' },
		{ "verbose", no_argument, NULL, 'v' },
		{ 0 },
	};
	struct conf *c = &door.conf;
	int o;

	*c = (struct conf){ .model = "m",
		.account = 1,
		.first_key = 1,
		.keys = 1,
		.callers = 1,
		.asks = 1,
		.input = 1,
		.output = 1 };
	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (o) {
		case 'd':
			c->database = optarg;
			break;
		case 'm':
			c->model = optarg;
			break;
		case 'a':
			c->account = atoll(optarg);
			break;
		case 'k':
			c->first_key = atoll(optarg);
			break;
		case 'K':
			c->keys = atoll(optarg);
			break;
		case 'c':
			c->callers = atoll(optarg);
			break;
		case 'n':
			c->asks = atoll(optarg);
			break;
		case 's':
			c->seconds = atoll(optarg);
			break;
		case 't':
			if (sscanf(optarg, "%" SCNd64 ",%" SCNd64, &c->input,
				&c->output) != 2)
				return false;
			break;
		case 'u':
			c->settle = true;
			if (sscanf(optarg, "%" SCNd64 ",%" SCNd64,
				&c->used_input, &c->used_output) != 2)
				return false;
			break;
		case 'o':
			c->obey = true;
			break;
		case 'v':
			c->verbose = true;
			break;
		default:
			return false;
		}
	return c->database != NULL && optind == argc;
}

int
main(int argc, char **argv)
{
	struct db_opts opts = { .program = "door", .connections = 8 };
	struct caller *callers;

	log_init("door", LOG_WARN);
	if (!parse(argc, argv)) {
		fputs("usage: door --database DSN [--model M] [--account ID] "
		      "[--key ID] [--keys N] [--callers N]\n"
		      "\t[--asks N | --seconds S] [--tokens IN,OUT] [--used "
		      "IN,OUT] [--obey] [--verbose]\n",
		    stderr);
		return 2;
	}
	uv_loop_init(&door.loop);
	opts.dsn = door.conf.database;
	door.db = db_open(&door.loop, &opts);
	door.admit = admit_new(&door.loop, door.db, "door");
	door.latency_us = calloc(LATENCIES_MAX, sizeof(*door.latency_us));
	callers = calloc((size_t)door.conf.callers, sizeof(*callers));
	if (door.latency_us == NULL || callers == NULL)
		return 1;
	door.open = door.conf.callers;
	door.started_us = now_us();
	for (int64_t i = 0; i < door.conf.callers; i++) {
		callers[i].key = door.conf.first_key;
		uv_timer_init(&door.loop, &callers[i].wait);
		callers[i].wait.data = &callers[i];
		caller_next(&callers[i]);
	}
	uv_run(&door.loop, UV_RUN_DEFAULT);
	report();
	free(callers);
	free(door.latency_us);
	return uv_loop_close(&door.loop) != 0;
}
