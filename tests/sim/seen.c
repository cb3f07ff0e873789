#include "seen.h"

#include <string.h>

enum { SEEN_MAX = 32, STRICT_US = 1000000 };

struct reading {
	const struct dialect_reading *said;
	const struct wresult *of;
};

/* Of each kind the last that was sent. */
static void
write_readings(const struct wresult *list, size_t n, struct buf *out)
{
	struct reading last[SEEN_MAX];
	size_t nlast = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < list[i].said.nreadings; j++) {
			const struct dialect_reading *r =
			    &list[i].said.readings[j];
			size_t k = 0;

			while (k < nlast &&
			    (last[k].said->dim != r->dim ||
				last[k].said->window_s != r->window_s ||
				strcmp(last[k].said->from, r->from) != 0))
				k++;
			if (k == SEEN_MAX ||
			    (k < nlast &&
				last[k].of->sent_us > list[i].sent_us))
				continue;
			last[k] = (struct reading){ r, &list[i] };
			nlast += k == nlast;
		}
	for (size_t k = 0; k < nlast; k++) {
		const struct dialect_reading *r = last[k].said;

		buf_addf(out,
		    "%s{\"dim\":\"%s\",\"window_s\":%d,\"limit\":%" PRId64
		    ",\"remaining\":%" PRId64 ",\"reset_ms\":%" PRId64
		    ",\"dynamic\":%s,\"from\":\"%s\",\"sent_us\":%" PRId64
		    ",\"answered_us\":%" PRId64 "}",
		    k == 0 ? ",\"readings\":[" : ",", dialect_dim_name(r->dim),
		    r->window_s, r->limit, r->remaining, r->reset_ms,
		    r->dynamic ? "true" : "false", r->from, last[k].of->sent_us,
		    last[k].of->sent_us + last[k].of->ms * MS);
	}
	if (nlast > 0)
		buf_addc(out, ']');
}

struct refusals {
	const struct wresult *last;
	int64_t n, wait_ms;
};

static void
write_refusals(const struct wresult *list, size_t n, struct buf *out)
{
	struct refusals groups[SEEN_MAX];
	size_t ngroups = 0;

	for (size_t i = 0; i < n; i++) {
		const struct dialect_answer *a = &list[i].said;
		size_t k = 0;

		if (!list[i].throttled)
			continue;
		while (k < ngroups &&
		    (groups[k].last->said.refusal != a->refusal ||
			groups[k].last->said.refused_dim != a->refused_dim ||
			groups[k].last->said.refused_window_s !=
			    a->refused_window_s))
			k++;
		if (k == SEEN_MAX)
			continue;
		if (k == ngroups)
			groups[ngroups++] = (struct refusals){ &list[i], 0, 0 };
		groups[k].n++;
		if (list[i].sent_us >= groups[k].last->sent_us)
			groups[k].last = &list[i];
		if (a->wait_ms > groups[k].wait_ms)
			groups[k].wait_ms = a->wait_ms;
	}
	for (size_t k = 0; k < ngroups; k++) {
		const struct wresult *r = groups[k].last;

		buf_addf(out,
		    "%s{\"kind\":\"%s\",\"dim\":\"%s\",\"window_s\":%d,"
		    "\"n\":%" PRId64 ",\"wait_ms\":%" PRId64
		    ",\"sent_us\":%" PRId64 ",\"in_flight\":%" PRId64
		    ",\"from\":\"%s\"}",
		    k == 0 ? ",\"refusals\":[" : ",",
		    dialect_refusal_name(r->said.refusal),
		    dialect_dim_name(r->said.refused_dim),
		    r->said.refused_window_s, groups[k].n, groups[k].wait_ms,
		    r->sent_us, r->in_flight, r->wait_from);
	}
	if (ngroups > 0)
		buf_addc(out, ']');
}

static void
write_entries(const struct wresult *list, size_t n, struct buf *out)
{
	bool any = false;

	buf_adds(out, ",\"entries\":[");
	for (size_t i = 0; i < n; i++) {
		const struct wresult *r = &list[i];
		const struct wline *l = r->line;

		if (!l->run->metered)
			continue;
		buf_addf(out,
		    "%s[%" PRId64 ",%" PRId64 ",%" PRId64
		    ",%d,%d,%d,%d,%" PRId64 "]",
		    any ? "," : "", l->slot_us, l->run->keep_us, r->sent_us,
		    l->est_input, l->est_output,
		    r->answered ? r->input : l->est_input,
		    r->answered ? r->output : l->est_output,
		    r->answered ? r->ms : 0);
		any = true;
	}
	buf_addc(out, ']');
}

static void
write_sums(const struct wresult *list, size_t n, struct buf *out)
{
	int64_t ok = 0, answered = 0, bytes = 0;
	double input = 0, output = 0, output2 = 0, ms = 0, ms2 = 0;

	for (size_t i = 0; i < n; i++) {
		const struct wresult *r = &list[i];

		ok += r->ok;
		if (!r->answered)
			continue;
		answered++;
		bytes += r->line->bytes;
		input += r->input;
		output += r->output;
		output2 += (double)r->output * r->output;
		ms += (double)r->ms;
		ms2 += (double)r->ms * (double)r->ms;
	}
	buf_addf(out,
	    "{\"path\":1,\"model\":\"m\",\"ok\":%" PRId64 ",\"n\":%" PRId64
	    ",\"bytes\":%" PRId64 ",\"input\":%.0f,\"output\":%.0f,"
	    "\"output2\":%.0f,\"ms\":%.0f,\"ms2\":%.0f",
	    ok, answered, bytes, input, output, output2, ms, ms2);
}

static void
write_times(const struct wresult *list, size_t n, struct buf *out)
{
	int64_t late = 0, connects = 0, least = 0, most = 0;

	for (size_t i = 0; i < n; i++) {
		const struct wresult *r = &list[i];

		if (r->sent_us > 0 && r->line->run->keep_us <= STRICT_US &&
		    r->sent_us - r->line->slot_us > late)
			late = r->sent_us - r->line->slot_us;
		if (r->connect_us <= 0)
			continue;
		if (connects++ == 0 || r->connect_us < least)
			least = r->connect_us;
		if (r->connect_us > most)
			most = r->connect_us;
	}
	if (late > 0)
		buf_addf(out, ",\"late_us\":%" PRId64, late);
	if (connects > 0)
		buf_addf(out,
		    ",\"connects\":%" PRId64 ",\"connect_min_us\":%" PRId64
		    ",\"connect_max_us\":%" PRId64,
		    connects, least, most);
}

void
seen_write(const struct wresult *list, size_t n, struct buf *out)
{
	const char *dialect = NULL;
	bool down = false;

	write_sums(list, n, out);
	for (size_t i = 0; i < n; i++) {
		down |= list[i].down;
		if (list[i].said.dialect != NULL)
			dialect = list[i].said.dialect;
	}
	if (down)
		buf_adds(out, ",\"down\":true,\"why\":\"no connection\"");
	if (dialect != NULL)
		buf_addf(out, ",\"dialect\":\"%s\"", dialect);
	write_times(list, n, out);
	write_readings(list, n, out);
	write_refusals(list, n, out);
	write_entries(list, n, out);
	buf_addc(out, '}');
}

int64_t
seen_until_us(const struct wresult *list, size_t n)
{
	int64_t until = 0;

	for (size_t i = 0; i < n; i++)
		if (list[i].wait_us > 0 &&
		    list[i].left_us + list[i].wait_us > until)
			until = list[i].left_us + list[i].wait_us;
	return until;
}
