/*
 * content - GET /v1/files/ID/content: the chunks of a file, one after another,
 * no faster than the peer takes them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

enum { CONTENT_READ_BYTES = 512 << 10 };

struct content {
	char id[33];
	int64_t next, end; /* bytes still to send: [next, end) */
	bool started;
	bool reading, blocked;
};

static void content_read(struct call *call);

static void
content_on_gone(struct call *call)
{
	free(call->state);
	call->state = NULL;
}

static void
content_go_on(struct call *call)
{
	struct content *c = call->state;

	if (c->next >= c->end) {
		call->answered = true;
		http_end(call->req);
	} else if (!c->reading && !c->blocked) {
		content_read(call);
	}
}

static void
content_on_drain(struct http_req *req)
{
	struct call *call = http_user(req);
	struct content *c = call->state;

	c->blocked = false;
	content_go_on(call);
}

/*
 * Range (RFC 9110 14.2): one range of bytes.  True: [*from, *to) of total is
 * asked for; false: all of it, also when the header makes no sense.
 */
static bool
content_range(struct slice v, int64_t total, int64_t *from, int64_t *to)
{
	const char *dash;
	struct slice a, b;
	int64_t first, last;

	if (v.n < 7 || !slice_ieq((struct slice){ v.p, 6 }, "bytes="))
		return false;
	v = (struct slice){ v.p + 6, v.n - 6 };
	dash = memchr(v.p, '-', v.n);
	if (dash == NULL)
		return false;
	a = (struct slice){ v.p, (size_t)(dash - v.p) };
	b = (struct slice){ dash + 1, v.n - a.n - 1 };
	if (a.n == 0) { /* the last so many */
		if (!slice_int(b, INT64_MAX, &last))
			return false;
		*from = last < total ? total - last : 0;
		*to = last == 0 ? 0 : total;
		return true;
	}
	if (!slice_int(a, INT64_MAX - 1, &first))
		return false;
	last = INT64_MAX - 1;
	if (b.n > 0 && (!slice_int(b, INT64_MAX - 1, &last) || last < first))
		return false;
	*from = first;
	*to = last + 1 < total ? last + 1 : total;
	return true;
}

/* filename*: RFC 8187; nothing of the name gets into the header as it is. */
static void
set_disposition(struct call *call, struct slice name)
{
	static const char hex[] = "0123456789ABCDEF";
	struct buf b = { 0 };

	for (size_t i = 0; i < name.n; i++) {
		unsigned char ch = (unsigned char)name.p[i];

		if ((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') ||
		    (ch >= 'A' && ch <= 'Z') || ch == '.' || ch == '-' ||
		    ch == '_') {
			buf_addc(&b, (char)ch);
		} else {
			buf_addc(&b, '%');
			buf_addc(&b, hex[ch >> 4]);
			buf_addc(&b, hex[ch & 15]);
		}
	}
	http_set(call->req, "Content-Disposition",
	    "attachment; filename*=UTF-8''%s", buf_cstr(&b));
	buf_fini(&b);
}

/* The first rows are here: decide what is sent.  False: answered otherwise. */
static bool
content_start(struct call *call, const struct db_result *res)
{
	struct content *c = call->state;
	int64_t total = db_int(res, 0, 0, 0), from, to;
	/* Ranges are for GET alone (RFC 9110 14.2); what If-Range has is none
	 * of ours, for we give no validators. */
	bool ranged = !http_is_head(call->req) &&
	    http_header(call->req, "if-range").p == NULL &&
	    content_range(http_header(call->req, "range"), total, &from, &to);

	if (ranged && (from >= total || to <= from)) {
		http_set(call->req, "Content-Range", "bytes */%" PRId64, total);
		api_error(call, 416, "range_not_satisfiable", NULL,
		    "The file has %" PRId64 " bytes now.", total);
		return false;
	}
	if (!ranged) {
		from = 0;
		to = total;
	}
	set_disposition(call, db_slice(res, 0, 0, 1));
	http_set(call->req, "Accept-Ranges", "bytes");
	http_set(call->req, "X-Content-Type-Options", "nosniff");
	if (ranged)
		http_set(call->req, "Content-Range",
		    "bytes %" PRId64 "-%" PRId64 "/%" PRId64, from, to - 1,
		    total);
	c->started = true;
	c->next = from;
	c->end = to;
	http_start(call->req, ranged ? 206 : 200, "application/jsonl",
	    to - from, content_on_drain);
	if (http_is_head(call->req))
		c->next = c->end;
	return true;
}

static void
content_on_read(struct db_result *res, void *arg)
{
	struct call *call = arg;
	struct content *c = call->state;

	if (call->req == NULL || call->answered)
		goto out;
	c->reading = false;
	if (db_rc(res) != SLC_OK) {
		if (c->started)
			http_abort(call->req); /* the peer must not take it for
						  whole */
		else
			api_db_error(call, res);
		goto out;
	}
	if (!c->started) {
		/* Learned how long it is; now read from where it starts. */
		if (content_start(call, res))
			content_go_on(call);
		goto out;
	}
	for (int i = 0; i < db_rows(res, 0) && c->next < c->end; i++) {
		int64_t first = db_int(res, 0, i, 3);
		struct slice bytes = db_slice(res, 0, i, 4);
		int64_t stop = first + (int64_t)bytes.n;

		if (bytes.p == NULL || first > c->next || stop <= c->next)
			continue;
		bytes.p += c->next - first;
		bytes.n -= (size_t)(c->next - first);
		if (stop > c->end)
			bytes.n -= (size_t)(stop - c->end);
		c->next += (int64_t)bytes.n;
		c->blocked = !http_write(call->req, bytes) || c->blocked;
		if (call->req == NULL)
			goto out;
	}
	if (db_rows(res, 0) == 0 || db_null(res, 0, 0, 3))
		http_abort(call->req); /* purged under our hands */
	else
		content_go_on(call);
out:
	call_drop(call);
}

static void
content_read(struct call *call)
{
	struct content *c = call->state;

	c->reading = true;
	call->refs++;
	db_run(call->api->db, content_on_read, call, STMT_FILE_READ,
	    call->account, c->id, c->next,
	    (int64_t)(c->started ? CONTENT_READ_BYTES : 0));
}

void
api_files_content(struct call *call)
{
	struct content *c;
	char id[33];

	if (!api_id(call, call->id, "file-", "File", "file_id", id))
		return;
	c = xcalloc(1, sizeof(*c));
	memcpy(c->id, id, sizeof(id));
	call->state = c;
	call->on_gone = content_on_gone;
	content_read(call);
}
