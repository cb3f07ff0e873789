#include "dispatch_doc.h"

#include <math.h>

void
doc_item(struct buf *out, const char *list, bool *open)
{
	if (*open)
		buf_addc(out, ',');
	else
		buf_addf(out, "%s\"%s\":[", out->n > 1 ? "," : "", list);
	*open = true;
}

void
doc_close(struct buf *out, bool open)
{
	if (open)
		buf_addc(out, ']');
}

#define WRITE_ARRAY(out, run, name, field)                        \
	do {                                                      \
		buf_addf(out, ",\"" name "\":[");                 \
		for (size_t k_ = 0; k_ < (run)->n; k_++)          \
			buf_addf(out, "%s%d", k_ == 0 ? "" : ",", \
			    (int)(run)->lines[k_].field);         \
		buf_addc(out, ']');                               \
	} while (0)

/* Which lines begin a call, where some do not; how many may share one. */
static void
write_calls(const struct dispatch_run *r, struct buf *out)
{
	bool most = false;

	for (size_t k = 0; k < r->n; k++)
		most |= r->lines[k].share > 0;
	if (most)
		WRITE_ARRAY(out, r, "most", share);
	if (r->calls == r->n)
		return;
	buf_adds(out, ",\"leads\":\"");
	for (size_t k = 0; k < r->n; k++)
		buf_addc(out, r->lines[k].joins ? '0' : '1');
	buf_addc(out, '"');
}

/* A line that leaves retry. */
static void
write_gone(struct buf *out, bool *open, int64_t lane, int32_t line)
{
	doc_item(out, "again", open);
	buf_addf(out, "{\"lane\":%lld,\"line\":%d}", (long long)lane, line);
}

static void
write_marks(const char *list, const struct dispatch_mark *marks, size_t n,
    struct buf *out)
{
	bool open = false;

	for (size_t i = 0; i < n; i++) {
		const struct dispatch_mark *m = &marks[i];

		doc_item(out, list, &open);
		buf_addf(out,
		    "{\"lane\":%lld,\"chunk\":%lld,\"first_line\":%d,"
		    "\"line\":%d,\"sends\":%d,\"why\":",
		    (long long)m->lane, (long long)m->chunk, m->first_line,
		    m->index, m->sends);
		buf_add_json(out, slice_str(m->why));
		if (m->code != NULL)
			buf_addf(out, ",\"code\":\"%s\"", m->code);
		buf_addc(out, '}');
	}
	doc_close(out, open);
}

static void
write_runs(
    const struct dispatch *d, const struct dispatch_plan *plan, struct buf *out)
{
	bool open = false;

	for (size_t i = 0; i < plan->nruns; i++) {
		const struct dispatch_run *r = plan->runs[i];

		doc_item(out, "runs", &open);
		buf_addf(out,
		    "{\"lane\":%lld,\"path\":%d,\"chunk\":%lld,"
		    "\"first_line\":%d,\"send_us\":%lld,\"keep_us\":%lld",
		    (long long)r->lane, r->path, (long long)r->chunk,
		    r->first_line,
		    (long long)dispatch_database_time(d, r->send_us),
		    (long long)r->keep_us);
		if (r->money > 0)
			buf_addf(out, ",\"money\":%.0f", ceil(r->money));
		WRITE_ARRAY(out, r, "line", index);
		if (r->metered) {
			WRITE_ARRAY(out, r, "slot_us", slot_us);
			WRITE_ARRAY(out, r, "est_input", input);
			WRITE_ARRAY(out, r, "est_output", output);
		}
		if (r->packed)
			buf_addf(out, ",\"tokens\":%lld,\"bytes\":%lld",
			    (long long)r->tokens, (long long)r->bytes);
		if (r->again) {
			WRITE_ARRAY(out, r, "tries", tries);
			WRITE_ARRAY(out, r, "sends", sends);
			WRITE_ARRAY(out, r, "refused", refused);
		}
		write_calls(r, out);
		buf_addc(out, '}');
	}
	doc_close(out, open);
	open = false;
	for (size_t i = 0; i < plan->nruns; i++) {
		const struct dispatch_run *r = plan->runs[i];

		for (size_t k = 0; r->again && k < r->n; k++)
			write_gone(out, &open, r->lane,
			    r->first_line + r->lines[k].index - 1);
	}
	for (size_t i = 0; i < plan->nfailed; i++)
		if (plan->failed[i].again)
			write_gone(out, &open, plan->failed[i].lane,
			    plan->failed[i].first_line + plan->failed[i].index -
				1);
	doc_close(out, open);
	open = false;
	for (size_t i = 0; i < plan->nruns; i++) {
		doc_item(out, "of", &open);
		buf_addf(out, "%lld", (long long)plan->runs[i]->lane);
	}
	for (size_t i = 0; i < plan->nfailed; i++) {
		doc_item(out, "of", &open);
		buf_addf(out, "%lld", (long long)plan->failed[i].lane);
	}
	for (size_t i = 0; i < plan->naside; i++) {
		doc_item(out, "of", &open);
		buf_addf(out, "%lld", (long long)plan->aside[i].lane);
	}
	doc_close(out, open);
	open = false;
	for (size_t i = 0; i < plan->nmoves; i++) {
		const struct dispatch_move *m = &plan->moves[i];

		doc_item(out, "lanes", &open);
		buf_addf(out,
		    "{\"id\":%lld,\"from\":%d,\"next\":%d,\"lines\":%d}",
		    (long long)m->lane, m->from, m->next, m->lines);
	}
	doc_close(out, open);
}

void
dispatch_write_runs(
    const struct dispatch *d, const struct dispatch_plan *plan, struct buf *out)
{
	write_runs(d, plan, out);
	write_marks("aside", plan->aside, plan->naside, out);
	write_marks("failed", plan->failed, plan->nfailed, out);
}
