#include "result.h"

#include <stdlib.h>

#include "joint.h"

void
result_shares(struct result *r)
{
	const struct line *line = r->line;
	size_t n = call_lines(line);

	r->call.lines = (int32_t)n;
	for (size_t i = 0; i < n; i++) {
		r->call.est_input += line[i].est_input;
		r->call.est_output += line[i].est_output;
	}
}

enum lists_end
result_lists(const struct result *r, size_t lines)
{
	if (r->kind == RESULT_OUTPUT && lines > 1)
		return LISTS_TAKEN;
	if (r->kind == RESULT_OUTPUT && r->line->most == 1)
		return LISTS_ALONE;
	/* Split, for what the upstream answered. */
	if (r->kind == RESULT_AGAIN && lines > 1 && r->ok && !r->refused)
		return LISTS_REFUSED;
	return LISTS_NOTHING;
}

void
result_of_call(struct line *line, const struct upstream_result *got,
    double chance, struct result **list)
{
	size_t n = call_lines(line), k = 0;
	struct answer_usage usage;
	struct buf *parts, *usages;
	struct judged j;

	result_judge(line, got, chance, &j);
	usage = j.usage;
	parts = xcalloc(2 * n, sizeof(*parts));
	usages = parts + n;
	/* An answer in parts, or an error for all. */
	j.in.unlike = j.in.shared && got->end == UPSTREAM_ANSWERED &&
	    got->status >= 200 && got->status < 300 && j.in.good_body &&
	    !joint_split(got->body, line->run->endpoint, line->values, j.lines,
		parts, usages);
	for (size_t i = 0; i < n; i++) {
		if (line[i].state == LINE_SETTLING)
			continue;
		if (parts[k].n > 0) {
			j.got.body = buf_slice(&parts[k]);
			answer_check(buf_slice(&usages[k]), &j.usage);
		}
		list[k++] = result_for(&line[i], &j);
	}
	for (size_t i = 0; i < 2 * n; i++)
		buf_fini(&parts[i]);
	free(parts);
	result_shares(list[0]);
	list[0]->call.usage = usage;
}
