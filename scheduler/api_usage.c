/* Usage: sums, peaks, forecasts; of all for the operator, of one's own. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sluice/spec.h>
#include <sluice/utf8.h>

#include "api_json.h"
#include "usage_csv.h"

enum {
	USAGE_ROWS_MAX = 10000,
	USAGE_BACK_S = 86400,            /* since, when it is not given */
	USAGE_SPAN_MAX_S = 3660 * 86400, /* back from now */
};

static const char *const groups[] = { "account", "key", "model", "path", "kind",
	"resource" };

static bool
param_error(struct call *call, const char *name, const char *says)
{
	api_error(
	    call, 400, "invalid_value", name, "'%s' must be %s.", name, says);
	return false;
}

/* The name, as "key,model"; false: answered. */
static bool
read_by(struct call *call, json_t *ask, const char *by)
{
	struct buf text = { 0 };
	json_t *list = json_array();
	bool known = true;

	if (!http_param(call->req, "by", &text))
		buf_adds(&text, by);
	json_object_set_new(ask, "by", list);
	for (const char *at = buf_cstr(&text); known && *at != '\0';) {
		size_t n = strcspn(at, ","), i = 0;

		while (i < NITEMS(groups) &&
		    !slice_eq((struct slice){ at, n }, groups[i]))
			i++;
		known = i < NITEMS(groups);
		if (known)
			json_array_append_new(list, json_string(groups[i]));
		at += n + (at[n] == ',');
	}
	buf_fini(&text);
	return known ||
	    param_error(call, "by",
		"some of account, key, model, path, kind, resource, with "
		"commas between");
}

static bool
read_per(struct call *call, json_t *ask)
{
	static const struct {
		const char *word;
		int s;
	} pers[] = { { "all", 0 }, { "minute", 60 }, { "hour", 3600 },
		{ "day", 86400 } };
	struct buf text = { 0 };
	size_t i = 0;

	if (http_param(call->req, "per", &text))
		while (i < NITEMS(pers) &&
		    strcmp(buf_cstr(&text), pers[i].word) != 0)
			i++;
	buf_fini(&text);
	if (i == NITEMS(pers))
		return param_error(call, "per", "minute, hour, day or all");
	json_object_set_new(ask, "per_s", json_integer(pers[i].s));
	return true;
}

/* Unix time, a span back from now, or a day or moment of UTC. */
static bool
moment(const char *text, int64_t now_s, int64_t *out)
{
	static const char *const forms[] = { "%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ" };
	struct slice s = slice_str(text);
	int64_t span;

	if (slice_int(s, INT32_MAX * INT64_C(4), out))
		return true;
	if (spec_window(s, 1, USAGE_SPAN_MAX_S, &span, NULL) == SLC_OK) {
		*out = now_s - span;
		return true;
	}
	for (size_t i = 0; i < NITEMS(forms); i++) {
		struct tm tm = { 0 };
		const char *end = strptime(text, forms[i], &tm);

		if (end != NULL && *end == '\0') {
			*out = (int64_t)timegm(&tm);
			return true;
		}
	}
	return false;
}

static bool
read_moments(struct call *call, json_t *ask)
{
	static const char *const names[] = { "since", "until" };
	int64_t now_s = (int64_t)time(NULL);
	/* The minute under way is in. */
	int64_t at[] = { now_s - USAGE_BACK_S, now_s + 60 };
	struct buf text = { 0 };
	bool ok = true;

	for (size_t i = 0; ok && i < NITEMS(names); i++) {
		buf_clear(&text);
		if (http_param(call->req, names[i], &text) &&
		    !moment(buf_cstr(&text), now_s, &at[i]))
			ok = param_error(call, names[i],
			    "Unix time, a span back from now as 24h or 7d, or "
			    "a moment of UTC as 2026-11-01 or "
			    "2026-11-01T16:00:00Z");
		json_object_set_new(ask, names[i], json_integer(at[i]));
	}
	buf_fini(&text);
	return ok;
}

/* What to look at only.  Whose account it is goes by the key for callers. */
static bool
read_filters(struct call *call, json_t *ask, bool all)
{
	static const char *const names[] = { "account", "model", "path",
		"resource", "key" };
	struct buf text = { 0 };
	bool ok = true;

	for (size_t i = all ? 0 : 1; ok && i < NITEMS(names); i++) {
		const char *name = names[i];
		int64_t id;

		buf_clear(&text);
		if (!http_param(call->req, name, &text))
			continue;
		if (!utf8_ok(text.p, text.n)) {
			ok = param_error(call, name, "valid UTF-8");
		} else if (strcmp(name, "key") != 0) {
			json_object_set_new(
			    ask, name, json_string(buf_cstr(&text)));
		} else if (text.n < 5 || memcmp(text.p, "key_", 4) != 0 ||
		    !slice_int((struct slice){ text.p + 4, text.n - 4 },
			INT64_MAX, &id)) {
			ok = param_error(call, name, "a key's id, as key_7");
		} else {
			json_object_set_new(ask, name, json_integer(id));
		}
	}
	buf_fini(&text);
	return ok;
}

static void
api_on_csv(struct db_result *res, void *arg)
{
	struct call *call = arg;
	struct buf out = { 0 };
	struct slice text;
	json_t *doc;

	if (db_rc(res) != SLC_OK) {
		api_db_error(call, res);
	} else if (call->req != NULL && !call->answered) {
		text = db_slice(res, 0, 0, 0);
		doc = json_loadb(text.p, text.n, 0, NULL);
		usage_csv(doc, &out);
		call->answered = true;
		http_answer(
		    call->req, 200, "text/csv; charset=utf-8", buf_slice(&out));
		json_decref(doc);
	}
	buf_fini(&out);
	call_drop(call);
}

/* Is it to be CSV?  False: answered. */
static bool
read_format(struct call *call, bool *csv)
{
	struct buf text = { 0 };
	bool ok;

	*csv = http_param(call->req, "format", &text) &&
	    strcmp(buf_cstr(&text), "csv") == 0;
	ok = *csv || text.n == 0 || strcmp(buf_cstr(&text), "json") == 0;
	buf_fini(&text);
	return ok || param_error(call, "format", "json or csv");
}

static void
answer(struct call *call, bool all, enum stmt stmt, const char *by)
{
	json_t *ask = json_pack("{s:i}", "most", USAGE_ROWS_MAX);
	int64_t account = all ? 0 : call->account;
	bool csv = false;
	char *text = NULL;

	if (read_by(call, ask, by) && read_per(call, ask) &&
	    read_moments(call, ask) && read_filters(call, ask, all) &&
	    (stmt != STMT_USAGE_GET || read_format(call, &csv)))
		text = json_dumps(ask, JSON_COMPACT);
	if (text != NULL) {
		call->refs++;
		db_run(call->api->db, csv ? api_on_csv : api_on_queried, call,
		    stmt, account, text);
	}
	free(text);
	json_decref(ask);
}

void
api_usage_all(struct call *call)
{
	answer(call, true, STMT_USAGE_GET, "");
}

void
api_usage_mine(struct call *call)
{
	answer(call, false, STMT_USAGE_GET, "");
}

void
api_usage_peak_all(struct call *call)
{
	answer(call, true, STMT_USAGE_PEAK, "account,key");
}

void
api_usage_peak_mine(struct call *call)
{
	answer(call, false, STMT_USAGE_PEAK, "account,key");
}

void
api_usage_forecast_all(struct call *call)
{
	answer(call, true, STMT_USAGE_FORECAST, "");
}

void
api_usage_forecast_mine(struct call *call)
{
	answer(call, false, STMT_USAGE_FORECAST, "");
}
