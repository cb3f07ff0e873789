#include "up.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sluice/db.h>
#include <sluice/http.h>
#include <sluice/spec.h>

#include "out.h"
#include "state.h"

enum { UP_LOG_MAX = 64 << 20, UP_IN_FLIGHT_MAX = 100000 };

void
up_sleep_ms(int64_t ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* Make dir and what is above it; *to is its absolute name. */
static enum slc_rc
make_state(const char *dir, char **to, struct slc_err *err)
{
	/* Root's must let the database's user through, and nobody look in. */
	const mode_t mode = geteuid() == 0 ? 0711 : 0700;
	char *part = xstrdup(dir);
	struct stat st;

	for (char *at = strchr(part + 1, '/'); at != NULL;
	     at = strchr(at + 1, '/')) {
		*at = '\0';
		mkdir(part, 0755);
		*at = '/';
	}
	free(part);
	if ((mkdir(dir, mode) != 0 && errno != EEXIST) ||
	    (*to = realpath(dir, NULL)) == NULL || stat(dir, &st) != 0)
		return slc_fail(err, SLC_EIO, "%s: %s", dir, strerror(errno));
	if (geteuid() == 0 && st.st_uid == 0)
		chmod(dir, (st.st_mode & 07777) | mode);
	return SLC_OK;
}

/* Held until the program ends, and by no child. */
static enum slc_rc
lock_state(struct up *up, struct slc_err *err)
{
	struct buf path = { 0 }, pid = { 0 };
	enum slc_rc rc = SLC_OK;

	up->lock = open(state_path(up->dir, "lock", &path),
	    O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (up->lock < 0) {
		rc = slc_fail(
		    err, SLC_EIO, "%s: %s", buf_cstr(&path), strerror(errno));
	} else if (flock(up->lock, LOCK_EX | LOCK_NB) != 0) {
		state_read(buf_cstr(&path), &pid, NULL);
		rc = slc_fail(err, SLC_ECONFLICT,
		    "another `sluice up` (pid %s) runs on %s; stop it first, "
		    "or "
		    "choose another --state",
		    buf_cstr(&pid), up->dir);
	} else if (ftruncate(up->lock, 0) != 0 ||
	    dprintf(up->lock, "%d\n", (int)getpid()) < 0) {
		rc = slc_fail(
		    err, SLC_EIO, "%s: %s", buf_cstr(&path), strerror(errno));
	}
	buf_fini(&path);
	buf_fini(&pid);
	return rc;
}

char *
up_log(const struct up *up, const char *name)
{
	struct buf path = { 0 }, old = { 0 };
	struct stat st;
	char *text;

	state_path(up->dir, name, &path);
	buf_addf(&old, "%s.old", buf_cstr(&path));
	if (stat(buf_cstr(&path), &st) == 0 && st.st_size > UP_LOG_MAX)
		rename(buf_cstr(&path), buf_cstr(&old));
	text = xstrdup(buf_cstr(&path));
	buf_fini(&path);
	buf_fini(&old);
	return text;
}

enum slc_rc
up_fail_ended(const struct ward *w, const char *how, struct slc_err *err)
{
	struct buf words = { 0 };

	child_last_words(w->spec.log, w->log_from, &words);
	slc_fail(err, SLC_EIO, "%s %s: %.150s", w->name, how, buf_cstr(&words));
	buf_fini(&words);
	return SLC_EIO;
}

/* What to do next, and as JSON what a script needs. */
static void
say_ready(const struct up *up)
{
	const char *dir = up->dir, *url = up->url.p;
	struct buf json = { 0 }, standard = { 0 };
	bool elsewhere;

	state_dir(&(struct cli){ 0 }, &standard);
	elsewhere = strcmp(buf_cstr(&standard), dir) != 0;
	buf_adds(&json, "{\"object\":\"up\",\"url\":");
	buf_add_json(&json, slice_str(url));
	buf_adds(&json, ",\"state\":");
	buf_add_json(&json, slice_str(dir));
	buf_addf(&json, ",\"pid\":%d}", (int)getpid());
	if (out_json(up->cli, buf_slice(&json)))
		goto out;
	if (up->cli->quiet) {
		puts(url);
		goto out;
	}
	printf("\nSluice is ready.\n\n"
	       "  URL        %s\n"
	       "  admin key  %s/admin.key\n"
	       "  logs       %s/*.log\n",
	    url, dir, dir);
	if (up->cluster.run != NULL)
		printf("  database   psql -h %s -U sluice\n", up->cluster.run);
	printf("\n  curl -H \"Authorization: Bearer $(cat %s/admin.key)\" "
	       "%s/v1/batches\n\n",
	    dir, url);
	if (elsewhere)
		printf("In another terminal:    export SLUICE_STATE=%s\n", dir);
	printf("Add an upstream:        sluice path add NAME --url "
	       "https://HOST --models 'MODEL*' \\\n"
	       "                          --secret-file FILE "
	       "--limit requests/1m=300 --limit concurrent=10\n"
	       "Send it a file:         sluice submit FILE --wait -o RESULTS\n"
	       "Stop:                   Ctrl-C\n");
out:
	fflush(stdout);
	buf_fini(&json);
	buf_fini(&standard);
}

static void
up_on_stop(void *arg)
{
	const struct up *up = arg;
	struct buf path = { 0 };

	unlink(state_path(up->dir, "url", &path));
	unlink(up->port_file);
	buf_fini(&path);
}

static enum slc_rc
bring_up(struct up *up, struct slc_err *err)
{
	struct buf text = { 0 };
	enum slc_rc rc;

	state_dir(up->cli, &text);
	rc = make_state(buf_cstr(&text), &up->dir, err);
	if (rc == SLC_OK)
		rc = lock_state(up, err);
	if (rc == SLC_OK)
		up->port_file = xstrdup(state_path(up->dir, "port", &text));
	if (rc == SLC_OK)
		rc = up_database(up, err);
	if (rc == SLC_OK)
		rc = up_programs(up, err);
	if (rc == SLC_OK) {
		state_path(up->dir, "url", &text);
		rc =
		    state_write(buf_cstr(&text), buf_cstr(&up->url), 0644, err);
	}
	buf_fini(&text);
	return rc;
}

/* What the programs would refuse, but only in their logs. */
static enum slc_rc
check_options(const struct cli *cli, struct slc_err *err)
{
	const char *bytes = cli_get(cli, "max-file-bytes");
	const char *dsn = cli_get(cli, "database");
	struct slc_err why;
	int64_t n;
	enum slc_rc rc = cli_int(cli, "max-file-lines", 1, INT32_MAX, &n, err);

	if (rc == SLC_OK)
		rc =
		    cli_int(cli, "max-in-flight", 1, UP_IN_FLIGHT_MAX, &n, err);
	if (rc == SLC_OK && bytes != NULL &&
	    spec_bytes(slice_str(bytes), INT64_MAX, &n, &why) != SLC_OK)
		rc =
		    slc_fail(err, SLC_EINPUT, "--max-file-bytes: %s", why.text);
	if (rc == SLC_OK && dsn != NULL)
		rc = db_dsn_check(dsn, err);
	return rc;
}

/*
 * Until all runs, Ctrl-C just ends us: the children notice, and so they do when
 * we are killed.
 */
enum cli_exit
cmd_up(struct cli *cli)
{
	const char *listen = cli_get(cli, "listen");
	struct up up = { .cli = cli, .lock = -1 };
	enum cli_exit code = CLI_OK;
	struct slc_err err;

	listen = listen != NULL ? listen : "127.0.0.1:8080";
	if (!http_is_address(listen) || strlen(listen) > sizeof(up.listen) - 8)
		return cli_usage(cli,
		    "--listen: \"%s\" is not ADDRESS:PORT, as in "
		    "127.0.0.1:8080, [::1]:8080 or 0.0.0.0:8080",
		    listen);
	if (check_options(cli, &err) != SLC_OK)
		return cli_usage(cli, "%s", err.text);
	strcpy(up.listen, listen);
	signal(SIGINT, SIG_DFL);
	if (bring_up(&up, &err) == SLC_OK) {
		say_ready(&up);
		supervise(cli, up.wards, up.nwards, up_on_stop, &up);
		cli_note(cli, "stopped");
	} else {
		code = cli_fail(cli, &err);
		for (size_t i = up.nwards; i > 0; i--)
			ward_stop(&up.wards[i - 1]);
	}
	up_programs_fini(&up);
	cluster_fini(&up.cluster);
	buf_fini(&up.url);
	buf_fini(&up.api_dsn);
	buf_fini(&up.worker_dsn);
	free(up.port_file);
	free(up.dir);
	if (up.lock >= 0)
		close(up.lock);
	return code;
}
