#include "live_ask.h"

#include <string.h>

#include <sluice/jscan.h>

#include "multipart.h"

enum { BYTES_PER_TOKEN = 4 };

enum {
	WANT_MODEL,
	WANT_STREAM,
	WANT_MAX_TOKENS,
	WANT_MAX_COMPLETION,
	WANT_MAX_OUTPUT,
	WANTS
};

static const struct jscan_want wants[WANTS] = {
	[WANT_MODEL] = { "model", -1 },
	[WANT_STREAM] = { "stream", -1 },
	[WANT_MAX_TOKENS] = { "max_tokens", -1 },
	[WANT_MAX_COMPLETION] = { "max_completion_tokens", -1 },
	[WANT_MAX_OUTPUT] = { "max_output_tokens", -1 },
};

void
live_ask_fini(struct live_ask *a)
{
	buf_fini(&a->model);
}

static enum slc_rc
read_json(struct slice body, struct live_ask *out, const char **param,
    struct slc_err *err)
{
	struct jscan_found found[WANTS];
	struct jscan_fault fault;
	enum jscan_kind kind =
	    jscan(body, SLC_DEPTH_MAX, wants, WANTS, found, &fault);

	if (kind == JSCAN_ABSENT)
		return slc_fail(err, SLC_EINPUT,
		    "We could not parse the JSON body of your request: %s at "
		    "byte %zu.",
		    fault.text, fault.at);
	if (kind != JSCAN_OBJECT)
		return slc_fail(
		    err, SLC_EINPUT, "The body must be a JSON object.");
	out->input = (int64_t)body.n / BYTES_PER_TOKEN;
	out->stream = found[WANT_STREAM].kind == JSCAN_TRUE;
	for (int i = WANT_MAX_TOKENS; i < WANTS; i++)
		jscan_int(&found[i], LIVE_ASK_TOKENS_MAX, &out->output);
	if (found[WANT_MODEL].kind == JSCAN_ABSENT)
		return SLC_OK;
	*param = "model";
	if (found[WANT_MODEL].kind != JSCAN_STRING ||
	    !jscan_unquote(found[WANT_MODEL].text, &out->model))
		return slc_fail(err, SLC_EINPUT, "'model' must be a string.");
	return SLC_OK;
}

/* Forms ------------------------------------------------------------------- */

struct form {
	struct live_ask *out;
	bool is_model, is_text;
	bool seen; /* the model, whole */
	int64_t text;
};

static enum slc_rc
form_on_part(void *ctx, const struct multipart_part *part, struct slc_err *err)
{
	struct form *f = ctx;

	f->is_text = part->filename.p == NULL;
	f->is_model = f->is_text && slice_eq(part->name, "model");
	if (f->is_model && f->seen)
		return slc_fail(err, SLC_EINPUT, "The form has 'model' twice.");
	return SLC_OK;
}

static enum slc_rc
form_on_data(void *ctx, struct slice piece, struct slc_err *err)
{
	struct form *f = ctx;

	if (f->is_text)
		f->text += (int64_t)piece.n;
	if (!f->is_model)
		return SLC_OK;
	if (f->out->model.n + piece.n > 2 * SLC_MODEL_MAX)
		return slc_fail(err, SLC_EINPUT, "'model' is too long.");
	buf_add(&f->out->model, piece.p, piece.n);
	return SLC_OK;
}

static enum slc_rc
form_on_part_end(void *ctx, struct slc_err *err)
{
	struct form *f = ctx;

	(void)err;
	f->seen |= f->is_model;
	f->is_model = false;
	return SLC_OK;
}

static enum slc_rc
read_form(struct slice content_type, struct slice body, struct live_ask *out,
    struct slc_err *err)
{
	static const struct multipart_handler handler = {
		.on_part = form_on_part,
		.on_data = form_on_data,
		.on_part_end = form_on_part_end,
	};
	struct form f = { .out = out };
	struct multipart *m;
	enum slc_rc rc = multipart_new(&m, content_type, &handler, &f, err);

	if (rc != SLC_OK)
		return rc;
	rc = multipart_feed(m, body, err);
	if (rc == SLC_OK)
		rc = multipart_end(m, err);
	multipart_free(m);
	out->input = f.text / BYTES_PER_TOKEN;
	return rc;
}

/* Both -------------------------------------------------------------------- */

static bool
begins(struct slice s, const char *with)
{
	size_t n = strlen(with);

	return s.n >= n && slice_ieq((struct slice){ s.p, n }, with);
}

static enum slc_rc
check_model(struct live_ask *a, const char *otherwise, struct slc_err *err)
{
	static const struct slice batch = SLICE(":batch");
	struct buf *m = &a->model;

	if (m->n == 0 && otherwise != NULL)
		buf_adds(m, otherwise);
	if (m->n == 0)
		return slc_fail(
		    err, SLC_EINPUT, "You must provide a model parameter.");
	a->cheap = m->n > batch.n &&
	    memcmp(m->p + m->n - batch.n, batch.p, batch.n) == 0;
	if (a->cheap)
		m->n -= batch.n;
	if (m->n > SLC_MODEL_MAX || memchr(m->p, '\0', m->n) != NULL)
		return slc_fail(err, SLC_EINPUT,
		    "'model' has more than %d bytes, or U+0000.",
		    SLC_MODEL_MAX);
	buf_cstr(m);
	return SLC_OK;
}

enum slc_rc
live_ask_read(struct slice content_type, struct slice body,
    const char *otherwise, struct live_ask *out, const char **param,
    struct slc_err *err)
{
	enum slc_rc rc;

	*param = NULL;
	if (begins(content_type, "multipart/form-data"))
		rc = read_form(content_type, body, out, err);
	else
		rc = read_json(body, out, param, err);
	if (rc != SLC_OK)
		return rc;
	if (out->input < 1)
		out->input = 1;
	*param = "model";
	return check_model(out, otherwise, err);
}
