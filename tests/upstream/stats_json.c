#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "stats.h"

static int64_t
units(const struct stats *s, const struct limit *l, const struct arrival *a,
    bool all)
{
	int64_t each[DIMS];

	if ((a->fate != FATE_ACCEPTED && !(all && a->fate == FATE_FOREIGN)) ||
	    !limit_applies(l, s->models[a->model].name))
		return 0;
	stats_units(each, a);
	return each[l->dim];
}

int64_t
stats_max_in_window(const struct stats *s, const struct limit *l, bool all)
{
	int64_t sum = 0, most = 0;
	size_t old = 0;

	for (size_t i = 0; i < s->n; i++) {
		sum += units(s, l, &s->log[i], all);
		while (s->log[i].ns - s->log[old].ns > l->window_ns)
			sum -= units(s, l, &s->log[old++], all);
		if (sum > most)
			most = sum;
	}
	return most;
}

static int64_t
units_between(const struct stats *s, const struct limit *l, int64_t from_ns,
    int64_t to_ns, bool all)
{
	int64_t sum = 0;

	for (size_t i = 0; i < s->n; i++)
		if (s->log[i].ns >= from_ns && s->log[i].ns < to_ns)
			sum += units(s, l, &s->log[i], all);
	return sum;
}

static int64_t
most_running(const struct stats *s, const struct limit *l)
{
	if (l->model[0] == '\0')
		return s->most_running;
	for (size_t i = 0; i < s->nmodels; i++)
		if (strcmp(s->models[i].name, l->model) == 0)
			return s->models[i].most_running;
	return 0;
}

static void
add_limit(struct text *out, const struct stats *s, const struct limit *l,
    int64_t from_ns, int64_t to_ns)
{
	double window_s = (double)l->window_ns / 1e9;
	double most =
	    (double)(to_ns - from_ns) / 1e9 * (double)l->amount / window_s;

	text_addf(out, "{\"limit\":\"%s\",\"model\":", l->spec);
	if (l->model[0] != '\0')
		text_add_json(out, l->model, strlen(l->model));
	else
		text_adds(out, "null");
	text_addf(out,
	    ",\"amount\":%" PRId64 ",\"window_s\":%g,\"refused\":%" PRIu64,
	    l->amount, window_s, l->refused);
	if (l->dim == DIM_CONCURRENT) {
		text_addf(
		    out, ",\"max_in_window\":%" PRId64 "}", most_running(s, l));
		return;
	}
	if (s->no_log) {
		text_adds(out, ",\"max_in_window\":null}");
		return;
	}
	for (int all = 0; all <= 1; all++) {
		const char *total = all > 0 ? "total_" : "";
		int64_t sum = units_between(s, l, from_ns, to_ns, all);

		text_addf(out,
		    ",\"%smax_in_window\":%" PRId64 ",\"%sunits\":%" PRId64
		    ",\"%sutilisation\":%.5f",
		    total, stats_max_in_window(s, l, all), total, sum, total,
		    most > 0 ? (double)sum / most : 0.0);
	}
	text_adds(out, "}");
}

static void
add_series(struct text *out, const struct stats *s)
{
	int64_t second = 0, count = 0;

	text_adds(out, ",\"series\":[");
	for (size_t i = 0; i < s->n; i++) {
		int64_t at = (s->log[i].ns - s->first_ns) / 1000000000;

		for (; second < at; second++, count = 0)
			text_addf(out, "%" PRId64 ",", count);
		count += s->log[i].fate == FATE_ACCEPTED;
	}
	text_addf(out, "%" PRId64 "]", count);
}

static void
add_counts(struct text *out, const struct stats *s)
{
	const char *comma = "";

	text_adds(out, ",\"status\":{");
	for (int i = 0; i < STATUS_MAX; i++) {
		if (s->status[i] == 0)
			continue;
		text_addf(out, "%s\"%d\":%" PRIu64, comma, i, s->status[i]);
		comma = ",";
	}
	comma = "";
	text_adds(out, "},\"faults\":{");
	for (size_t i = 0; fault_kinds[i].name != NULL; i++) {
		if (s->faults[i] == 0)
			continue;
		text_addf(out, "%s\"%s\":%" PRIu64, comma, fault_kinds[i].name,
		    s->faults[i]);
		comma = ",";
	}
	text_adds(out, "}");
}

static double
mean_running(const struct stats *s, int64_t now_ns)
{
	/* An idle tail says nothing about the run: it is left out. */
	int64_t end_ns = s->running > 0 ? now_ns : s->running_since_ns;
	double area = s->running_ns +
	    (double)s->running * (double)(end_ns - s->running_since_ns);

	if (end_ns <= s->running_from_ns)
		return 0;
	return area / (double)(end_ns - s->running_from_ns);
}

void
stats_json(struct text *out, const struct stats *s,
    const struct limiter *limits, const struct stats_query *q, int64_t now_ns)
{
	int64_t from_ns = s->first_ns + llround(q->from_s * 1e9);
	int64_t to_ns =
	    q->to_s < 0 ? s->last_ns : s->first_ns + llround(q->to_s * 1e9);

	text_addf(out,
	    "{\"elapsed_s\":%.6f,\"arrivals\":%" PRIu64 ",\"accepted\":%" PRIu64
	    ",\"refused\":%" PRIu64 ",\"denied\":%" PRIu64
	    ",\"abandoned\":%" PRIu64 ",\"foreign_sent\":%" PRIu64
	    ",\"foreign_refused\":%" PRIu64,
	    (double)(s->last_ns - s->first_ns) / 1e9, s->arrivals,
	    s->fates[FATE_ACCEPTED], s->fates[FATE_REFUSED],
	    s->fates[FATE_DENIED], s->abandoned,
	    s->fates[FATE_FOREIGN] + s->fates[FATE_FOREIGN_REFUSED],
	    s->fates[FATE_FOREIGN_REFUSED]);
	add_counts(out, s);
	text_addf(out,
	    ",\"prompt_tokens\":%" PRIu64 ",\"completion_tokens\":%" PRIu64
	    ",\"connections\":%" PRIu64 ",\"protocol_errors\":%" PRIu64,
	    s->prompt_tokens, s->completion_tokens, s->connections,
	    s->protocol_errors);
	text_addf(out,
	    ",\"running\":%" PRId64 ",\"max_running\":%" PRId64
	    ",\"mean_running\":%.3f",
	    s->running, s->most_running, mean_running(s, now_ns));
	if (!s->no_log)
		text_addf(out,
		    ",\"resends\":%" PRIu64
		    ",\"max_sends_of_a_key\":%d,\"copies\":%" PRIu64
		    ",\"max_copies_of_a_body\":%d,\"duplicates\":%" PRIu64,
		    s->resends, s->most_sends, s->copies, s->most_copies,
		    s->duplicates);
	text_addf(out, ",\"from_s\":%.6f,\"to_s\":%.6f,\"limits\":[",
	    (double)(from_ns - s->first_ns) / 1e9,
	    (double)(to_ns - s->first_ns) / 1e9);
	for (size_t i = 0; i < limits->n; i++) {
		text_adds(out, i > 0 ? "," : "");
		add_limit(out, s, &limits->v[i], from_ns, to_ns);
	}
	text_adds(out, "]");
	if (q->series)
		add_series(out, s);
	text_adds(out, "}\n");
}

void
stats_sends(struct text *out, const struct stats *s, size_t first, size_t count)
{
	static const char *const fates[FATES] = { "denied", "refused",
		"accepted", "foreign_refused", "foreign" };
	int64_t start_ns =
	    s->arrivals > 0 || s->n == 0 ? s->first_ns : s->log[0].ns;

	for (size_t i = first; i < s->n && count-- > 0; i++) {
		const struct arrival *a = &s->log[i];
		const char *key = s->keys.p + a->key_at;

		text_addf(out,
		    "{\"t\":%.9f,\"status\":%d,\"fate\":\"%s\","
		    "\"tokens\":%" PRId64 ",\"model\":\"%s\",\"body\":\"",
		    (double)(a->ns - start_ns) / 1e9, a->status, fates[a->fate],
		    a->tokens, s->models[a->model].name);
		text_addx(out, a->body);
		text_adds(out, "\",\"key\":");
		if (a->key_at > 0)
			text_add_json(out, key, strlen(key));
		else
			text_adds(out, "null");
		text_adds(out, ",\"auth\":");
		text_add_json(out, a->auth, strnlen(a->auth, sizeof(a->auth)));
		text_addf(out, ",\"fault\":%s%s%s}\n", a->fault > 0 ? "\"" : "",
		    a->fault > 0 ? fault_kinds[a->fault - 1].name : "null",
		    a->fault > 0 ? "\"" : "");
	}
}
