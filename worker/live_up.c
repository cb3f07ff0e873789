#include <stdlib.h>
#include <string.h>

#include "live_own.h"

enum { LINES_MAX = 64 }; /* of headers that go on */

/* The caller's headers that may go on, and the secret; owned lines. */
static struct upstream_headers *
make_headers(struct live_call *c)
{
	char *lines[LINES_MAX + 3];
	struct slice name, value;
	struct upstream_headers *h;
	struct buf b = { 0 };
	size_t n = 0;

	for (size_t i = 0;
	     n < LINES_MAX && http_header_at(c->req, i, &name, &value); i++) {
		if (!live_goes_up(name) || value.n == 0)
			continue;
		buf_clear(&b);
		buf_add(&b, name.p, name.n);
		buf_adds(&b, ": ");
		buf_add(&b, value.p, value.n);
		lines[n++] = xstrdup(buf_cstr(&b));
	}
	if (http_header(c->req, "content-type").p == NULL)
		lines[n++] = xstrdup("Content-Type:"); /* libcurl has its own */
	if (c->path->secret.n > 0) {
		buf_clear(&b);
		buf_adds(&b, "Authorization: Bearer ");
		buf_add(&b, c->path->secret.p, c->path->secret.n);
		lines[n++] = xstrdup(buf_cstr(&b));
		explicit_bzero(b.p, b.cap);
	}
	lines[n] = NULL;
	h = upstream_headers_new((const char *const *)lines);
	while (n-- > 0) {
		explicit_bzero(lines[n], strlen(lines[n]));
		free(lines[n]);
	}
	buf_fini(&b);
	return h;
}

/* The connection is up.  Where it stands in the upstream's windows must be
 * known long before the answer is over. */
static bool
live_may_send(void *arg)
{
	struct live_call *c = arg;

	live_settle_left(c->live->settle, c->admission, c->leave_us);
	return true;
}

static void
call_start(struct live_call *c)
{
	struct path *path = c->path;
	struct slice at = http_path(c->req), query = http_query(c->req);
	struct buf url = { 0 }, endpoint = { 0 };
	struct upstream_request request = {
		.method = http_method(c->req),
		.ca_file = path->ca_file,
		.body = buf_slice(&c->body),
		.connect_ms = path->connect_ms,
		.idle_ms = path->idle_ms,
		.whole_ms = path->whole_ms,
		.may_send = live_may_send,
		.on_head = live_on_head,
		.on_piece = live_on_piece,
		.done = live_on_done,
		.arg = c,
	};

	buf_add(&endpoint, at.p, at.n);
	paths_url(path->url, buf_cstr(&endpoint), &url);
	if (query.n > 0) {
		buf_addc(&url, '?');
		buf_add(&url, query.p, query.n);
	}
	request.url = buf_cstr(&url);
	request.headers = make_headers(c);
	live_set(c, LIVE_CALLING);
	c->in_flight = path->in_flight + ++path->live;
	c->up = upstream_start(c->live->upstream, &request);
	upstream_headers_drop(request.headers);
	buf_fini(&endpoint);
	buf_fini(&url);
}

void
live_call_ready(struct live_call *c)
{
	struct live *l = c->live;

	c->path = paths_find(l->paths, c->path_id);
	if (c->path != NULL && c->path->gone)
		c->path = NULL;
	if (c->path == NULL && c->stage == LIVE_READING && !l->stopping) {
		live_set(c, LIVE_PARKED);
		c->parked_ms = (int64_t)uv_now(l->loop);
		l->opts.want_paths(l->opts.arg);
	} else if (l->stopping) {
		live_refuse(c, 503, "stopping", "The worker is being stopped.");
	} else if (c->path == NULL) {
		live_refuse(c, 503, "unknown_path",
		    "The worker does not know the path.");
	} else if (c->path->trouble[0] != '\0') {
		live_refuse(c, 503, "path_trouble",
		    "The worker cannot use the path; its log says why.");
	} else {
		call_start(c);
	}
}
