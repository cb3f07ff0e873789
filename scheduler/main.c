/*
 * sluiced - the HTTP API and the dispatcher.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <sluice/conf.h>
#include <sluice/log.h>
#include <sluice/nofile.h>

#include "api.h"
#include "dispatcher.h"
#include "live.h"

enum {
	API_CONNECTIONS = 8,
	API_WAIT_MS = 2000, /* for a connection, before 503 */
	DISPATCH_CONNECTIONS = 2,
	ADMIN_CONNECTIONS = 64, /* of operators, at a listener of their own */
	GRACE_MS = 10000, /* for answers that are on their way, at the end */
};

static struct sluiced {
	uv_loop_t loop;
	uv_signal_t term, intr;
	struct db *api_db, *dispatch_db;
	int64_t db_quiet_until_ms;
	struct dispatcher *dispatcher;
	struct http_server *server, *admin_server;
	struct api api;
	struct api_front front, admin_front;
	int parts; /* still closing */
	int exit_code;
	bool stopping;
	struct {
		const char *database, *listen, *port_file;
		const char *admin_listen, *admin_port_file;
		int64_t log_level, max_connections, max_per_address;
		int64_t margin, failover_s, live_wait_s;
	} conf;
} app;

static const struct conf_item items[] = {
	{ "database", CONF_TEXT, NULL, 0, 0, &app.conf.database,
	    "PostgreSQL to work on: a libpq URL or keywords" },
	{ "listen", CONF_TEXT, "127.0.0.1:8080", 0, 0, &app.conf.listen,
	    "HOST:PORT or unix:/PATH to listen on" },
	{ "port-file", CONF_TEXT, NULL, 0, 0, &app.conf.port_file,
	    "write the port there once listening" },
	{ "admin-listen", CONF_TEXT, NULL, 0, 0, &app.conf.admin_listen,
	    "HOST:PORT or unix:/PATH for /admin/, which is then not at the "
	    "other" },
	{ "admin-port-file", CONF_TEXT, NULL, 0, 0, &app.conf.admin_port_file,
	    "write the port there, before --port-file" },
	{ "max-file-bytes", CONF_BYTES, "200m", 1024, INT64_C(1) << 40,
	    &app.api.conf.max_file_bytes, "longest input file" },
	{ "max-file-lines", CONF_INT, "50000", 1, 100000000,
	    &app.api.conf.max_file_lines, "most requests in a file" },
	{ "max-connections", CONF_INT, "1024", 1, 100000,
	    &app.conf.max_connections, "callers' connections at once" },
	{ "max-per-address", CONF_INT, "256", 1, 100000,
	    &app.conf.max_per_address, "of these, from one address" },
	{ "live-wait", CONF_SPAN, "2s", 0, 600, &app.conf.live_wait_s,
	    "how long a live call may wait for room at the upstream" },
	{ "margin", CONF_INT, "4", 0, 20, &app.conf.margin,
	    "standard deviations kept free for tokens that upstreams charge "
	    "by use" },
	{ "failover-lag", CONF_SPAN, "10s", 0, 3600, &app.conf.failover_s,
	    "how much a failover of the database may lose; charged in full" },
	{ "log-level", CONF_LOGLEVEL, "info", 0, 0, &app.conf.log_level,
	    "error, warn, info or debug" },
};

static void
app_on_part_closed(void *arg)
{
	(void)arg;
	if (--app.parts > 0)
		return;
	uv_close((uv_handle_t *)&app.term, NULL);
	uv_close((uv_handle_t *)&app.intr, NULL);
}

/* The databases go last: answers and the lease need them. */
static void
app_on_quiet(void *arg)
{
	(void)arg;
	if (--app.parts > 0)
		return;
	app.parts = 2 + (app.api.live != NULL);
	if (app.api.live != NULL)
		live_free(app.api.live, app_on_part_closed, NULL);
	db_close(app.api_db, app_on_part_closed, NULL);
	db_close(app.dispatch_db, app_on_part_closed, NULL);
}

static void
app_stop(int exit_code)
{
	if (app.stopping)
		return;
	app.stopping = true;
	app.exit_code = exit_code;
	app.api.draining = true;
	app.parts = (app.server != NULL) + (app.admin_server != NULL) +
	    (app.dispatcher != NULL);
	if (app.parts == 0) {
		app.parts = 1;
		app_on_quiet(NULL);
		return;
	}
	if (app.server != NULL)
		http_close(app.server, GRACE_MS, app_on_quiet, NULL);
	if (app.admin_server != NULL)
		http_close(app.admin_server, GRACE_MS, app_on_quiet, NULL);
	if (app.dispatcher != NULL)
		dispatcher_stop(app.dispatcher, app_on_quiet, NULL);
}

static void
app_on_signal(uv_signal_t *handle, int signum)
{
	(void)handle;
	log_info("sluiced.stopping", "signal=%d", signum);
	app_stop(0);
}

static bool
write_port(const char *path, int port)
{
	char temp[4096];
	FILE *f;

	snprintf(temp, sizeof(temp), "%s.new", path);
	f = fopen(temp, "w");
	if (f == NULL || fprintf(f, "%d\n", port) < 0 || fclose(f) != 0 ||
	    rename(temp, path) != 0) {
		fprintf(stderr, "sluiced: cannot write %s\n", path);
		return false;
	}
	return true;
}

/* NULL: said why. */
static struct http_server *
listen_at(const char *where, const char *port_file, struct api_front *front)
{
	struct http_opts opts = { .listen = where,
		.max_connections = front->callers
		    ? (int)app.conf.max_connections
		    : ADMIN_CONNECTIONS,
		.max_per_address = (int)app.conf.max_per_address };
	struct slc_err err;
	struct http_server *s =
	    http_listen(&app.loop, &opts, &api_handler, front, &err);

	if (s == NULL) {
		fprintf(stderr, "sluiced: %s\n", err.text);
		return NULL;
	}
	log_info("sluiced.listening", "on=%s port=%d admin=%d", where,
	    http_port(s), front->admin);
	/* Who reads a port file connects at once. */
	if (port_file != NULL && !write_port(port_file, http_port(s))) {
		http_close(s, 0, NULL, NULL);
		return NULL;
	}
	return s;
}

static bool
listen_all(void)
{
	bool apart = app.conf.admin_listen != NULL;

	app.front = (struct api_front){ &app.api, !apart, true };
	app.admin_front = (struct api_front){ &app.api, true, false };
	if (apart) {
		app.admin_server = listen_at(app.conf.admin_listen,
		    app.conf.admin_port_file, &app.admin_front);
		if (app.admin_server == NULL)
			return false;
	}
	app.server = listen_at(app.conf.listen, app.conf.port_file, &app.front);
	return app.server != NULL;
}

static void
serve(void)
{
	char name[300], host[200] = "";
	uint32_t nonce = 0;

	gethostname(host, sizeof(host) - 1);
	if (getrandom(&nonce, sizeof(nonce), 0) != sizeof(nonce))
		nonce = (uint32_t)uv_hrtime();
	snprintf(name, sizeof(name), "%s:%d:%08x", host, (int)getpid(),
	    (unsigned)nonce);
	app.api.live = live_new(&app.loop, app.api_db,
	    &(struct live_opts){ .name = name,
		.wait_ms = app.conf.live_wait_s * 1000,
		.connections = (int32_t)app.conf.max_connections });
	if (!listen_all()) {
		app_stop(1);
		return;
	}
	app.dispatcher = dispatcher_start(&app.loop, app.dispatch_db, name,
	    &(struct dispatcher_opts){ .margin = (double)app.conf.margin,
		.failover_lag_ms = app.conf.failover_s * 1000 });
}

/*
 * Every statement is tried against the database before anything is served: a
 * wrong one, or tables of another version, stop the program now.
 */
static void
app_on_checked(struct db_result *res, void *arg)
{
	(void)arg;
	if (app.stopping)
		return;
	if (db_rc(res) == SLC_EDB) {
		log_warn("sluiced.waits", "for=database why=\"%s\"",
		    db_message(res));
		db_check(app.dispatch_db, STMT_SCHEMA, STMT_SWEEP,
		    app_on_checked, NULL);
	} else if (db_rc(res) != SLC_OK) {
		fprintf(stderr,
		    "sluiced: the database is not of this version "
		    "(%s); run: sluice migrate --database ...\n",
		    db_message(res));
		app_stop(1);
	} else {
		serve();
	}
}

int
main(int argc, char **argv)
{
	struct db_opts db = { .program = "sluiced",
		.role = "sluice_api",
		.connections = API_CONNECTIONS,
		.quiet_until_ms = &app.db_quiet_until_ms };
	struct slc_err err;

	conf_load("sluiced",
	    "Takes files of model requests over the OpenAI API, and hands "
	    "them\n"
	    "out to workers at the pace that upstream limits allow.  Any "
	    "number\n"
	    "may run on one database; one of them dispatches.",
	    items, NITEMS(items), argc, argv);
	log_init("sluiced", (enum log_level)app.conf.log_level);
	if (app.conf.database == NULL) {
		fputs("sluiced: --database (or SLUICE_DATABASE) is needed; see "
		      "--help\n",
		    stderr);
		return 2;
	}
	if (db_dsn_check(app.conf.database, &err) != SLC_OK) {
		fprintf(stderr, "sluiced: %s\n", err.text);
		return 2;
	}
	/* A live call has one to its worker, too. */
	if (!nofile_fit(
		"sluiced", "--max-connections", 2, &app.conf.max_connections))
		return 2;
	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&app.loop);
	db.dsn = app.conf.database;
	db.wait_ms = API_WAIT_MS;
	app.api_db = db_open(&app.loop, &db);
	db.connections = DISPATCH_CONNECTIONS;
	app.dispatch_db = db_open(&app.loop, &db);
	app.api.loop = &app.loop;
	app.api.db = app.api_db;
	uv_signal_init(&app.loop, &app.term);
	uv_signal_start(&app.term, app_on_signal, SIGTERM);
	uv_signal_init(&app.loop, &app.intr);
	uv_signal_start(&app.intr, app_on_signal, SIGINT);
	db_check(
	    app.dispatch_db, STMT_SCHEMA, STMT_SWEEP, app_on_checked, NULL);
	uv_run(&app.loop, UV_RUN_DEFAULT);
	whos_fini(&app.api.whos);
	uv_loop_close(&app.loop);
	return app.exit_code;
}
