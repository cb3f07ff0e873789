#include "cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cluster_files.h"
#include "state.h"

enum {
	CLUSTER_POLL_MS = 20,
	CLUSTER_FAST_MS = 60000, /* a fast shutdown writes a checkpoint */
	CLUSTER_QUICK_MS = 10000,
};

static char *
join(const char *dir, const char *name)
{
	struct buf path = { 0 };
	char *joined = xstrdup(state_path(dir, name, &path));

	buf_fini(&path);
	return joined;
}

/* The newest PostgreSQL, or that of a given version. */
static enum slc_rc
find_programs(struct cluster *c, const char *version, struct slc_err *err)
{
	glob_t found = { 0 };
	int newest = 0;

	glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &found);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *path = found.gl_pathv[i];
		int is = atoi(path + strlen("/usr/lib/postgresql/"));

		if (is <= newest || (*version != '\0' && is != atoi(version)))
			continue;
		newest = is;
		free(c->bin);
		c->bin = xstrndup(path, strlen(path) - strlen("/postgres"));
	}
	globfree(&found);
	if (c->bin != NULL)
		return SLC_OK;
	return slc_fail(err, SLC_EIO,
	    "PostgreSQL %s is not installed (/usr/lib/postgresql/%s/bin): "
	    "apt-get install postgresql-%s, or name a database with --database",
	    version, *version != '\0' ? version : "*",
	    *version != '\0' ? version : "15");
}

/* Whoever owns the data, else user postgres for root, else ourselves. */
static enum slc_rc
find_user(struct cluster *c, struct slc_err *err)
{
	const struct passwd *pw;
	struct stat st;
	uid_t uid = geteuid();
	bool there = stat(c->data, &st) == 0;

	if (there && uid != 0 && st.st_uid != uid)
		return slc_fail(err, SLC_EIO,
		    "%s belongs to another user (uid %u)", c->data, st.st_uid);
	if (there)
		uid = st.st_uid;
	pw = there || uid != 0 ? getpwuid(uid) : getpwnam("postgres");
	if (pw == NULL && uid == 0)
		return slc_fail(err, SLC_EIO,
		    "there is no user postgres to run the database: install "
		    "postgresql-15, or do not run this as root");
	if (pw == NULL)
		return slc_fail(err, SLC_EIO,
		    "uid %u has no line in /etc/passwd, which PostgreSQL "
		    "insists on: add one, or name a database with --database",
		    uid);
	if (pw->pw_uid == 0)
		return slc_fail(err, SLC_EIO,
		    "%s belongs to root, who cannot run PostgreSQL: chown it",
		    c->data);
	c->user.uid = pw->pw_uid;
	c->user.gid = pw->pw_gid;
	snprintf(c->user.name, sizeof(c->user.name), "%s", pw->pw_name);
	return SLC_OK;
}

/* A directory for that user alone. */
static enum slc_rc
make_dir(const struct cluster *c, const char *path, struct slc_err *err)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return slc_fail(err, SLC_EIO, "%s: %s", path, strerror(errno));
	if (lchown(path, c->user.uid, c->user.gid) != 0)
		return slc_fail(err, SLC_EIO, "%s: %s", path, strerror(errno));
	return SLC_OK;
}

static bool
is_ours(const struct cluster *c, const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
	    st.st_uid == c->user.uid && (st.st_mode & 0077) == 0;
}

/*
 * The socket lives in dir/run; when its name would be too long for the system,
 * or hold a comma, at which libpq cuts, dir/run points to a short place.
 */
static enum slc_rc
make_run(struct cluster *c, struct slc_err *err)
{
	const size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
	char short_dir[] = "/tmp/sluice-XXXXXX", was[64];
	char *run = join(c->dir, "run");
	enum slc_rc rc = SLC_OK;
	ssize_t n = readlink(run, was, sizeof(was) - 1);

	if (strlen(run) + strlen("/.s.PGSQL.5432") <= most &&
	    strchr(run, ',') == NULL) {
		if (n >= 0)
			unlink(run);
		rc = make_dir(c, run, err);
		c->run = run;
		return rc;
	}
	was[n > 0 ? n : 0] = '\0';
	if (n > 0 && is_ours(c, was)) {
		c->run = xstrdup(was);
		goto out;
	}
	if (n < 0)
		rmdir(run);
	else
		unlink(run);
	if (mkdtemp(short_dir) == NULL || symlink(short_dir, run) != 0) {
		rc = slc_fail(err, SLC_EIO, "%s: %s", run, strerror(errno));
		goto out;
	}
	c->run = xstrdup(short_dir);
	rc = make_dir(c, c->run, err);
out:
	free(run);
	return rc;
}

/* One of PostgreSQL's programs, as the user, with a clean environment. */
static enum slc_rc
run_program(struct cluster *c, const char *const *argv, const char *input,
    struct slc_err *err)
{
	static const char *const env[] = { "PATH=/usr/bin:/bin",
		"LC_ALL=C.UTF-8", NULL };
	struct child_spec spec = { .argv = argv,
		.env = env,
		.user = &c->user,
		.log = c->log,
		.input = input,
		.death_signal = SIGTERM };
	struct buf words = { 0 };
	off_t from = child_log_end(c->log);
	enum slc_rc rc = child_run(&spec, err);
	struct slc_err why;

	if (rc != SLC_OK) {
		why = *err;
		child_last_words(c->log, from, &words);
		slc_fail(err, rc, "%.120s: %.100s", why.text, buf_cstr(&words));
	}
	buf_fini(&words);
	return rc;
}

/*
 * The data directory comes into being whole: made beside, with the database in
 * it, and then renamed.  One syncfs() before that, instead of an fsync() for
 * each of a thousand files, makes it last.
 */
static enum slc_rc
make_data(struct cluster *c, struct slc_err *err)
{
	char *temp = join(c->dir, "pg.new"), *initdb = join(c->bin, "initdb");
	char *postgres = join(c->bin, "postgres");
	/* clang-format off */
	const char *const clear[] = { "find", temp, "-mindepth", "1",
		"-delete", NULL };
	const char *const init[] = { initdb, "-D", temp, "-U", "sluice",
		"--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums",
		"--auth-local=peer", "--auth-host=reject", "--no-instructions",
		"--no-sync", NULL };
	const char *const create[] = { postgres, "--single", "-F", "-D", temp,
		"postgres", NULL };
	/* clang-format on */
	int dir = -1;
	enum slc_rc rc;

	cli_note(c->cli, "making a database in %s", c->data);
	rc = make_dir(c, temp, err);
	/* An attempt that was cut short may have left something. */
	if (rc == SLC_OK)
		rc = run_program(c, clear, NULL, err);
	if (rc == SLC_OK)
		rc = run_program(c, init, NULL, err);
	if (rc == SLC_OK)
		rc = run_program(c, create, "create database sluice\n", err);
	if (rc != SLC_OK)
		goto out;
	dir = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || syncfs(dir) != 0 || rename(temp, c->data) != 0 ||
	    fsync(dir) != 0)
		rc = slc_fail(err, SLC_EIO, "%s: %s", c->data, strerror(errno));
out:
	if (dir >= 0)
		close(dir);
	free(temp);
	free(initdb);
	free(postgres);
	return rc;
}

/* Line n of postmaster.pid, from 1: the pid, ..., 8: what it does. */
static bool
pid_line(const struct cluster *c, int n, char *out, size_t size)
{
	char *path = join(c->data, "postmaster.pid"), *line = NULL;
	FILE *f = fopen(path, "re");
	bool found = false;
	size_t cap = 0;

	while (f != NULL && n-- > 0)
		found = getline(&line, &cap, f) > 0;
	if (found)
		snprintf(out, size, "%s", line);
	if (f != NULL)
		fclose(f);
	free(line);
	free(path);
	return found;
}

/*
 * Is that pid a postmaster of our data?  It stands in its data directory; a
 * zombie, and whoever got the number since, stands elsewhere.
 */
static bool
is_postmaster(const struct cluster *c, pid_t pid)
{
	char proc[64];
	struct stat at, data;

	snprintf(proc, sizeof(proc), "/proc/%d/cwd", (int)pid);
	return stat(proc, &at) == 0 && stat(c->data, &data) == 0 &&
	    at.st_ino == data.st_ino && at.st_dev == data.st_dev;
}

static bool
wait_gone(const struct cluster *c, pid_t pid, int64_t ms)
{
	for (; ms > 0; ms -= CLUSTER_POLL_MS) {
		if (!is_postmaster(c, pid))
			return true;
		nanosleep(
		    &(struct timespec){ 0, CLUSTER_POLL_MS * 1000000 }, NULL);
	}
	return false;
}

/*
 * A postmaster whose `up` was killed is on its way out, or should be: we hold
 * the lock of the state directory, so nobody else owns it.
 */
static enum slc_rc
end_orphan(struct cluster *c, struct slc_err *err)
{
	char line[32];
	pid_t pid;

	if (!pid_line(c, 1, line, sizeof(line)) || (pid = atoi(line)) <= 1)
		return SLC_OK;
	c->before = pid;
	if (!is_postmaster(c, pid))
		return SLC_OK;
	cli_note(c->cli, "waiting for the database of an `up` that was killed");
	kill(pid, SIGINT);
	if (wait_gone(c, pid, CLUSTER_FAST_MS))
		return SLC_OK;
	kill(pid, SIGQUIT);
	if (wait_gone(c, pid, CLUSTER_QUICK_MS))
		return SLC_OK;
	return slc_fail(
	    err, SLC_EIO, "the old postmaster (pid %d) does not stop", pid);
}

enum slc_rc
cluster_prepare(struct cluster *c, const struct cli *cli, const char *dir,
    struct slc_err *err)
{
	struct buf version = { 0 };
	char *version_file;
	enum slc_rc rc;

	*c = (struct cluster){ .cli = cli, .dir = xstrdup(dir) };
	c->data = join(dir, "pg");
	c->log = join(dir, "postgres.log");
	version_file = join(c->data, "PG_VERSION");
	rc = find_user(c, err);
	if (rc == SLC_OK)
		rc = child_reaches(&c->user, dir, err);
	if (rc == SLC_OK && access(c->data, F_OK) == 0)
		rc = state_read(version_file, &version, err);
	if (rc == SLC_ENOTFOUND)
		rc = slc_fail(err, SLC_EIO,
		    "%s is there but holds no database: move it away", c->data);
	if (rc == SLC_OK)
		rc = find_programs(c, buf_cstr(&version), err);
	if (rc == SLC_OK)
		rc = version.n == 0 ? make_data(c, err) : end_orphan(c, err);
	if (rc == SLC_OK)
		rc = make_run(c, err);
	if (rc == SLC_OK)
		rc = cluster_files_write(dir, c->user.name, err);
	free(version_file);
	buf_fini(&version);
	return rc;
}

void
cluster_fini(struct cluster *c)
{
	free(c->dir);
	free(c->data);
	free(c->run);
	free(c->bin);
	free(c->log);
	buf_fini(&c->args);
}

static void
add_arg(struct cluster *c, const char *fmt, const char *value)
{
	buf_addf(&c->args, fmt, value);
	buf_addc(&c->args, '\0');
}

void
cluster_spec(struct cluster *c, struct child_spec *spec)
{
	char line[32];
	const char *at;
	size_t n = 0;

	/*
	 * PostgreSQL refuses to start while a process has the pid its lock file
	 * names: a zombie that nobody reaps has it for ever, and in a container
	 * somebody else may.  This is how pg_ctl tells it which one to ignore;
	 * it still makes sure that no backend is left on its shared memory.
	 */
	if (pid_line(c, 1, line, sizeof(line)))
		c->before = atoi(line);
	snprintf(c->env_before, sizeof(c->env_before), "PG_GRANDPARENT_PID=%d",
	    (int)c->before);
	c->env[0] = "PATH=/usr/bin:/bin";
	c->env[1] = "LC_ALL=C.UTF-8";
	c->env[2] = c->env_before;
	buf_clear(&c->args);
	add_arg(c, "%s/postgres", c->bin);
	add_arg(c, "-D%s", c->data);
	add_arg(c, "-cconfig_file=%s/postgres.conf", c->dir);
	add_arg(c, "-chba_file=%s/hba.conf", c->dir);
	add_arg(c, "-cident_file=%s/ident.conf", c->dir);
	add_arg(c, "-clisten_addresses=%s", "");
	add_arg(c, "-cport=%s", "5432");
	/* A list, in which quotes keep commas and spaces together. */
	buf_adds(&c->args, "-cunix_socket_directories=\"");
	for (at = c->run; *at != '\0'; at++)
		buf_addf(&c->args, *at == '"' ? "\"%c" : "%c", *at);
	add_arg(c, "%s", "\"");
	add_arg(c, "-cunix_socket_permissions=%s", "0700");
	add_arg(c, "-clogging_collector=%s", "off");
	add_arg(c, "-clog_destination=%s", "stderr");
	for (at = c->args.p; at < c->args.p + c->args.n; at += strlen(at) + 1)
		c->argv[n++] = at;
	c->argv[n] = NULL;
	*spec = (struct child_spec){ .argv = c->argv,
		.env = c->env,
		.user = &c->user,
		.log = c->log,
		.death_signal = SIGINT };
}

bool
cluster_ready(const struct cluster *c, pid_t pid)
{
	char line[64];

	return pid_line(c, 1, line, sizeof(line)) && atoi(line) == pid &&
	    pid_line(c, 8, line, sizeof(line)) &&
	    strncmp(line, "ready", 5) == 0;
}

void
cluster_dsn(const struct cluster *c, const char *role, struct buf *to)
{
	buf_clear(to);
	buf_adds(to, "host='");
	for (const char *p = c->run; *p != '\0'; p++) {
		if (*p == '\'' || *p == '\\')
			buf_addc(to, '\\');
		buf_addc(to, *p);
	}
	buf_addf(to, "' port=5432 dbname=sluice user=%s", role);
}
