#include "hooks.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sluice/conf.h>
#include <sluice/header.h>
#include <sluice/log.h>
#include <sluice/upstream.h>

#include "hook_sign.h"
#include "secret.h"

enum {
	HOOKS_OPEN_MAX = 16, /* calls at once */
	HOLD_S = 60,         /* longer than a whole call */
	CONNECT_MS = 5000,
	IDLE_MS = 10000,
	WHOLE_MS = 20000,
	ANSWER_MAX = 64 << 10, /* nobody reads it */
	WAIT_MAX_S = 86400,    /* of a receiver's Retry-After */
	EVENT_MAX = 40,        /* of its name, the end included */
};

struct hook {
	struct hooks *hooks;
	struct hook *next, **prev;
	int64_t id;
	int32_t tries;
	char name[EVENT_MAX]; /* evt_... */
	struct buf url, body;
	struct upstream_call *call;
};

struct hooks {
	struct db *db;
	struct hook_rules rules;
	struct upstream *upstream;
	struct hook *list;
	int n;
	bool taking, stopping;
	void (*on_closed)(void *arg);
	void *closed_arg;
};

static void
hook_free(struct hook *k)
{
	*k->prev = k->next;
	if (k->next != NULL)
		k->next->prev = k->prev;
	k->hooks->n--;
	buf_fini(&k->url);
	buf_fini(&k->body);
	free(k);
}

/* Not told: it is due again when its hold is over, and sent once more. */
static void
hook_on_settled(struct db_result *res, void *arg)
{
	struct hook *k = arg;

	if (db_rc(res) != SLC_OK)
		log_warn("hook.settle", "event=%s why=\"%s\"", k->name,
		    db_message(res));
	hook_free(k);
}

static void
settle(struct hook *k, int status, const char *why, int64_t wait_s)
{
	if (why == NULL)
		log_info("hook.delivered", "event=%s try=%" PRId32 " status=%d",
		    k->name, k->tries, status);
	else
		log_warn("hook.failed",
		    "event=%s try=%" PRId32 " status=%d why=\"%s\"", k->name,
		    k->tries, status, why);
	db_run(k->hooks->db, hook_on_settled, k, STMT_HOOK_SETTLE, k->id,
	    (int64_t)k->tries, (int64_t)status, why, wait_s);
}

static int64_t
asked_wait_s(const struct upstream_result *got)
{
	struct slice v = header_find(got->headers, "retry-after");
	int64_t wait_s = 0;

	if (v.p == NULL || !slice_int(v, INT32_MAX, &wait_s))
		return 0;
	return wait_s > WAIT_MAX_S ? WAIT_MAX_S : wait_s;
}

static void
hook_on_done(const struct upstream_result *got, void *arg)
{
	struct hook *k = arg;
	char why[160];

	k->call = NULL;
	switch (got->end) {
	case UPSTREAM_ABANDONED:
		hook_free(k);
		return;
	case UPSTREAM_ANSWERED:
	case UPSTREAM_TOO_LARGE:
		if (got->status >= 200 && got->status < 300) {
			settle(k, got->status, NULL, 0);
			return;
		}
		snprintf(why, sizeof(why), "HTTP %d%s", got->status,
		    got->status >= 300 && got->status < 400
			? ": redirects are not followed"
			: "");
		settle(k, got->status, why, asked_wait_s(got));
		return;
	case UPSTREAM_FORBIDDEN:
		snprintf(why, sizeof(why),
		    "The address or port is not allowed for webhooks.");
		break;
	default:
		snprintf(why, sizeof(why), "%s", got->why);
	}
	settle(k, 0, why, 0);
}

static struct upstream_headers *
make_headers(const struct hook *k, int64_t at_s, const char *signature)
{
	char id[EVENT_MAX + 16], at[48];
	struct buf sign = { 0 };
	struct upstream_headers *made;

	snprintf(id, sizeof(id), "webhook-id: %s", k->name);
	snprintf(at, sizeof(at), "webhook-timestamp: %" PRId64, at_s);
	buf_addf(&sign, "webhook-signature: %s", signature);
	made = upstream_headers_new(
	    (const char *const[]){ "Content-Type: application/json",
		"User-Agent: Sluice/" CONF_VERSION, id, at, buf_cstr(&sign),
		NULL });
	buf_fini(&sign);
	return made;
}

/* With the secret of now: a changed file counts from the next try on. */
static void
hook_send(struct hook *k, const char *secret_file)
{
	struct hooks *h = k->hooks;
	struct buf secret = { 0 }, signature = { 0 };
	int64_t at_s = (int64_t)time(NULL);
	const char *fault = secret_read(secret_file, &secret, NULL);
	struct upstream_request request = { .url = buf_cstr(&k->url),
		.body = buf_slice(&k->body),
		.connect_ms = CONNECT_MS,
		.idle_ms = IDLE_MS,
		.whole_ms = WHOLE_MS,
		.answer_max = ANSWER_MAX,
		.done = hook_on_done,
		.arg = k };
	char why[160];

	if (fault == NULL)
		fault = hook_sign(buf_slice(&secret), k->name, at_s,
		    buf_slice(&k->body), &signature);
	secret_wipe(&secret);
	if (fault != NULL) {
		snprintf(why, sizeof(why), "secret file %.80s %s", secret_file,
		    fault);
		settle(k, 0, why, 0);
	} else if (strncmp(request.url, "https://", 8) != 0 && !h->rules.http) {
		settle(k, 0, "Without TLS nothing is sent.", 0);
	} else {
		request.headers = make_headers(k, at_s, buf_cstr(&signature));
		k->call = upstream_start(h->upstream, &request);
		upstream_headers_drop(request.headers);
	}
	buf_fini(&secret);
	buf_fini(&signature);
}

static void
hooks_on_taken(struct db_result *res, void *arg)
{
	struct hooks *h = arg;
	struct buf file = { 0 };

	h->taking = false;
	for (int i = 0; i < db_rows(res, 0); i++) {
		struct hook *k = xcalloc(1, sizeof(*k));
		struct slice name = db_slice(res, 0, i, 2);
		struct slice url = db_slice(res, 0, i, 3);
		struct slice secret = db_slice(res, 0, i, 4);
		struct slice body = db_slice(res, 0, i, 5);

		k->hooks = h;
		k->id = db_int(res, 0, i, 0);
		k->tries = (int32_t)db_int(res, 0, i, 1);
		snprintf(k->name, sizeof(k->name), "%.*s", (int)name.n, name.p);
		buf_add(&k->url, url.p, url.n);
		buf_add(&k->body, body.p, body.n);
		k->next = h->list;
		k->prev = &h->list;
		if (h->list != NULL)
			h->list->prev = &k->next;
		h->list = k;
		h->n++;
		if (h->stopping) {
			hook_free(k);
			continue;
		}
		buf_clear(&file);
		buf_add(&file, secret.p, secret.n);
		hook_send(k, buf_cstr(&file));
	}
	buf_fini(&file);
}

void
hooks_due(struct hooks *h)
{
	if (h->taking || h->stopping || h->n >= HOOKS_OPEN_MAX)
		return;
	h->taking = true;
	db_run(h->db, hooks_on_taken, h, STMT_HOOKS_TAKE,
	    (int64_t)(HOOKS_OPEN_MAX - h->n), (int64_t)HOLD_S);
}

void
hooks_stop(struct hooks *h, bool calls)
{
	h->stopping = true;
	for (struct hook *k = h->list; k != NULL && calls; k = k->next)
		if (k->call != NULL)
			upstream_cancel(k->call);
}

bool
hooks_idle(const struct hooks *h)
{
	return !h->taking && h->n == 0;
}

struct hooks *
hooks_new(uv_loop_t *loop, struct db *db, const struct hook_rules *rules)
{
	struct hooks *h = xcalloc(1, sizeof(*h));
	static const size_t nothing;
	struct upstream_opts opts = { .connections = HOOKS_OPEN_MAX,
		.buffer_max = (size_t)HOOKS_OPEN_MAX * ANSWER_MAX,
		.elsewhere = &nothing,
		.may_connect = hook_may_connect,
		.may_arg = &h->rules };

	h->db = db;
	h->rules = *rules;
	h->upstream = upstream_new(loop, &opts);
	return h;
}

static void
hooks_on_closed(void *arg)
{
	struct hooks *h = arg;

	h->on_closed(h->closed_arg);
	free(h);
}

void
hooks_free(struct hooks *h, void (*on_closed)(void *arg), void *arg)
{
	assert(hooks_idle(h));
	h->on_closed = on_closed;
	h->closed_arg = arg;
	upstream_close(h->upstream, hooks_on_closed, h);
}
