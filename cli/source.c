#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sluice/jscan.h>

#include "out.h"

static size_t
source_on_read(void *arg, char *to, size_t n)
{
	struct source *s = arg;
	char sent[OUT_TIME_MAX], size[OUT_TIME_MAX];
	ssize_t got = (ssize_t)(s->head.n - s->head_at);

	if (got > 0) {
		got = got < (ssize_t)n ? got : (ssize_t)n;
		memcpy(to, s->head.p + s->head_at, (size_t)got);
		s->head_at += (size_t)got;
	} else {
		do
			got = read(s->fd, to, n);
		while (got < 0 && errno == EINTR);
	}
	if (got < 0) {
		s->read_errno = errno;
		return 0;
	}
	s->sent += got;
	if (s->size > 0 && progress_due(&s->progress))
		progress_show(&s->progress, "uploading %s %s of %s",
		    progress_bar(s->sent, s->size, (char[32]){ 0 }),
		    out_size(s->sent, sent), out_size(s->size, size));
	else if (progress_due(&s->progress))
		progress_show(
		    &s->progress, "uploading %s", out_size(s->sent, sent));
	return (size_t)got;
}

/* A pipe can be sent again only while nothing but the head was given out. */
static bool
source_on_rewind(void *arg)
{
	struct source *s = arg;

	if (s->start >= 0 ? lseek(s->fd, s->start, SEEK_SET) < 0
			  : s->sent > (int64_t)s->head.n)
		return false;
	s->head_at = 0;
	s->sent = 0;
	progress_end(&s->progress);
	return true;
}

static const char *
source_on_trouble(void *arg)
{
	const struct source *s = arg;

	return s->read_errno != 0 ? strerror(s->read_errno) : NULL;
}

/* Read on until the head holds a whole line, or the file's end. */
static enum slc_rc
read_head(
    struct source *s, const char *name, struct slice *line, struct slc_err *err)
{
	const char *end = NULL;
	ssize_t n;

	do {
		buf_reserve(&s->head, 64 << 10);
		n = read(s->fd, s->head.p + s->head.n, 64 << 10);
		if (n < 0)
			return slc_fail(
			    err, SLC_EIO, "%s: %s", name, strerror(errno));
		end = memchr(s->head.p + s->head.n, '\n', (size_t)n);
		s->head.n += (size_t)n;
	} while (n > 0 && end == NULL && s->head.n <= SLC_LINE_MAX);
	if (s->head.n == 0)
		return slc_fail(err, SLC_EINPUT, "%s: empty", name);
	*line = buf_slice(&s->head);
	if (end != NULL)
		line->n = (size_t)(end - line->p);
	if (line->n >= 3 && memcmp(line->p, "\xef\xbb\xbf", 3) == 0) {
		line->p += 3;
		line->n -= 3;
	}
	return SLC_OK;
}

/* What a file that is no JSON lines is, and what to do; "": not known. */
static const char *
guess(struct slice line, size_t fault_at)
{
	static const struct {
		const char *begin;
		size_t n;
		const char *advice;
	} kinds[] = {
		{ "\x1f\x8b", 2, "; it is gzip: zcat FILE | sluice submit -" },
		{ "PK\x03\x04", 4, "; it is a zip archive: unpack it" },
		{ "\xff\xfe", 2, "; it is UTF-16: iconv -f UTF-16 -t UTF-8" },
		{ "\xfe\xff", 2, "; it is UTF-16: iconv -f UTF-16 -t UTF-8" },
		{ "[", 1, "; for a list of requests: jq -c '.[]' FILE" },
		{ "{", 1, "; each request is one line: jq -c . FILE" },
	};
	size_t i = 0;

	while (i < NITEMS(kinds) &&
	    (line.n < kinds[i].n ||
		memcmp(line.p, kinds[i].begin, kinds[i].n) != 0))
		i++;
	if (i == NITEMS(kinds) ||
	    (kinds[i].begin[0] == '{' && fault_at < line.n))
		return "";
	return kinds[i].advice;
}

static enum slc_rc
look_at_first(
    struct source *s, const char *name, struct buf *url, struct slc_err *err)
{
	static const struct jscan_want want = { "url", -1 };
	struct jscan_found found = { 0 };
	struct jscan_fault fault = { 0 };
	struct slice line;
	enum slc_rc rc = read_head(s, name, &line, err);
	enum jscan_kind kind;

	if (rc != SLC_OK)
		return rc;
	if (line.n > SLC_LINE_MAX)
		return slc_fail(err, SLC_EINPUT, "%s: line 1: over %d bytes",
		    name, SLC_LINE_MAX);
	kind = jscan(line, SLC_DEPTH_MAX, &want, 1, &found, &fault);
	if (kind == JSCAN_ABSENT)
		return slc_fail(err, SLC_EINPUT,
		    "%s: line 1, byte %zu: not JSON: %s%s", name, fault.at + 1,
		    fault.text, guess(line, fault.at));
	if (kind != JSCAN_OBJECT)
		return slc_fail(err, SLC_EINPUT,
		    "%s: line 1: not a JSON object; each line is a request "
		    "{\"custom_id\", \"method\", \"url\", \"body\"}%s",
		    name, guess(line, fault.at));
	if (found.kind == JSCAN_STRING)
		jscan_unquote(found.text, url);
	return SLC_OK;
}

enum slc_rc
source_open(struct source *s, const struct cli *cli, const char *path,
    struct buf *url, struct slc_err *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	const char *name = strrchr(path, '/');
	struct stat st;

	*s = (struct source){ .size = -1, .start = -1 };
	s->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0 || fstat(s->fd, &st) != 0)
		return slc_fail(err, SLC_EIO, "%s: %s", path, strerror(errno));
	name = is_stdin ? "stdin.jsonl" : name != NULL ? name + 1 : path;
	s->client = (struct client_source){ .name = name,
		.size = -1,
		.read = source_on_read,
		.rewind = source_on_rewind,
		.trouble = source_on_trouble,
		.arg = s };
	if (S_ISREG(st.st_mode)) {
		off_t at = lseek(s->fd, 0, SEEK_CUR);

		s->client.size = s->size = st.st_size - (at > 0 ? at : 0);
	}
	progress_begin(&s->progress, cli);
	if (look_at_first(s, is_stdin ? "stdin" : path, url, err) != SLC_OK)
		return err->rc;
	if (s->size >= 0)
		s->start = lseek(s->fd, 0, SEEK_CUR);
	return SLC_OK;
}

void
source_close(struct source *s)
{
	progress_end(&s->progress);
	if (s->fd > STDIN_FILENO)
		close(s->fd);
	buf_fini(&s->head);
}
