#include "body.h"

#include <stdlib.h>

#include <sluice/combine.h>

#include "cap.h"
#include "joint.h"
#include "suffix.h"

bool
body_fits(const struct line *first, size_t i, struct slice *first_value,
    struct slice *value)
{
	const struct run *run = first->run;
	struct slice body = chunk_body(run->chunk, first->index);
	struct slice other = chunk_body(run->chunk, first[i].index);

	return combine_value(body, run->endpoint, first_value) &&
	    combine_value(other, run->endpoint, value) &&
	    combine_same(body, *first_value, other, *value);
}

size_t
body_lines(const struct line *line)
{
	size_t n = call_lines(line), open = 0;

	for (size_t i = 0; i < n; i++)
		open += line[i].state != LINE_SETTLING;
	return open;
}

/* Take over what was made of the body. */
static struct slice
replace(struct line *line, struct buf *with)
{
	buf_fini(&line->body);
	line->body = *with; /* moved */
	return buf_slice(&line->body);
}

struct slice
body_make(struct line *line)
{
	const struct run *run = line->run;
	struct slice plain = chunk_body(run->chunk, line->index), body = plain;
	size_t quote = chunk_model_quote(run->chunk, line->index), n;
	const char *suffix = run->path->suffix;
	struct buf with = { 0 };

	if (line->values != NULL) {
		joint_body(body, line->values[0], line->values,
		    body_lines(line), &with);
		if (plain.p + quote > line->values[0].p)
			quote += with.n - plain.n;
		body = replace(line, &with);
	}
	n = body.n;
	with = (struct buf){ 0 };
	if (run->max_tokens > 0 &&
	    cap_add(body, run->endpoint, run->max_tokens, &with))
		body = replace(line, &with);
	if (suffix == NULL || suffix_has(run->model, suffix))
		return body;
	/* A cap stands before all else. */
	with = (struct buf){ 0 };
	suffix_put(body, quote + body.n - n, suffix, &with);
	return replace(line, &with);
}

void
body_fini(struct line *line)
{
	buf_fini(&line->body);
	free(line->values);
	line->values = NULL;
}
