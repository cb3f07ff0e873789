#include "jsonl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const endpoints[] = {
	"/v1/chat/completions",
	"/v1/completions",
	"/v1/embeddings",
	"/v1/responses",
	"/v1/moderations",
};

enum {
	WANT_CUSTOM_ID,
	WANT_METHOD,
	WANT_URL,
	WANT_BODY,
	WANT_MODEL,
	WANT_STREAM,
	WANT_MAX_TOKENS,
	WANT_MAX_COMPLETION_TOKENS,
	WANT_MAX_OUTPUT_TOKENS,
	WANT_N,
	WANTS
};

static const struct jscan_want wants[WANTS] = {
	[WANT_CUSTOM_ID] = { "custom_id", -1 },
	[WANT_METHOD] = { "method", -1 },
	[WANT_URL] = { "url", -1 },
	[WANT_BODY] = { "body", -1 },
	[WANT_MODEL] = { "model", WANT_BODY },
	[WANT_STREAM] = { "stream", WANT_BODY },
	[WANT_MAX_TOKENS] = { "max_tokens", WANT_BODY },
	[WANT_MAX_COMPLETION_TOKENS] = { "max_completion_tokens", WANT_BODY },
	[WANT_MAX_OUTPUT_TOKENS] = { "max_output_tokens", WANT_BODY },
	[WANT_N] = { "n", WANT_BODY },
};

bool
jsonl_endpoint_ok(struct slice url)
{
	for (size_t i = 0; i < NITEMS(endpoints); i++)
		if (slice_eq(url, endpoints[i]))
			return true;
	return false;
}

void
jsonl_init(struct jsonl *j, const struct jsonl_handler *handler, void *ctx,
    int64_t lines_max)
{
	*j = (struct jsonl){
		.handler = handler, .ctx = ctx, .lines_max = lines_max
	};
}

void
jsonl_fini(struct jsonl *j)
{
	free(j->endpoint);
	for (int i = 0; i < j->nmodels; i++)
		free(j->models[i].name);
	buf_fini(&j->faults);
	buf_fini(&j->rest);
	buf_fini(&j->scratch);
	idset_fini(&j->ids);
}

static void
fault(struct jsonl *j, int64_t line, const char *code, const char *param,
    const char *message)
{
	/* Beyond the last line that counts nothing is of interest. */
	if (j->nfaults >= SLC_FILE_FAULTS_MAX || j->lines > j->lines_max + 1)
		return;
	if (j->nfaults++ > 0)
		buf_addc(&j->faults, ',');
	buf_addf(&j->faults, "{\"code\":\"%s\",\"message\":", code);
	buf_add_json(&j->faults, slice_str(message));
	buf_adds(&j->faults, ",\"param\":");
	if (param == NULL)
		buf_adds(&j->faults, "null");
	else
		buf_add_json(&j->faults, slice_str(param));
	buf_addf(&j->faults, ",\"line\":%lld}", (long long)line);
}

/* The text of a wanted string into scratch; a fault when it is none. */
static bool
want_text(
    struct jsonl *j, const struct jscan_found *f, const char *param, size_t max)
{
	char message[160];

	if (f->kind == JSCAN_ABSENT || f->kind == JSCAN_NULL) {
		snprintf(message, sizeof(message),
		    "Missing required parameter: '%s'.", param);
		fault(j, j->physical, "missing_required_parameter", param,
		    message);
		return false;
	}
	buf_clear(&j->scratch);
	if (f->kind != JSCAN_STRING || !jscan_unquote(f->text, &j->scratch)) {
		snprintf(message, sizeof(message), "'%s' must be a string%s.",
		    param,
		    f->kind == JSCAN_STRING
			? " of valid characters, without \\u0000"
			: "");
		fault(j, j->physical, "invalid_type", param, message);
		return false;
	}
	if (j->scratch.n == 0 || j->scratch.n > max) {
		snprintf(message, sizeof(message),
		    "'%s' must have 1 to %zu bytes, it has %zu.", param, max,
		    j->scratch.n);
		fault(j, j->physical, "invalid_value", param, message);
		return false;
	}
	return true;
}

static bool
check_url(struct jsonl *j, const struct jscan_found *f)
{
	char message[400];

	if (!want_text(j, f, "url", 200))
		return false;
	if (!jsonl_endpoint_ok(buf_slice(&j->scratch))) {
		fault(j, j->physical, "invalid_url", "url",
		    "The url must be one of /v1/chat/completions, "
		    "/v1/completions, /v1/embeddings, /v1/responses, "
		    "/v1/moderations.");
		return false;
	}
	if (j->endpoint == NULL)
		j->endpoint = xstrdup(buf_cstr(&j->scratch));
	if (slice_eq(buf_slice(&j->scratch), j->endpoint))
		return true;
	snprintf(message, sizeof(message),
	    "The url is %s but that of the lines before is %s; all lines of a "
	    "file must have the same.",
	    buf_cstr(&j->scratch), j->endpoint);
	fault(j, j->physical, "url_mismatch", "url", message);
	return false;
}

static bool
check_method(struct jsonl *j, const struct jscan_found *f)
{
	if (!want_text(j, f, "method", 16))
		return false;
	if (slice_eq(buf_slice(&j->scratch), "POST"))
		return true;
	fault(j, j->physical, "invalid_value", "method",
	    "The method must be \"POST\".");
	return false;
}

static bool
check_custom_id(struct jsonl *j, const struct jscan_found *f)
{
	char message[SLC_CUSTOM_ID_MAX + 100];

	if (!want_text(j, f, "custom_id", SLC_CUSTOM_ID_MAX))
		return false;
	if (idset_add(&j->ids, buf_slice(&j->scratch)))
		return true;
	snprintf(message, sizeof(message),
	    "The custom_id '%s' stands on an earlier line already; each must "
	    "be unique in its file.",
	    buf_cstr(&j->scratch));
	fault(j, j->physical, "duplicate_custom_id", "custom_id", message);
	return false;
}

/* Index of the model from 1, or 0 with a fault. */
static int
check_model(struct jsonl *j, const struct jscan_found *f)
{
	char message[160];

	if (!want_text(j, f, "body.model", SLC_MODEL_MAX))
		return 0;
	for (int i = 0; i < j->nmodels; i++)
		if (slice_eq(buf_slice(&j->scratch), j->models[i].name)) {
			j->models[i].lines++;
			return i + 1;
		}
	if (j->nmodels == SLC_FILE_MODELS_MAX) {
		snprintf(message, sizeof(message),
		    "The file has more than %d different models.",
		    SLC_FILE_MODELS_MAX);
		fault(j, j->physical, "too_many_models", "body.model", message);
		return 0;
	}
	j->models[j->nmodels++] =
	    (struct jsonl_model){ .name = xstrdup(buf_cstr(&j->scratch)),
		    .lines = 1 };
	return j->nmodels;
}

/* The most tokens the answer may have, as the body says; -1 when it does not.
 */
static int32_t
output_cap(const struct jsonl *j, const struct jscan_found *found)
{
	int64_t cap, n = 1;

	if (strcmp(j->endpoint, "/v1/embeddings") == 0 ||
	    strcmp(j->endpoint, "/v1/moderations") == 0)
		return 0;
	if (!jscan_int(&found[WANT_MAX_COMPLETION_TOKENS], INT32_MAX, &cap) &&
	    !jscan_int(&found[WANT_MAX_TOKENS], INT32_MAX, &cap) &&
	    !jscan_int(&found[WANT_MAX_OUTPUT_TOKENS], INT32_MAX, &cap))
		return -1;
	if (jscan_int(&found[WANT_N], 1000, &n) && n > 1)
		cap *= n;
	return cap > INT32_MAX ? INT32_MAX : (int32_t)cap;
}

static int32_t
offset(struct slice line, struct slice part)
{
	return (int32_t)(part.p - line.p);
}

static void
check_request(struct jsonl *j, struct slice line,
    const struct jscan_found *found, struct jsonl_line *out)
{
	const struct jscan_found *body = &found[WANT_BODY];
	bool ok = check_custom_id(j, &found[WANT_CUSTOM_ID]);
	int model;

	ok &= check_method(j, &found[WANT_METHOD]);
	ok &= check_url(j, &found[WANT_URL]);
	if (body->kind == JSCAN_ABSENT || body->kind == JSCAN_NULL) {
		fault(j, j->physical, "missing_required_parameter", "body",
		    "Missing required parameter: 'body'.");
		return;
	}
	if (body->kind != JSCAN_OBJECT) {
		fault(j, j->physical, "invalid_type", "body",
		    "'body' must be an object.");
		return;
	}
	if (found[WANT_STREAM].kind == JSCAN_TRUE) {
		fault(j, j->physical, "streaming_unsupported", "body.stream",
		    "A request in a batch cannot be streamed; leave out "
		    "'stream'.");
		ok = false;
	}
	model = check_model(j, &found[WANT_MODEL]);
	if (!ok || model == 0)
		return;
	*out = (struct jsonl_line){
		.id_at = offset(line, found[WANT_CUSTOM_ID].text),
		.id_len = (int32_t)found[WANT_CUSTOM_ID].text.n,
		.body_at = offset(line, body->text),
		.body_len = (int32_t)body->text.n,
		.model_at = offset(line, found[WANT_MODEL].text),
		.model_len = (int32_t)found[WANT_MODEL].text.n,
		.cap = output_cap(j, found),
		.model = (int16_t)model,
	};
}

/* One line, its end included; false when the whole upload is refused. */
static enum slc_rc
take_line(struct jsonl *j, struct slice bytes, struct slc_err *err)
{
	static const char bom[] = "\xef\xbb\xbf";
	struct jsonl_line line = { .cap = -1 };
	struct jscan_found found[WANTS];
	struct jscan_fault bad;
	struct slice text = bytes;
	enum jscan_kind kind;
	char message[200];

	if (j->physical == 1 && text.n >= 3 && memcmp(text.p, bom, 3) == 0)
		text = (struct slice){ text.p + 3, text.n - 3 };
	j->lines++;
	if (j->lines == j->lines_max + 1) {
		snprintf(message, sizeof(message),
		    "The file has more than %lld requests.",
		    (long long)j->lines_max);
		fault(j, j->physical, "too_many_tasks", NULL, message);
	}
	if (j->lines > j->lines_max) {
		j->handler->on_line(j->ctx, bytes, &line);
		return SLC_OK;
	}
	kind = jscan(text, SLC_DEPTH_MAX, wants, WANTS, found, &bad);
	if (kind == JSCAN_OBJECT) {
		check_request(j, bytes, found, &line);
	} else {
		if (kind == JSCAN_ABSENT)
			snprintf(message, sizeof(message),
			    "The line is not valid JSON: byte %zu: %s.",
			    bad.at + 1, bad.text);
		else
			snprintf(message, sizeof(message),
			    "The line must be a JSON object.");
		if (j->physical == 1)
			return slc_fail(err, SLC_EINPUT,
			    "Line 1: %s Each line "
			    "must be {\"custom_id\", \"method\", \"url\", "
			    "\"body\"}.",
			    message);
		fault(j, j->physical, "invalid_json_line", NULL, message);
	}
	j->handler->on_line(j->ctx, bytes, &line);
	return SLC_OK;
}

static bool
is_blank(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != ' ' && s.p[i] != '\t' && s.p[i] != '\r' &&
		    s.p[i] != '\n')
			return false;
	return true;
}

/*
 * Blank lines are fine at the end and wrong elsewhere: they are held back until
 * a line that is not blank shows which it was.
 */
static void
release_blank(struct jsonl *j, bool at_end)
{
	struct slice blank = { j->rest.p, j->blank };

	if (j->blank == 0)
		return;
	if (!at_end)
		fault(j, j->blank_line, "invalid_json_line", NULL,
		    "The line is blank; only the end of a file may be.");
	j->handler->on_filler(j->ctx, blank);
	buf_drop(&j->rest, j->blank);
	j->blank = 0;
}

/*
 * A line has ended: the bytes of rest after the blank ones, or, without a copy,
 * more when rest has nothing of it.
 */
static enum slc_rc
end_line(struct jsonl *j, struct slice more, struct slc_err *err)
{
	struct slice line = more;
	enum slc_rc rc;
	bool copied = j->rest.n > j->blank;

	j->physical++;
	if (copied || is_blank(more)) {
		buf_add(&j->rest, more.p, more.n);
		line = (struct slice){ j->rest.p + j->blank,
			j->rest.n - j->blank };
		copied = true;
	}
	if (is_blank(line)) {
		if (j->blank == 0)
			j->blank_line = j->physical;
		j->blank = j->rest.n;
		if (j->blank > JSONL_BLANK_MAX)
			return slc_fail(err, SLC_EINPUT,
			    "Line %lld: more than %d bytes of blank lines.",
			    (long long)j->physical, JSONL_BLANK_MAX);
		return SLC_OK;
	}
	release_blank(j, false);
	if (copied)
		line.p = j->rest.p;
	rc = take_line(j, line, err);
	if (copied)
		buf_clear(&j->rest);
	return rc;
}

/* A line that is longer than any may be: kept as it is, never looked at. */
static enum slc_rc
line_too_long(struct jsonl *j, struct slc_err *err)
{
	char message[80];

	snprintf(message, sizeof(message), "The line is longer than %d bytes.",
	    SLC_LINE_MAX);
	if (j->physical == 0)
		return slc_fail(err, SLC_EINPUT, "Line 1: %s", message);
	release_blank(j, false);
	fault(j, j->physical + 1, "line_too_long", NULL, message);
	j->handler->on_filler(j->ctx, buf_slice(&j->rest));
	buf_clear(&j->rest);
	j->skipping = true;
	return SLC_OK;
}

enum slc_rc
jsonl_feed(struct jsonl *j, struct slice bytes, struct slc_err *err)
{
	enum slc_rc rc = SLC_OK;

	while (bytes.n > 0 && rc == SLC_OK) {
		const char *nl = memchr(bytes.p, '\n', bytes.n);
		struct slice piece = { bytes.p,
			nl == NULL ? bytes.n : (size_t)(nl - bytes.p) + 1 };

		bytes.p += piece.n;
		bytes.n -= piece.n;
		if (j->skipping) {
			j->handler->on_filler(j->ctx, piece);
		} else if (j->rest.n - j->blank + piece.n - (nl != NULL) >
		    SLC_LINE_MAX) {
			buf_add(&j->rest, piece.p, piece.n);
			rc = line_too_long(j, err);
		} else if (nl == NULL) {
			buf_add(&j->rest, piece.p, piece.n);
		} else {
			rc = end_line(j, piece, err);
		}
		if (j->skipping && nl != NULL) {
			j->skipping = false;
			j->physical++;
		}
	}
	return rc;
}

enum slc_rc
jsonl_end(struct jsonl *j, struct slc_err *err)
{
	enum slc_rc rc = SLC_OK;

	if (!j->skipping && j->rest.n > j->blank)
		rc = end_line(j, (struct slice){ "", 0 }, err);
	if (rc != SLC_OK)
		return rc;
	if (j->lines == 0 && j->nfaults == 0)
		return slc_fail(err, SLC_EINPUT,
		    "The file is empty: it must have a request on each line.");
	release_blank(j, true);
	return SLC_OK;
}
