#include "state.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATE_TEXT_MAX = 4096 };

void
state_dir(const struct cli *cli, struct buf *to)
{
	const char *dir = cli_get(cli, "state"), *home = getenv("HOME");

	if (dir == NULL)
		dir = getenv("SLUICE_STATE");
	buf_clear(to);
	if (dir != NULL && dir[0] != '\0')
		buf_adds(to, dir);
	else if (geteuid() == 0)
		buf_adds(to, "/var/lib/sluice");
	else if ((dir = getenv("XDG_STATE_HOME")) != NULL && dir[0] == '/')
		buf_addf(to, "%s/sluice", dir);
	else
		buf_addf(to, "%s/.local/state/sluice", home ? home : "");
}

const char *
state_path(const char *dir, const char *name, struct buf *to)
{
	buf_clear(to);
	buf_addf(to, "%s/%s", dir, name);
	return buf_cstr(to);
}

enum slc_rc
state_read(const char *path, struct buf *to, struct slc_err *err)
{
	enum slc_rc rc = SLC_OK;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	buf_clear(to);
	if (fd < 0)
		return slc_fail(err, errno == ENOENT ? SLC_ENOTFOUND : SLC_EIO,
		    "%s: %s", path, strerror(errno));
	buf_reserve(to, STATE_TEXT_MAX);
	n = read(fd, to->p, STATE_TEXT_MAX);
	if (n < 0)
		rc = slc_fail(err, SLC_EIO, "%s: %s", path, strerror(errno));
	else
		to->n = (size_t)n;
	close(fd);
	while (to->n > 0 && isspace((unsigned char)to->p[to->n - 1]))
		to->n--;
	for (n = 0; (size_t)n < to->n && isspace((unsigned char)to->p[n]);)
		n++;
	buf_drop(to, n < 0 ? 0 : (size_t)n);
	return rc;
}

enum slc_rc
state_write(
    const char *path, const char *text, unsigned mode, struct slc_err *err)
{
	enum slc_rc rc = SLC_OK;
	struct buf temp = { 0 };
	FILE *f = NULL;
	int fd;

	buf_addf(&temp, "%s.new", path);
	unlink(buf_cstr(&temp));
	fd = open(
	    buf_cstr(&temp), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0 || (f = fdopen(fd, "w")) == NULL || fputs(text, f) < 0 ||
	    fflush(f) != 0 || fchmod(fd, mode) != 0 || fsync(fd) != 0 ||
	    rename(buf_cstr(&temp), path) != 0)
		rc = slc_fail(
		    err, SLC_EIO, "%s: %s", buf_cstr(&temp), strerror(errno));
	if (f != NULL)
		fclose(f);
	buf_fini(&temp);
	return rc;
}

/* What a flag or variable holds: itself, or after "@" the name of a file. */
static enum slc_rc
read_key(const char *text, struct buf *key, struct slc_err *err)
{
	enum slc_rc rc = SLC_OK;

	if (text[0] == '@')
		rc = state_read(text + 1, key, err);
	else
		buf_adds(key, text);
	if (rc == SLC_ENOTFOUND)
		rc = err->rc = SLC_EAUTH;
	if (rc != SLC_OK)
		return rc;
	for (size_t i = 0; i < key->n; i++)
		if (key->p[i] <= ' ' || key->p[i] > '~')
			return slc_fail(err, SLC_EAUTH,
			    "a key has no spaces or control characters; use "
			    "--key @FILE for one in a file");
	return key->n > 0 ? SLC_OK : slc_fail(err, SLC_EAUTH, "empty key");
}

enum slc_rc
state_server(const struct cli *cli, struct buf *url, struct buf *key,
    struct slc_err *err)
{
	struct buf dir = { 0 }, path = { 0 }, local = { 0 };
	const char *given = cli_get(cli, "server");
	const char *secret = cli_global(cli, "key");
	enum slc_rc rc = SLC_OK;

	state_dir(cli, &dir);
	if (given == NULL)
		given = getenv("SLUICE_URL");
	if (secret == NULL)
		secret = getenv("SLUICE_API_KEY");
	state_read(state_path(buf_cstr(&dir), "url", &path), &local, NULL);
	if (given == NULL || given[0] == '\0')
		given = buf_cstr(&local);
	if (given[0] == '\0') {
		rc = slc_fail(err, SLC_EDB,
		    "no server: start one with `sluice up`, or pass --server "
		    "or set SLUICE_URL (nothing runs on %s)",
		    buf_cstr(&dir));
		goto out;
	}
	buf_adds(url, given);
	while (url->n > 0 && url->p[url->n - 1] == '/')
		url->n--;
	if (secret != NULL && secret[0] != '\0') {
		rc = read_key(secret, key, err);
	} else if (slice_eq(buf_slice(url), buf_cstr(&local))) {
		rc = state_read(
		    state_path(buf_cstr(&dir), "admin.key", &path), key, err);
		if (rc != SLC_OK)
			rc = err->rc = SLC_EAUTH;
	} else {
		rc = slc_fail(err, SLC_EAUTH,
		    "no key for %s: pass --key or set SLUICE_API_KEY",
		    buf_cstr(url));
	}
out:
	buf_fini(&dir);
	buf_fini(&path);
	buf_fini(&local);
	return rc;
}
