#include "provider_line.h"

#include <inttypes.h>
#include <string.h>

#include <sluice/jscan.h>

enum {
	LINE_DEPTH = SLC_DEPTH_MAX + 8,
	STATUS_MAX = 999,
	CODE_MAX = 64,
};

void
provider_line_write(struct buf *out, int64_t run, size_t place,
    const char *endpoint, struct slice body)
{
	buf_addf(out, "{\"custom_id\":\"r%" PRId64 "-%zu\",\"method\":\"POST\"",
	    run, place);
	buf_adds(out, ",\"url\":");
	buf_add_json(out, slice_str(endpoint));
	buf_adds(out, ",\"body\":");
	buf_add(out, body.p, body.n);
	buf_adds(out, "}\n");
}

/* "r12-3", quotes and all */
static bool
read_name(struct slice s, int64_t *run, size_t *place)
{
	const char *dash;
	int64_t n;

	if (s.n < 6 || s.p[0] != '"' || s.p[1] != 'r' || s.p[s.n - 1] != '"')
		return false;
	s = (struct slice){ s.p + 2, s.n - 3 };
	dash = memchr(s.p, '-', s.n);
	if (dash == NULL ||
	    !slice_int(
		(struct slice){ s.p, (size_t)(dash - s.p) }, INT64_MAX, run) ||
	    !slice_int(
		(struct slice){ dash + 1, s.n - (size_t)(dash + 1 - s.p) },
		SLC_CHUNK_LINES_MAX, &n))
		return false;
	*place = (size_t)n;
	return true;
}

static void
read_text(const struct jscan_found *f, size_t most, struct buf *out)
{
	if (f->kind == JSCAN_STRING && !jscan_unquote(f->text, out))
		buf_clear(out);
	if (out->n > most)
		out->n = most;
}

bool
provider_line_read(struct slice line, struct provider_answer *out)
{
	enum {
		WANT_NAME,
		WANT_RESPONSE,
		WANT_STATUS,
		WANT_REQUEST,
		WANT_BODY,
		WANT_ERROR,
		WANT_CODE,
		WANT_MESSAGE,
		WANTS
	};
	static const struct jscan_want wants[WANTS] = {
		[WANT_NAME] = { "custom_id", -1 },
		[WANT_RESPONSE] = { "response", -1 },
		[WANT_STATUS] = { "status_code", WANT_RESPONSE },
		[WANT_REQUEST] = { "request_id", WANT_RESPONSE },
		[WANT_BODY] = { "body", WANT_RESPONSE },
		[WANT_ERROR] = { "error", -1 },
		[WANT_CODE] = { "code", WANT_ERROR },
		[WANT_MESSAGE] = { "message", WANT_ERROR },
	};
	struct jscan_found found[WANTS];
	struct jscan_fault fault;
	int64_t status = 0;

	if (jscan(line, LINE_DEPTH, wants, WANTS, found, &fault) !=
		JSCAN_OBJECT ||
	    found[WANT_NAME].kind != JSCAN_STRING ||
	    !read_name(found[WANT_NAME].text, &out->run, &out->place))
		return false;
	out->answered = found[WANT_BODY].kind != JSCAN_ABSENT &&
	    jscan_int(&found[WANT_STATUS], STATUS_MAX, &status);
	out->status = (int)status;
	out->body = found[WANT_BODY].text;
	read_text(&found[WANT_REQUEST], PROVIDER_ID_MAX, &out->request_id);
	read_text(&found[WANT_CODE], CODE_MAX, &out->code);
	read_text(&found[WANT_MESSAGE], PROVIDER_TEXT_MAX, &out->message);
	return true;
}

void
provider_answer_fini(struct provider_answer *a)
{
	buf_fini(&a->request_id);
	buf_fini(&a->code);
	buf_fini(&a->message);
}

bool
provider_line_name(struct slice start, int64_t *run, size_t *place)
{
	static const char member[] = "\"custom_id\"";
	const char *at = memmem(start.p, start.n, member, sizeof(member) - 1);
	const char *end = start.p + start.n, *quote;

	if (at == NULL)
		return false;
	at += sizeof(member) - 1;
	while (at < end && (*at == ' ' || *at == ':' || *at == '\t'))
		at++;
	quote = at < end ? memchr(at + 1, '"', (size_t)(end - at - 1)) : NULL;
	return quote != NULL &&
	    read_name(
		(struct slice){ at, (size_t)(quote + 1 - at) }, run, place);
}

enum provider_lack
provider_lack_of(struct slice code)
{
	static const struct {
		const char *code;
		enum provider_lack lack;
	} table[] = {
		{ "batch_expired", PROVIDER_NOT_RUN },
		{ "batch_cancelled", PROVIDER_NOT_RUN },
		{ "request_timeout", PROVIDER_TRY },
		{ "timeout", PROVIDER_TRY },
		{ "server_error", PROVIDER_TRY },
		{ "internal_error", PROVIDER_TRY },
		{ "internal_server_error", PROVIDER_TRY },
		{ "service_unavailable", PROVIDER_TRY },
		{ "overloaded", PROVIDER_TRY },
		{ "rate_limit_exceeded", PROVIDER_TRY },
		{ "", PROVIDER_TRY },
	};

	for (size_t i = 0; i < NITEMS(table); i++)
		if (slice_eq(code, table[i].code))
			return table[i].lack;
	return PROVIDER_NEVER;
}
