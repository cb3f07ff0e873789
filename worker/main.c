/*
 * sluice-worker - takes runs of lines and calls upstreams.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <sluice/conf.h>
#include <sluice/log.h>
#include <sluice/nofile.h>

#include "drain.h"

static struct worker_app {
	uv_loop_t loop;
	uv_signal_t term, intr;
	struct drain *drain;
	struct {
		const char *database, *name, *live, *live_url;
		const char *hook_nets, *hook_ports, *hook_schemes;
		int64_t max_in_flight, max_live, drain_s, log_level;
	} conf;
} app;

static const struct conf_item items[] = {
	{ "database", CONF_TEXT, NULL, 0, 0, &app.conf.database,
	    "PostgreSQL to work for: a libpq URL or keywords" },
	{ "name", CONF_TEXT, NULL, 0, 0, &app.conf.name,
	    "name shown to operators [host:pid]" },
	{ "max-in-flight", CONF_INT, "256", 1, 100000, &app.conf.max_in_flight,
	    "calls open at once, over all paths" },
	{ "live", CONF_TEXT, NULL, 0, 0, &app.conf.live,
	    "HOST:PORT or unix:/PATH to take live calls at, from sluiced "
	    "[none]" },
	{ "live-url", CONF_TEXT, NULL, 0, 0, &app.conf.live_url,
	    "where sluiced finds that, if it is another http:// address" },
	{ "max-live", CONF_INT, "2048", 1, 100000, &app.conf.max_live,
	    "live calls open at once" },
	{ "webhook-nets", CONF_TEXT, NULL, 0, 0, &app.conf.hook_nets,
	    "where webhooks may go beside public addresses, as "
	    "10.0.0.0/8,..." },
	{ "webhook-ports", CONF_TEXT, "443", 0, 0, &app.conf.hook_ports,
	    "ports that webhooks may go to, with commas between; *: all" },
	{ "webhook-schemes", CONF_TEXT, "https", 0, 0, &app.conf.hook_schemes,
	    "https; or https,http" },
	{ "drain", CONF_SPAN, "30s", 0, 3600, &app.conf.drain_s,
	    "what open calls get to end when the worker is stopped" },
	{ "log-level", CONF_LOGLEVEL, "info", 0, 0, &app.conf.log_level,
	    "error, warn, info or debug" },
};

static void
app_on_stopped(void *arg)
{
	(void)arg;
	uv_close((uv_handle_t *)&app.term, NULL);
	uv_close((uv_handle_t *)&app.intr, NULL);
}

static void
app_on_signal(uv_signal_t *handle, int signum)
{
	(void)handle;
	if (app.drain == NULL)
		return;
	log_info("worker.stopping", "signal=%d", signum);
	drain_stop(app.drain, app_on_stopped, NULL);
	app.drain = NULL;
}

int
main(int argc, char **argv)
{
	char name[300], host[200] = "";
	struct drain_opts opts;
	struct slc_err err;

	conf_load("sluice-worker",
	    "Takes lines of batches from PostgreSQL, sends them to upstreams "
	    "at\n"
	    "their slots and writes the results back.  Any number may run.",
	    items, NITEMS(items), argc, argv);
	log_init("sluice-worker", (enum log_level)app.conf.log_level);
	if (app.conf.database == NULL) {
		fputs(
		    "sluice-worker: --database (or SLUICE_DATABASE) is needed; "
		    "see --help\n",
		    stderr);
		return 2;
	}
	if (db_dsn_check(app.conf.database, &err) != SLC_OK) {
		fprintf(stderr, "sluice-worker: %s\n", err.text);
		return 2;
	}
	if (app.conf.live == NULL)
		app.conf.max_live = 0;
	/* A call that looks up a name has two sockets for that. */
	if (!nofile_fit("sluice-worker", "--max-in-flight", 2,
		&app.conf.max_in_flight) ||
	    !nofile_fit("sluice-worker", "--max-live", 2, &app.conf.max_live))
		return 2;
	/* Secrets live in this process: no core, no tracing by others. */
	prctl(PR_SET_DUMPABLE, 0);
	signal(SIGPIPE, SIG_IGN);
	gethostname(host, sizeof(host) - 1);
	snprintf(name, sizeof(name), "%s:%d", host, (int)getpid());
	opts = (struct drain_opts){
		.name = app.conf.name == NULL ? name : app.conf.name,
		.dsn = app.conf.database,
		.max_in_flight = (int32_t)app.conf.max_in_flight,
		.drain_ms = app.conf.drain_s * 1000,
		.live = { .listen = app.conf.live,
		    .url = app.conf.live_url,
		    .max_calls = (int32_t)app.conf.max_live },
	};
	if (hook_rules_read(app.conf.hook_nets, app.conf.hook_ports,
		app.conf.hook_schemes, &opts.hooks, &err) != SLC_OK) {
		fprintf(stderr, "sluice-worker: %s\n", err.text);
		return 2;
	}
	uv_loop_init(&app.loop);
	app.drain = drain_start(&app.loop, &opts, &err);
	if (app.drain == NULL) {
		fprintf(stderr, "sluice-worker: %s\n", err.text);
		return 1;
	}
	uv_signal_init(&app.loop, &app.term);
	uv_signal_start(&app.term, app_on_signal, SIGTERM);
	uv_signal_init(&app.loop, &app.intr);
	uv_signal_start(&app.intr, app_on_signal, SIGINT);
	uv_run(&app.loop, UV_RUN_DEFAULT);
	uv_loop_close(&app.loop);
	return 0;
}
