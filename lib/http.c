#include <string.h>

#include <sluice/http.h>

#include "http_conn.h"
#include "server.h"

void
http_opts_fill(struct http_opts *o)
{
	o->max_connections = o->max_connections ?: 1024;
	o->max_per_address = o->max_per_address ?: 256;
	o->header_ms = o->header_ms ?: 10000;
	o->body_grace_ms = o->body_grace_ms ?: 10000;
	o->body_min_bps = o->body_min_bps ?: 1024;
	o->stall_ms = o->stall_ms ?: 30000;
	o->idle_ms = o->idle_ms ?: 75000;
	o->headers_max = o->headers_max ?: SLC_HEADERS_MAX;
}

int64_t
http_opts_tick_ms(const struct http_opts *o)
{
	const int64_t limits[] = { o->header_ms, o->body_grace_ms, o->stall_ms,
		o->idle_ms };
	int64_t ms = 500;

	/* An eighth of the shortest limit is fine enough. */
	for (size_t i = 0; i < NITEMS(limits); i++)
		if (ms > limits[i] / 8)
			ms = limits[i] / 8;
	return ms > 5 ? ms : 5;
}

const char *
http_method(const struct http_req *req)
{
	return req->head.method;
}

bool
http_is_head(const struct http_req *req)
{
	return req->head.is_head;
}

struct slice
http_path(const struct http_req *req)
{
	struct slice target = http_head_target(&req->head);
	const char *mark = memchr(target.p, '?', target.n);

	if (mark != NULL)
		target.n = (size_t)(mark - target.p);
	return target;
}

struct slice
http_query(const struct http_req *req)
{
	struct slice target = http_head_target(&req->head);
	size_t path_n = http_path(req).n;

	if (path_n < target.n)
		path_n++;
	return (struct slice){ target.p + path_n, target.n - path_n };
}

struct slice
http_header(const struct http_req *req, const char *name)
{
	return http_head_value(&req->head, name);
}

bool
http_header_at(const struct http_req *req, size_t number, struct slice *name,
    struct slice *value)
{
	return http_head_at(&req->head, number, name, value);
}

bool
http_has_body(const struct http_req *req)
{
	return req->head.length != 0;
}

int64_t
http_body_length(const struct http_req *req)
{
	return req->head.length;
}

const char *
http_id(const struct http_req *req)
{
	return req->id;
}

const char *
http_peer(const struct http_req *req)
{
	return server_peer(req->conn);
}

void
http_set_user(struct http_req *req, void *user)
{
	req->user = user;
}

void *
http_user(const struct http_req *req)
{
	return req->user;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
decode(struct slice s, bool plus, struct buf *out)
{
	buf_clear(out);
	for (size_t i = 0; i < s.n; i++) {
		int high, low;
		char c = s.p[i];

		if (c == '+' && plus) {
			c = ' ';
		} else if (c == '%') {
			if (s.n - i < 3 || (high = hex_digit(s.p[i + 1])) < 0 ||
			    (low = hex_digit(s.p[i + 2])) < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		/* No value we take has one, and a C string would end there. */
		if (c == '\0')
			return false;
		buf_addc(out, c);
	}
	return true;
}

bool
http_unescape(struct slice s, struct buf *out)
{
	return decode(s, false, out);
}

bool
http_param(const struct http_req *req, const char *name, struct buf *out)
{
	struct slice rest = http_query(req);
	size_t name_n = strlen(name);

	while (rest.n > 0) {
		const char *amp = memchr(rest.p, '&', rest.n);
		size_t n = amp == NULL ? rest.n : (size_t)(amp - rest.p);

		if (n > name_n && rest.p[name_n] == '=' &&
		    memcmp(rest.p, name, name_n) == 0)
			return decode((struct slice){ rest.p + name_n + 1,
					  n - name_n - 1 },
			    true, out);
		n += amp != NULL;
		rest = (struct slice){ rest.p + n, rest.n - n };
	}
	return false;
}
