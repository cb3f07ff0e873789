/*
 * Fuzz target: a form read in pieces is the form read whole.
 *
 * The first two bytes say how long the pieces are.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/buf.h>

#include "../../scheduler/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
add_slice(struct buf *b, struct slice s)
{
	buf_addf(b, "%zu:", s.p == NULL ? SIZE_MAX : s.n);
	buf_add(b, s.p, s.n);
}

static enum slc_rc
fuzz_on_part(void *ctx, const struct multipart_part *part, struct slc_err *err)
{
	(void)err;
	buf_adds(ctx, "<");
	add_slice(ctx, part->name);
	add_slice(ctx, part->filename);
	add_slice(ctx, part->type);
	return SLC_OK;
}

static enum slc_rc
fuzz_on_data(void *ctx, struct slice piece, struct slc_err *err)
{
	(void)err;
	assert(piece.n > 0);
	buf_add(ctx, piece.p, piece.n);
	return SLC_OK;
}

static enum slc_rc
fuzz_on_part_end(void *ctx, struct slc_err *err)
{
	(void)err;
	buf_adds(ctx, ">");
	return SLC_OK;
}

static enum slc_rc
read_form(struct slice body, size_t odd, size_t even, struct buf *out)
{
	static const struct multipart_handler handler = { fuzz_on_part,
		fuzz_on_data, fuzz_on_part_end };
	struct multipart *m;
	struct slc_err err;
	enum slc_rc rc;

	rc = multipart_new(
	    &m, SLICE("multipart/form-data; boundary=-b"), &handler, out, &err);
	assert(rc == SLC_OK);
	for (size_t i = 0; rc == SLC_OK && body.n > 0; i++) {
		size_t n = i % 2 == 0 ? even : odd;

		n = n < body.n ? n : body.n;
		rc = multipart_feed(m, (struct slice){ body.p, n }, &err);
		body = (struct slice){ body.p + n, body.n - n };
	}
	if (rc == SLC_OK)
		rc = multipart_end(m, &err);
	multipart_free(m);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf whole = { 0 }, cut = { 0 };
	struct slice body;
	enum slc_rc rc;

	if (n < 3)
		return 0;
	body = (struct slice){ (const char *)data + 2, n - 2 };
	rc = read_form(body, n, n, &whole);
	assert(read_form(body, data[0] + 1u, data[1] % 8 + 1u, &cut) == rc);
	/* What came before a fault may end anywhere. */
	assert(rc != SLC_OK || whole.n == cut.n);
	if (rc == SLC_OK && whole.n > 0)
		assert(whole.n == cut.n && memcmp(whole.p, cut.p, cut.n) == 0);
	buf_fini(&whole);
	buf_fini(&cut);
	return 0;
}
