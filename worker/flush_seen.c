#include "flush_seen.h"

#include <inttypes.h>
#include <string.h>

/* A slot that is kept longer is loose: to be late in it means nothing. */
enum { STRICT_US = 1000000 };

/* Results of one path and model, together. */
struct flow {
	double bytes, input, output, output2, ms, ms2;
	int64_t answered, ok;
	const char *why, *dialect;
	int64_t late_us, connects, connect_min_us, connect_max_us;
};

static void
add_answered(struct flow *f, const struct result *r)
{
	double output = (double)r->usage.output, ms = (double)r->ms;

	f->answered++;
	f->ms += ms;
	f->ms2 += ms * ms;
	f->output += output;
	f->output2 += output * output;
	if (r->usage.known) {
		f->bytes += (double)r->bytes;
		f->input += (double)r->usage.input;
	}
}

static void
add_result(struct flow *f, const struct result *r)
{
	const struct line *l = r->line;

	f->ok += r->ok;
	if (r->down)
		f->why = r->why;
	if (r->dialect != NULL)
		f->dialect = r->dialect;
	if (r->sent_us > 0 && l->run->keep_us <= STRICT_US &&
	    r->sent_us - l->slot_us > f->late_us)
		f->late_us = r->sent_us - l->slot_us;
	if (r->connect_us > 0) {
		if (f->connects++ == 0 || r->connect_us < f->connect_min_us)
			f->connect_min_us = r->connect_us;
		if (r->connect_us > f->connect_max_us)
			f->connect_max_us = r->connect_us;
	}
	if (r->answered)
		add_answered(f, r);
}

/* Readings --------------------------------------------------------------- */

struct last_reading {
	const struct dialect_reading *said;
	const struct result *of;
};

static void
write_reading(const struct last_reading *last, struct buf *out)
{
	const struct dialect_reading *said = last->said;

	buf_addf(out,
	    "{\"dim\":\"%s\",\"window_s\":%" PRId32 ",\"limit\":%" PRId64
	    ",\"remaining\":%" PRId64 ",\"reset_ms\":%" PRId64
	    ",\"dynamic\":%s,\"from\":",
	    dialect_dim_name(said->dim), said->window_s, said->limit,
	    said->remaining, said->reset_ms, said->dynamic ? "true" : "false");
	buf_add_json(out, slice_str(said->from));
	buf_addf(out, ",\"sent_us\":%" PRId64 ",\"answered_us\":%" PRId64 "}",
	    last->of->sent_us, last->of->sent_us + last->of->ms * 1000);
}

static void
write_readings(const struct result *const *list, size_t n, struct buf *out)
{
	struct last_reading last[FLUSH_SEEN_MAX];
	size_t nlast = 0;

	for (size_t i = 0; i < n; i++) {
		const struct result_said *said = list[i]->said;

		for (size_t j = 0; said != NULL && j < said->nreadings; j++) {
			const struct dialect_reading *r = &said->readings[j];
			size_t k = 0;

			while (k < nlast &&
			    (last[k].said->dim != r->dim ||
				last[k].said->window_s != r->window_s ||
				strcmp(last[k].said->from, r->from) != 0))
				k++;
			if (k == FLUSH_SEEN_MAX)
				continue;
			if (k < nlast && last[k].of->sent_us > list[i]->sent_us)
				continue;
			last[k] = (struct last_reading){ r, list[i] };
			nlast += k == nlast;
		}
	}
	for (size_t k = 0; k < nlast; k++) {
		buf_adds(out, k == 0 ? ",\"readings\":[" : ",");
		write_reading(&last[k], out);
	}
	if (nlast > 0)
		buf_addc(out, ']');
}

/* Refusals --------------------------------------------------------------- */

struct refusals {
	const struct result *last;         /* sent */
	const struct result_said *longest; /* wait */
	int64_t n;
};

static void
write_refusal(const struct refusals *g, struct buf *out)
{
	const struct result_said *said = g->last->said;

	buf_addf(out,
	    "{\"kind\":\"%s\",\"dim\":\"%s\",\"window_s\":%" PRId32
	    ",\"n\":%" PRId64 ",\"wait_ms\":%" PRId64 ",\"sent_us\":%" PRId64
	    ",\"in_flight\":%" PRId32 ",\"from\":",
	    dialect_refusal_name(said->refusal), dialect_dim_name(said->dim),
	    said->window_s, g->n, g->longest->wait_ms, g->last->sent_us,
	    said->in_flight);
	buf_add_json(out, slice_str(g->longest->wait_from));
	buf_addc(out, '}');
}

static void
write_refusals(const struct result *const *list, size_t n, struct buf *out)
{
	struct refusals groups[FLUSH_SEEN_MAX];
	size_t ngroups = 0;

	for (size_t i = 0; i < n; i++) {
		const struct result_said *said = list[i]->said;
		size_t k = 0;

		if (said == NULL || !said->refused)
			continue;
		while (k < ngroups &&
		    (groups[k].last->said->refusal != said->refusal ||
			groups[k].last->said->dim != said->dim ||
			groups[k].last->said->window_s != said->window_s))
			k++;
		if (k == FLUSH_SEEN_MAX)
			continue;
		if (k == ngroups)
			groups[ngroups++] =
			    (struct refusals){ list[i], said, 0 };
		groups[k].n++;
		if (list[i]->sent_us >= groups[k].last->sent_us)
			groups[k].last = list[i];
		if (said->wait_ms > groups[k].longest->wait_ms)
			groups[k].longest = said;
	}
	for (size_t k = 0; k < ngroups; k++) {
		buf_adds(out, k == 0 ? ",\"refusals\":[" : ",");
		write_refusal(&groups[k], out);
	}
	if (ngroups > 0)
		buf_addc(out, ']');
}

/* All of it -------------------------------------------------------------- */

/* What a rate limit must learn of a call:
 * [slot, keep, sent, est in, est out, in, out, ms, lane], and its lines, where
 * they are several */
static void
write_entry(const struct result *r, struct buf *out)
{
	const struct line *l = r->line;
	bool shared = r->call.lines > 1;
	const struct answer_usage *usage = shared ? &r->call.usage : &r->usage;
	int64_t input = shared ? r->call.est_input : l->est_input;
	int64_t output = shared ? r->call.est_output : l->est_output;
	bool known = usage->known && r->answered;

	buf_addf(out,
	    "[%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64
	    ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64,
	    l->slot_us, l->run->keep_us, r->sent_us, input, output,
	    known ? usage->input : input, known ? usage->output : output,
	    known ? r->ms : 0, l->run->lane);
	if (shared)
		buf_addf(out, ",%" PRId32, r->call.lines);
	buf_addc(out, ']');
}

static void
write_entries(const struct result *const *list, size_t n, struct buf *out)
{
	bool any = false;

	buf_adds(out, ",\"entries\":[");
	for (size_t i = 0; i < n; i++)
		if (list[i]->line->run->metered && !list[i]->joined) {
			if (any)
				buf_addc(out, ',');
			write_entry(list[i], out);
			any = true;
		}
	buf_addc(out, ']');
}

static void
write_flow(const struct result *const *list, size_t n, struct buf *out)
{
	const struct run *run = list[0]->line->run;
	struct flow f = { 0 };

	for (size_t i = 0; i < n; i++)
		add_result(&f, list[i]);
	buf_addf(out, "{\"path\":%" PRId32 ",\"model\":", run->path->id);
	buf_add_json(out, slice_str(run->model));
	buf_addf(out,
	    ",\"ok\":%" PRId64 ",\"n\":%" PRId64 ",\"bytes\":%.0f,"
	    "\"input\":%.0f,\"output\":%.0f,\"output2\":%.0f,\"ms\":%.0f,"
	    "\"ms2\":%.0f",
	    f.ok, f.answered, f.bytes, f.input, f.output, f.output2, f.ms,
	    f.ms2);
	if (f.why != NULL) {
		buf_adds(out, ",\"down\":true,\"why\":");
		buf_add_json(out, slice_str(f.why));
	}
	if (f.dialect != NULL)
		buf_addf(out, ",\"dialect\":\"%s\"", f.dialect);
	if (f.late_us > 0)
		buf_addf(out, ",\"late_us\":%" PRId64, f.late_us);
	if (f.connects > 0)
		buf_addf(out,
		    ",\"connects\":%" PRId64 ",\"connect_min_us\":%" PRId64
		    ",\"connect_max_us\":%" PRId64,
		    f.connects, f.connect_min_us, f.connect_max_us);
	if (run->live)
		buf_addf(out, ",\"live_us\":%" PRId64, list[0]->sent_us);
	write_readings(list, n, out);
	write_refusals(list, n, out);
	write_entries(list, n, out);
	buf_addc(out, '}');
}

void
flush_seen_write(const struct result *const *list, size_t n, struct buf *out)
{
	buf_addc(out, '[');
	for (size_t i = 0, end; i < n; i = end) {
		const struct run *run = list[i]->line->run;

		for (end = i + 1; end < n; end++)
			if (list[end]->line->run->path != run->path ||
			    strcmp(list[end]->line->run->model, run->model) !=
				0)
				break;
		if (i > 0)
			buf_addc(out, ',');
		write_flow(list + i, end - i, out);
	}
	buf_addc(out, ']');
}
