#include "up.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "state.h"

enum {
	UP_SERVER_MS = 30000,
	UP_OLD_SERVER_MS = 15000,
	UP_WORKER_STOP_MS = 40000, /* it drains up to 30 s by itself */
	UP_SERVER_STOP_MS = 15000,
};

/*
 * Ours beside us, else on PATH.  The DSN goes by the environment, where other
 * users do not see a password in it; our caller's key is no child's business.
 */
static void
program_init(struct up_program *p, const char *name, const char *dsn)
{
	struct buf path = { 0 };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	size_t have = 0, kept = 0;
	char *slash;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash != NULL)
		buf_addf(&path, "%.*s/%s", (int)(slash - self), self, name);
	if (slash == NULL || access(buf_cstr(&path), X_OK) != 0) {
		buf_clear(&path);
		buf_adds(&path, name);
	}
	buf_addf(&p->dsn, "SLUICE_DATABASE=%s", dsn);
	while (environ[have] != NULL)
		have++;
	p->env = xcalloc(have + 2, sizeof(*p->env));
	for (size_t i = 0; i < have; i++)
		if (strncmp(environ[i], "SLUICE_DATABASE=", 16) != 0 &&
		    strncmp(environ[i], "SLUICE_API_KEY=", 15) != 0)
			p->env[kept++] = environ[i];
	p->env[kept] = buf_cstr(&p->dsn);
	p->program = xstrdup(buf_cstr(&path));
	p->argv[p->argc++] = p->program;
	buf_fini(&path);
}

static void
program_arg(struct up_program *p, const char *name, const char *value)
{
	if (value == NULL)
		return;
	p->argv[p->argc++] = name;
	p->argv[p->argc++] = value;
}

static void
program_fini(struct up_program *p)
{
	free(p->program);
	free(p->log);
	free(p->env);
	buf_fini(&p->dsn);
}

static enum slc_rc
start_program(struct up *up, const char *name, struct up_program *p,
    int64_t stop_ms, struct slc_err *err)
{
	struct ward *w = &up->wards[up->nwards++];

	*w = (struct ward){ .name = name,
		.spec = { .argv = p->argv,
		    .env = p->env,
		    .log = p->log,
		    .death_signal = SIGTERM },
		.stop_signal = SIGTERM,
		.kill_signal = SIGKILL,
		.stop_ms = stop_ms };
	return ward_start(w, err);
}

/* http://HOST:PORT to call ourselves by, and from now on that very port. */
static void
learn_port(struct up *up, int port)
{
	static const struct {
		const char *any, *self;
	} hosts[] = { { "0.0.0.0", "127.0.0.1" }, { "[::]", "[::1]" } };
	char *colon = strrchr(up->listen, ':');
	const char *host = up->listen;

	*colon = '\0';
	for (size_t i = 0; i < NITEMS(hosts); i++)
		if (strcmp(up->listen, hosts[i].any) == 0)
			host = hosts[i].self;
	buf_clear(&up->url);
	buf_addf(&up->url, "http://%s:%d", host, port);
	snprintf(colon, sizeof(up->listen) - (size_t)(colon - up->listen),
	    ":%d", port);
}

static bool
answers(const struct up *up, const char *url, const char *path)
{
	struct slc_err err;
	struct client c;
	enum slc_rc rc;

	client_open_url(&c, up->cli, url);
	rc = client_call(&c, "GET", path, NULL, NULL, &err);
	client_close(&c);
	return rc == SLC_OK;
}

static enum slc_rc
wait_for_server(struct up *up, struct slc_err *err)
{
	struct ward *w = &up->wards[up->nwards - 1];
	struct buf port = { 0 };
	enum slc_rc rc = SLC_OK;
	int64_t ms, n;
	char how[64];

	for (ms = 0; ms < UP_SERVER_MS; ms += UP_POLL_MS) {
		if (child_ended(w->pid, how)) {
			w->pid = 0;
			rc = up_fail_ended(w, how, err);
			goto out;
		}
		if (state_read(up->port_file, &port, NULL) == SLC_OK &&
		    slice_int(buf_slice(&port), 65535, &n)) {
			learn_port(up, (int)n);
			if (answers(up, buf_cstr(&up->url), "/readyz"))
				goto out;
		}
		up_sleep_ms(UP_POLL_MS);
	}
	rc = slc_fail(err, SLC_EIO, "sluiced is not ready after %d s; see %s",
	    UP_SERVER_MS / 1000, w->spec.log);
out:
	buf_fini(&port);
	return rc;
}

/* The sluiced of a killed `up` holds its port until it has noticed. */
static void
wait_for_old_server(const struct up *up)
{
	struct buf path = { 0 }, url = { 0 };

	state_read(state_path(up->dir, "url", &path), &url, NULL);
	for (int64_t ms = 0; ms < UP_OLD_SERVER_MS && url.n > 0; ms += 100) {
		if (!answers(up, buf_cstr(&url), "/healthz"))
			break;
		up_sleep_ms(100);
	}
	unlink(buf_cstr(&path));
	buf_fini(&path);
	buf_fini(&url);
}

enum slc_rc
up_programs(struct up *up, struct slc_err *err)
{
	const struct cli *cli = up->cli;
	enum slc_rc rc;

	program_init(&up->api, "sluiced", buf_cstr(&up->api_dsn));
	program_init(&up->worker, "sluice-worker", buf_cstr(&up->worker_dsn));
	up->api.log = up_log(up, "sluiced.log");
	up->worker.log = up_log(up, "worker.log");
	program_arg(&up->api, "--listen", up->listen);
	program_arg(&up->api, "--port-file", up->port_file);
	program_arg(
	    &up->api, "--max-file-bytes", cli_get(cli, "max-file-bytes"));
	program_arg(
	    &up->api, "--max-file-lines", cli_get(cli, "max-file-lines"));
	program_arg(
	    &up->worker, "--max-in-flight", cli_get(cli, "max-in-flight"));
	program_arg(&up->worker, "--live", "127.0.0.1:0");
	wait_for_old_server(up);
	unlink(up->port_file);
	rc = start_program(up, "sluiced", &up->api, UP_SERVER_STOP_MS, err);
	if (rc == SLC_OK)
		rc = wait_for_server(up, err);
	if (rc == SLC_OK)
		rc = start_program(
		    up, "sluice-worker", &up->worker, UP_WORKER_STOP_MS, err);
	return rc;
}

void
up_programs_fini(struct up *up)
{
	program_fini(&up->api);
	program_fini(&up->worker);
}
