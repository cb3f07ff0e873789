/*
 * upstream - a provider of OpenAI's API that exists for the tests.
 *
 *   serve     connections and HTTP
 *   call      a request from its arrival to its answer
 *   foreign   other clients of the same account
 *   control   /_stats, /_sends, /_control
 *   conf      options
 *
 * and, pure: limiter, limit_spec, dialect, fault, chance, answer, request,
 * stats. Nothing here comes from lib/ or include/sluice: the product is judged
 * by code of its own.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "upstream.h"

int64_t
upstream_now(const struct upstream *u)
{
	return (int64_t)uv_hrtime() + u->clock_skew_ns;
}

bool
upstream_is_out(const struct upstream *u)
{
	double s;

	if (u->conf.outage.to_s <= 0)
		return false;
	s = (double)(upstream_now(u) - u->start_ns) / 1e9;
	return s >= u->conf.outage.from_s && s < u->conf.outage.to_s;
}

static uint64_t
draw_phase(void *arg)
{
	return chance_next(arg);
}

void
upstream_set_limits(struct upstream *u)
{
	struct limit_ticket unused;

	limiter_fini(&u->limits);
	u->limits = u->conf.limits;
	u->limits_era++;
	limiter_start(&u->limits, draw_phase, &u->phases);
	for (size_t i = 0; i < u->stats.n; i++) {
		const struct arrival *a = &u->stats.log[i];
		struct limit_ask ask = {
			.model = u->stats.models[a->model].name,
		};

		stats_units(ask.units, a);
		if (a->fate == FATE_ACCEPTED || a->fate == FATE_FOREIGN)
			limiter_charge(&u->limits, &ask, a->ns, &unused);
	}
}

static bool
write_port(const char *path, int port)
{
	char part[300];
	FILE *f;
	bool ok;

	snprintf(part, sizeof(part), "%s.%d", path, (int)getpid());
	f = fopen(part, "w");
	if (f == NULL)
		return false;
	ok = fprintf(f, "%d\n", port) > 0;
	ok = fclose(f) == 0 && ok;
	return ok && rename(part, path) == 0;
}

static void
main_on_signal(uv_signal_t *signal, int number)
{
	struct upstream *u = signal->data;
	struct text out = { 0 };

	(void)number;
	control_stats(u, "", &out);
	fwrite(out.p, 1, out.n, stdout);
	free(out.p);
	exit(fflush(stdout) == 0 ? 0 : 1);
}

static void
watch_signals(struct upstream *u, uv_signal_t watchers[2])
{
	static const int numbers[] = { SIGTERM, SIGINT };

	for (size_t i = 0; i < 2; i++) {
		uv_signal_init(u->loop, &watchers[i]);
		watchers[i].data = u;
		uv_signal_start(&watchers[i], main_on_signal, numbers[i]);
	}
	signal(SIGPIPE, SIG_IGN);
}

/* Thousands of connections are the rule; ask for all we may have. */
static void
raise_file_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static void
upstream_init(struct upstream *u)
{
	struct timespec wall;
	uint64_t seed = (uint64_t)u->conf.seed;

	clock_gettime(CLOCK_REALTIME, &wall);
	u->clock_skew_ns = (int64_t)wall.tv_sec * 1000000000 + wall.tv_nsec -
	    (int64_t)uv_hrtime();
	u->start_ns = upstream_now(u);
	u->loop = uv_default_loop();
	/* A stream each: one more fault does not change the latencies. */
	u->latencies.state = seed * 3;
	u->faults.state = seed * 3 + 1;
	u->phases.state = seed * 3 + 2;
	u->foreign.chance.state = ~seed;
	u->stats.no_log = u->conf.no_log;
	/* Arrivals that name no model have number 0. */
	stats_model(&u->stats, "", 0);
	upstream_set_limits(u);
	foreign_start(u);
}

int
main(int argc, char **argv)
{
	static struct upstream u;
	uv_signal_t watchers[2];
	char err[160];
	bool help;
	int port;

	conf_default(&u.conf);
	if (!conf_args(&u.conf, argc, argv, &help, err)) {
		fprintf(stderr, "upstream: %s\nTry upstream --help.\n", err);
		return 2;
	}
	if (help) {
		conf_help(stdout);
		return 0;
	}
	raise_file_limit();
	upstream_init(&u);
	watch_signals(&u, watchers);
	port = server_start(&u);
	if (port < 0) {
		fprintf(stderr, "upstream: %s:%" PRId64 ": %s\n", u.conf.host,
		    u.conf.port, uv_strerror(port));
		return 1;
	}
	if (u.conf.port_file[0] != '\0' &&
	    !write_port(u.conf.port_file, port)) {
		perror(u.conf.port_file);
		return 1;
	}
	printf("upstream: listening on http://%s:%d\n", u.conf.host, port);
	fflush(stdout);
	uv_run(u.loop, UV_RUN_DEFAULT);
	return 0;
}
