#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include <sluice/buf.h>

#include "../../scheduler/multipart.h"

/* The parse as text: "<name|filename|type>data" for each part, "." at its end.
 */
static void
trace_word(struct buf *out, struct slice s)
{
	if (s.p == NULL)
		buf_adds(out, "-");
	buf_add(out, s.p, s.n);
}

static enum slc_rc
trace_on_part(void *ctx, const struct multipart_part *part, struct slc_err *err)
{
	struct buf *out = ctx;

	(void)err;
	buf_addc(out, '<');
	trace_word(out, part->name);
	buf_addc(out, '|');
	trace_word(out, part->filename);
	buf_addc(out, '|');
	trace_word(out, part->type);
	buf_addc(out, '>');
	return SLC_OK;
}

static enum slc_rc
trace_on_data(void *ctx, struct slice piece, struct slc_err *err)
{
	(void)err;
	CU_ASSERT(piece.n > 0);
	buf_add(ctx, piece.p, piece.n);
	return SLC_OK;
}

static enum slc_rc
trace_on_part_end(void *ctx, struct slc_err *err)
{
	(void)err;
	buf_addc(ctx, '.');
	return SLC_OK;
}

static const struct multipart_handler tracer = { trace_on_part, trace_on_data,
	trace_on_part_end };

/* Feed the body cut at each of the given places; the trace, or why not. */
static enum slc_rc
parse(const char *type, struct slice body, size_t first, size_t each,
    struct buf *out)
{
	struct multipart *m = NULL;
	struct slc_err err;
	enum slc_rc rc;
	size_t n = first;

	buf_clear(out);
	rc = multipart_new(&m, slice_str(type), &tracer, out, &err);
	while (rc == SLC_OK && body.n > 0) {
		/* A copy of its own size shows reads past its end. */
		char *piece;

		n = n > body.n ? body.n : n;
		piece = malloc(n);
		memcpy(piece, body.p, n);
		rc = multipart_feed(m, (struct slice){ piece, n }, &err);
		free(piece);
		body = (struct slice){ body.p + n, body.n - n };
		n = each;
	}
	if (rc == SLC_OK)
		rc = multipart_end(m, &err);
	multipart_free(m);
	if (rc != SLC_OK) {
		buf_clear(out);
		buf_adds(out, err.text);
	}
	return rc;
}

/* Whole, cut in two at every place, and byte by byte: always the same. */
static bool
parses_to(const char *type, struct slice body, enum slc_rc rc, const char *text)
{
	struct buf out = { 0 };
	bool good = true;

	for (size_t cut = 0; cut <= body.n && good; cut++) {
		size_t first = cut == 0 ? 1 : cut;
		size_t each = cut == 0 ? 1 : body.n;

		good = parse(type, body, first, each, &out) == rc &&
		    (text == NULL || strcmp(buf_cstr(&out), text) == 0);
		if (!good)
			printf("# cut %zu: \"%s\"\n", cut, buf_cstr(&out));
	}
	buf_fini(&out);
	return good;
}

#define CD   "Content-Disposition: form-data; "
#define TYPE "multipart/form-data; boundary=b"

static void
sound_bodies_are_read(void)
{
	static const struct {
		const char *why, *type, *body, *trace;
	} cases[] = {
		{ "one part", TYPE,
		    "--b\r\n" CD "name=\"a\"\r\n\r\nx\r\n--b--\r\n",
		    "<a|-|->x." },
		{ "the SDK: the file first", TYPE,
		    "--b\r\n" CD "name=\"file\"; filename=\"in.jsonl\"\r\n"
		    "Content-Type: application/octet-stream\r\n\r\n"
		    "{\"a\":1}\n{\"b\":2}\n\r\n--b\r\n" CD
		    "name=\"purpose\"\r\n\r\nbatch\r\n--b\r\n" CD
		    "name=\"expires_after[anchor]\"\r\n\r\ncreated_at\r\n"
		    "--b\r\n" CD "name=\"expires_after[seconds]\"\r\n\r\n"
		    "3600\r\n--b--\r\n",
		    "<file|in.jsonl|application/octet-stream>"
		    "{\"a\":1}\n{\"b\":2}\n.<purpose|-|->batch."
		    "<expires_after[anchor]|-|->created_at."
		    "<expires_after[seconds]|-|->3600." },
		{ "a quoted boundary, other parameters",
		    "Multipart/Form-Data;charset=utf-8 ; Boundary=\"a b\"",
		    "--a b\r\n" CD "name=a\r\n\r\nx\r\n--a b--", "<a|-|->x." },
		{ "a boundary of 70",
		    "multipart/form-data; boundary="
		    "0123456789012345678901234567890123456789"
		    "012345678901234567890123456789",
		    "--0123456789012345678901234567890123456789"
		    "012345678901234567890123456789\r\n" CD
		    "name=a\r\n\r\nx\r\n"
		    "--0123456789012345678901234567890123456789"
		    "012345678901234567890123456789--",
		    "<a|-|->x." },
		{ "a semicolon at the end", TYPE ";",
		    "--b\r\n" CD "name=a;\r\n\r\nx\r\n--b--", "<a|-|->x." },
		{ "preamble and epilogue", TYPE,
		    "hello --b\r\n--B\r\n\r\n--b\r\n" CD
		    "name=a\r\n\r\nx\r\n--b--\r\nbye\r\n--b\r\n",
		    "<a|-|->x." },
		{ "blanks after the boundary", TYPE,
		    "--b \t\r\n" CD "name=a\r\n\r\nx\r\n--b  \r\n" CD
		    "name=c\r\n\r\ny\r\n--b--  \r\n",
		    "<a|-|->x.<c|-|->y." },
		{ "no part", TYPE, "--b--\r\n", "" },
		{ "empty data", TYPE, "--b\r\n" CD "name=a\r\n\r\n\r\n--b--",
		    "<a|-|->." },
		{ "half delimiters in the data", TYPE,
		    "--b\r\n" CD "name=a\r\n\r\n\r\r\n\r\n-\r\n--\r\n-b--b\r\n"
		    "\r\n--B\r\r\n--b--",
		    "<a|-|->\r\r\n\r\n-\r\n--\r\n-b--b\r\n\r\n--B\r." },
		{ "data that begins like a delimiter", TYPE,
		    "--b\r\n" CD "name=a\r\n\r\n--b\r\n--b--", "<a|-|->--b." },
		{ "a nested form is data", TYPE,
		    "--b\r\n" CD "name=a\r\nContent-Type: multipart/mixed; "
		    "boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--",
		    "<a|-|multipart/mixed; boundary=c>--c\r\n\r\nx\r\n--c--." },
		{ "raw UTF-8", TYPE,
		    "--b\r\n" CD "name=\"f\"; filename=\"f\xc3\xbc\xe2\x82\xac "
		    "x.jsonl\"\r\n\r\n\r\n--b--",
		    "<f|f\xc3\xbc\xe2\x82\xac x.jsonl|->." },
		{ "quotes as browsers write them", TYPE,
		    "--b\r\n" CD "name=f; filename=\"a%22b%0D%0a%41.txt\""
		    "\r\n\r\n\r\n--b--",
		    "<f|a\"b\r\n%41.txt|->." },
		{ "quotes as curl writes them", TYPE,
		    "--b\r\n" CD "name=f; filename=\"a\\\"b\\\\c\\d;\""
		    "\r\n\r\n\r\n--b--",
		    "<f|a\"b\\c\\d;|->." },
		{ "filename* is ignored", TYPE,
		    "--b\r\n" CD "name=f; filename*=UTF-8''%41; filename=x"
		    "\r\n\r\n\r\n--b--",
		    "<f|x|->." },
		{ "an empty file name", TYPE,
		    "--b\r\n" CD "name=f; filename=\"\"\r\n\r\n\r\n--b--",
		    "<f||->." },
		{ "other headers, odd case and blanks", TYPE,
		    "--b\r\nX-A: 1\r\ncontent-disposition:form-data ;\tNAME=a  "
		    "\r\nCONTENT-TYPE:\t text/plain \r\n\r\nx\r\n--b--",
		    "<a|-|text/plain>x." },
	};

	for (size_t i = 0; i < NITEMS(cases); i++)
		if (!parses_to(cases[i].type, slice_str(cases[i].body), SLC_OK,
			cases[i].trace))
			CU_FAIL(cases[i].why);
}

static void
bad_bodies_are_refused(void)
{
	static const struct {
		const char *why, *type, *body;
	} cases[] = {
		{ "no boundary", "multipart/form-data", "" },
		{ "an empty boundary", "multipart/form-data; boundary=", "" },
		{ "another type", "multipart/mixed; boundary=b", "--b--" },
		{ "a longer type", "multipart/form-datax; boundary=b",
		    "--b--" },
		{ "two boundaries", TYPE "; boundary=b", "--b--" },
		{ "a boundary that ends in a blank",
		    "multipart/form-data; boundary=\"b \"", "--b --" },
		{ "a boundary with a quote inside",
		    "multipart/form-data; boundary=\"b\\\"\"", "--b\\\"--" },
		{ "an open quote", "multipart/form-data; boundary=\"b",
		    "--b--" },
		{ "a boundary of 71",
		    "multipart/form-data; boundary="
		    "0123456789012345678901234567890123456789"
		    "0123456789012345678901234567890",
		    "--0123456789012345678901234567890123456789"
		    "0123456789012345678901234567890--" },
		{ "nothing", TYPE, "" },
		{ "no final boundary", TYPE,
		    "--b\r\n" CD "name=a\r\n\r\nx\r\n--b\r\n" },
		{ "half a final boundary", TYPE,
		    "--b\r\n" CD "name=a\r\n\r\nx\r\n--b-" },
		{ "a dash and more", TYPE,
		    "--b\r\n" CD "name=a\r\n\r\nx\r\n--b-x--b--" },
		{ "a longer boundary", TYPE,
		    "--b\r\n" CD "name=a\r\n\r\nx\r\n--bb\r\n\r\n--b--" },
		{ "CR and no LF after the boundary", TYPE,
		    "--b\rx" CD "name=a\r\n\r\nx\r\n--b--" },
		{ "LF alone after the boundary", TYPE,
		    "--b\n" CD "name=a\r\n\r\nx\r\n--b--" },
		{ "LF alone after a header", TYPE,
		    "--b\r\n" CD "name=a\n\r\nx\r\n--b--" },
		{ "LF alone after the headers", TYPE,
		    "--b\r\n" CD "name=a\r\n\nx\r\n--b--" },
		{ "CR in a header", TYPE,
		    "--b\r\n" CD "name=a\rb\r\n\r\nx\r\n--b--" },
		{ "a control byte in a header", TYPE,
		    "--b\r\n" CD "name=\"a\x01\"\r\n\r\nx\r\n--b--" },
		{ "a folded header", TYPE,
		    "--b\r\n" CD "\r\n name=a\r\n\r\nx\r\n--b--" },
		{ "a header without colon", TYPE,
		    "--b\r\n" CD "name=a\r\nfoo\r\n\r\nx\r\n--b--" },
		{ "a header without name", TYPE,
		    "--b\r\n" CD "name=a\r\n: foo\r\n\r\nx\r\n--b--" },
		{ "a blank before the colon", TYPE,
		    "--b\r\nContent-Disposition : form-data; name=a\r\n\r\n"
		    "x\r\n--b--" },
		{ "no headers", TYPE, "--b\r\n\r\nx\r\n--b--" },
		{ "no Content-Disposition", TYPE,
		    "--b\r\nContent-Type: a/b\r\n\r\nx\r\n--b--" },
		{ "two of them", TYPE,
		    "--b\r\n" CD "name=a\r\n" CD "name=b\r\n\r\nx\r\n--b--" },
		{ "two of them, one name", TYPE,
		    "--b\r\n" CD "name=a\r\n" CD
		    "filename=b\r\n\r\nx\r\n--b--" },
		{ "a blank before another colon", TYPE,
		    "--b\r\n" CD "name=a\r\nX : y\r\n\r\nx\r\n--b--" },
		{ "a folded header that has a colon", TYPE,
		    "--b\r\n" CD "name=a\r\n X: y\r\n\r\nx\r\n--b--" },
		{ "DEL in a header", TYPE,
		    "--b\r\n" CD "name=a\x7f\r\n\r\nx\r\n--b--" },
		{ "a longer boundary before a sound part", TYPE,
		    "--bx\r\n" CD "name=a\r\n\r\nx\r\n--b--" },
		{ "an open quote after the boundary", TYPE "; x=\"y",
		    "--b\r\n" CD "name=a\r\n\r\nx\r\n--b--" },
		{ "two types", TYPE,
		    "--b\r\n" CD "name=a\r\nContent-Type: a/b\r\n"
		    "Content-Type: a/b\r\n\r\nx\r\n--b--" },
		{ "an attachment", TYPE,
		    "--b\r\nContent-Disposition: attachment; name=a\r\n\r\n"
		    "x\r\n--b--" },
		{ "no name", TYPE,
		    "--b\r\n" CD "filename=a\r\n\r\nx\r\n--b--" },
		{ "two names", TYPE,
		    "--b\r\n" CD "name=a; name=b\r\n\r\nx\r\n--b--" },
		{ "two file names", TYPE,
		    "--b\r\n" CD "name=a; filename=\"\"; filename=b\r\n\r\n"
		    "x\r\n--b--" },
		{ "an open quote in a name", TYPE,
		    "--b\r\n" CD "name=\"a\r\n\r\nx\r\n--b--" },
		{ "text after a quote", TYPE,
		    "--b\r\n" CD "name=\"a\"b\r\n\r\nx\r\n--b--" },
		{ "a parameter without value", TYPE,
		    "--b\r\n" CD "name; name=a\r\n\r\nx\r\n--b--" },
		{ "a name in Latin 1", TYPE,
		    "--b\r\n" CD "name=a; filename=\"\xfc\"\r\n\r\n"
		    "x\r\n--b--" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++)
		if (!parses_to(cases[i].type, slice_str(cases[i].body),
			SLC_EINPUT, NULL))
			CU_FAIL(cases[i].why);
}

static void
add_many(struct buf *b, char c, size_t n)
{
	while (n-- > 0)
		buf_addc(b, c);
}

/* A form whose preamble, header or number of parts is of the given size. */
static enum slc_rc
sized(size_t preamble, size_t header, size_t parts)
{
	static const char disposition[] = CD "name=a\r\n";
	struct buf body = { 0 }, out = { 0 };
	enum slc_rc rc;

	add_many(&body, 'p', preamble);
	for (size_t i = 0; i < parts; i++) {
		size_t start;

		buf_adds(&body, "\r\n--b\r\n");
		start = body.n;
		buf_adds(&body, disposition);
		buf_adds(&body, "X: ");
		add_many(&body, 'x', header - (body.n - start) - 4);
		buf_adds(&body, "\r\n\r\n");
	}
	buf_adds(&body, "\r\n--b--");
	rc = parse(TYPE, buf_slice(&body), body.n, body.n, &out);
	CU_ASSERT_EQUAL(parse(TYPE, buf_slice(&body), 1, 1, &out), rc);
	buf_fini(&body);
	buf_fini(&out);
	return rc;
}

static void
limits_hold_to_the_byte(void)
{
	enum { PREAMBLE = 4096 - 2 }; /* the CRLF counted before the first */

	CU_ASSERT_EQUAL(sized(PREAMBLE, 60, 1), SLC_OK);
	CU_ASSERT_EQUAL(sized(PREAMBLE + 1, 60, 1), SLC_EINPUT);
	CU_ASSERT_EQUAL(sized(0, MULTIPART_HEADER_MAX, 1), SLC_OK);
	CU_ASSERT_EQUAL(sized(0, MULTIPART_HEADER_MAX + 1, 1), SLC_EINPUT);
	CU_ASSERT_EQUAL(sized(0, 60, MULTIPART_PARTS_MAX), SLC_OK);
	CU_ASSERT_EQUAL(sized(0, 60, MULTIPART_PARTS_MAX + 1), SLC_EINPUT);
}

static enum slc_rc
full_on_part(void *ctx, const struct multipart_part *part, struct slc_err *err)
{
	(void)ctx, (void)part, (void)err;
	return SLC_OK;
}

static enum slc_rc
full_on_data(void *ctx, struct slice piece, struct slc_err *err)
{
	(void)piece;
	++*(int *)ctx;
	return slc_fail(err, SLC_EQUOTA, "full");
}

static void
a_callback_ends_the_parse(void)
{
	static const struct multipart_handler full = { full_on_part,
		full_on_data, trace_on_part_end };
	struct slice body = SLICE("--b\r\n" CD "name=a\r\n\r\nx\r\n--b--");
	struct multipart *m = NULL;
	struct slc_err err;
	int calls = 0;

	CU_ASSERT_EQUAL_FATAL(
	    multipart_new(&m, SLICE(TYPE), &full, &calls, &err), SLC_OK);
	CU_ASSERT_EQUAL(multipart_feed(m, body, &err), SLC_EQUOTA);
	CU_ASSERT_EQUAL(calls, 1);
	CU_ASSERT_EQUAL(multipart_feed(m, body, &err), SLC_EINPUT);
	CU_ASSERT_EQUAL(multipart_end(m, &err), SLC_EINPUT);
	CU_ASSERT_EQUAL(calls, 1);
	multipart_free(m);
}

UNIT_MAIN("multipart", UNIT(sound_bodies_are_read),
    UNIT(bad_bodies_are_refused), UNIT(limits_hold_to_the_byte),
    UNIT(a_callback_ends_the_parse))
