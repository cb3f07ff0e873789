#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "upstream.h"

/* The number behind NAME= in the URL's query, or what to take instead. */
static double
query(const char *url, const char *name, double otherwise)
{
	const char *p = strchr(url, '?');
	size_t n = strlen(name);

	for (; p != NULL; p = strchr(p, '&'))
		if (strncmp(++p, name, n) == 0 && p[n] == '=')
			return strtod(p + n + 1, NULL);
	return otherwise;
}

static bool
is_path(const struct conn *c, const char *path)
{
	return strcspn(c->url, "?") == strlen(path) &&
	    strncmp(c->url, path, strlen(path)) == 0;
}

void
control_stats(struct upstream *u, const char *url, struct text *out)
{
	struct stats_query q = {
		.from_s = query(url, "from", 0),
		.to_s = query(url, "to", -1),
		.series = query(url, "series", 0) != 0,
	};

	stats_json(out, &u->stats, &u->limits, &q, upstream_now(u));
}

/* Everything is checked on a copy first: a change happens whole or not. */
static bool
control_change(struct upstream *u, const json_t *changes, char err[160])
{
	struct conf conf = u->conf;
	const char *name;
	json_t *value;
	bool reset = false, limits = false, foreign = false;

	json_object_foreach((json_t *)changes, name, value)
	{
		if (strcmp(name, "reset") == 0)
			reset = json_is_true(value);
		else if (!conf_change(&conf, name, value, err))
			return false;
		limits |= strcmp(name, "limit") == 0;
		foreign |= strcmp(name, "foreign") == 0;
	}
	u->conf = conf;
	if (reset)
		stats_reset(&u->stats, upstream_now(u));
	if (reset || limits)
		upstream_set_limits(u);
	if (foreign)
		foreign_start(u);
	server_set_sweep(u);
	return true;
}

static void
control_on_control(struct upstream *u, struct conn *c, struct reply *r)
{
	json_t *changes = json_loadb(c->body.p, c->body.n, 0, NULL);
	char err[160] = "the body is no JSON object";

	if (json_is_object(changes) && control_change(u, changes, err)) {
		text_adds(&u->server.body, "{\"ok\":true}\n");
	} else {
		r->status = 400;
		answer_error(
		    &u->server.body, err, "invalid_request_error", NULL);
	}
	json_decref(changes);
}

void
control_on_request(struct upstream *u, struct conn *c)
{
	struct text *body = &u->server.body;
	struct reply r = { .status = 200, .body = body };
	bool get = c->parser.method == HTTP_GET;

	text_clear(body);
	if (get && is_path(c, "/_stats")) {
		control_stats(u, c->url, body);
	} else if (get && is_path(c, "/_sends")) {
		r.type = "application/x-ndjson";
		stats_sends(body, &u->stats, (size_t)query(c->url, "first", 0),
		    (size_t)query(c->url, "count", 1e9));
	} else if (c->parser.method == HTTP_POST && is_path(c, "/_control")) {
		control_on_control(u, c, &r);
	} else {
		r.status = 404;
		answer_error(body, "There is /_stats, /_sends, /_control.",
		    "invalid_request_error", "unknown_url");
	}
	conn_reply(c, &r);
}
