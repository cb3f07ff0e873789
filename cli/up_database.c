#include "up.h"

#include <signal.h>
#include <string.h>

#include <sluice/migrate.h>

#include "state.h"

enum {
	UP_DATABASE_MS = 600000, /* a crash may take long to recover from */
	UP_PATIENCE_MS = 10000,  /* then we say what takes so long */
	UP_DATABASE_TRIES = 3,
	UP_DATABASE_STOP_MS = 60000,
};

static void
database_prepare(void *arg, struct child_spec *spec)
{
	cluster_spec(arg, spec);
}

static enum slc_rc
start_database(struct up *up, struct slc_err *err)
{
	struct ward *w = &up->wards[up->nwards++];
	char how[64];

	*w = (struct ward){ .name = "postgres",
		.prepare = database_prepare,
		.arg = &up->cluster,
		.stop_signal = SIGINT,
		.kill_signal = SIGQUIT,
		.stop_ms = UP_DATABASE_STOP_MS };
	/* Backends of one that was killed may take a moment to notice. */
	for (int try = 1; try <= UP_DATABASE_TRIES; try++) {
		enum slc_rc rc = ward_start(w, err);

		if (rc != SLC_OK)
			return rc;
		for (int64_t ms = 0; ms < UP_DATABASE_MS; ms += UP_POLL_MS) {
			if (cluster_ready(&up->cluster, w->pid))
				return SLC_OK;
			if (child_ended(w->pid, how)) {
				w->pid = 0;
				break;
			}
			if (ms == UP_PATIENCE_MS)
				cli_note(up->cli,
				    "the database is still recovering; see %s",
				    w->spec.log);
			up_sleep_ms(UP_POLL_MS);
		}
		if (w->pid != 0)
			return slc_fail(err, SLC_EIO,
			    "the database does not get ready; see %s",
			    w->spec.log);
		up_sleep_ms(1000);
	}
	return up_fail_ended(w, how, err);
}

/* The operator's key: the file first, so that no key is ever lost in between.
 */
static enum slc_rc
make_key(struct up *up, const char *dsn, struct slc_err *err)
{
	struct buf path = { 0 }, text = { 0 };
	struct key key = { 0 };
	bool made = false;
	enum slc_rc rc =
	    state_read(state_path(up->dir, "admin.key", &path), &text, err);

	if (rc == SLC_ENOTFOUND) {
		key_new(&key);
		buf_clear(&text);
		buf_addf(&text, "%s\n", key.text);
		rc = state_write(buf_cstr(&path), buf_cstr(&text), 0600, err);
	} else if (rc == SLC_OK && !key_read(buf_slice(&text), &key)) {
		rc = slc_fail(err, SLC_EINPUT,
		    "%s does not hold a key; remove it to get a new one",
		    buf_cstr(&path));
	}
	if (rc == SLC_OK)
		rc = migrate_admin_key(dsn, "default", &key, &made, err);
	if (rc == SLC_OK && made)
		cli_note(up->cli, "made an admin key for account default: %s",
		    buf_cstr(&path));
	key_wipe(&key);
	explicit_bzero(text.p, text.cap);
	buf_fini(&text);
	buf_fini(&path);
	return rc;
}

static void
up_on_applied(const char *name, void *arg)
{
	int *count = arg;

	(void)name;
	(*count)++;
}

enum slc_rc
up_database(struct up *up, struct slc_err *err)
{
	const char *given = cli_get(up->cli, "database");
	struct buf owner = { 0 };
	struct migrate_opts opts = { .report = up_on_applied };
	enum slc_rc rc = SLC_OK;
	int applied = 0;

	if (given != NULL) {
		buf_adds(&owner, given);
		buf_adds(&up->api_dsn, given);
		buf_adds(&up->worker_dsn, given);
	} else {
		rc = cluster_prepare(&up->cluster, up->cli, up->dir, err);
		if (rc == SLC_OK)
			rc = start_database(up, err);
		if (rc != SLC_OK)
			goto out;
		cluster_dsn(&up->cluster, "sluice", &owner);
		cluster_dsn(&up->cluster, "sluice_api", &up->api_dsn);
		cluster_dsn(&up->cluster, "sluice_worker", &up->worker_dsn);
	}
	opts.dsn = buf_cstr(&owner);
	opts.arg = &applied;
	rc = migrate(&opts, sql_files, err);
	if (rc == SLC_OK && applied > 0)
		cli_note(up->cli, "applied %d migrations", applied);
	if (rc == SLC_OK)
		rc = make_key(up, buf_cstr(&owner), err);
out:
	buf_fini(&owner);
	return rc;
}
