#include "multipart.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/utf8.h>

enum {
	MULTIPART_PREAMBLE_MAX = 4096,
	MULTIPART_DELIMITER_MAX = 4 + MULTIPART_BOUNDARY_MAX, /* CR LF - - */
};

enum multipart_state {
	MULTIPART_PREAMBLE,
	MULTIPART_BOUNDARY, /* a delimiter is read: what follows it? */
	MULTIPART_DASH,     /* the first of two dashes */
	MULTIPART_PADDING,  /* blanks before the end of the line */
	MULTIPART_LF,
	MULTIPART_HEADERS,
	MULTIPART_DATA,
	MULTIPART_EPILOGUE,
	MULTIPART_FAILED,
};

struct multipart {
	enum multipart_state state;
	struct multipart_handler handler;
	void *ctx;
	char delimiter[MULTIPART_DELIMITER_MAX];
	size_t delimiter_n;
	size_t matched; /* bytes of a delimiter at the end of the last piece */
	size_t preamble_n;
	int parts;
	struct buf head;  /* the headers of a part */
	size_t line;      /* where the last of them begins */
	struct buf names; /* its name and file name, decoded */
};

static void
take(struct slice *in, size_t n)
{
	in->p += n;
	in->n -= n;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void
skip_blanks(struct slice *in)
{
	while (in->n > 0 && is_blank(*in->p))
		take(in, 1);
}

static enum slc_rc
bad(struct slc_err *err, const char *why)
{
	return slc_fail(err, SLC_EINPUT, "form data: %s", why);
}

/* The word a header's value begins with. */
static struct slice
take_word(struct slice *in)
{
	struct slice word = { in->p, 0 };

	while (word.n < in->n && in->p[word.n] != ';' && in->p[word.n] != '"' &&
	    !is_blank(in->p[word.n]))
		word.n++;
	take(in, word.n);
	return word;
}

/*
 * Take "; name=value", quotes included, from the front.  False at the end, when
 * nothing is left, and on bad syntax, when something is.
 */
static bool
take_param(struct slice *in, struct slice *name, struct slice *value)
{
	const char *p, *end = in->p + in->n;

	skip_blanks(in);
	if (in->n == 0 || *in->p != ';')
		return false;
	take(in, 1);
	skip_blanks(in);
	for (p = in->p; p < end && *p != '=' && *p != ';'; p++)
		;
	if (p == end || *p == ';')
		return false;
	*name = (struct slice){ in->p, (size_t)(p - in->p) };
	p++;
	*value = (struct slice){ p, (size_t)(end - p) };
	if (value->n == 0 || *p != '"') {
		*value = take_word(&(struct slice){ p, value->n });
	} else {
		for (p++; p < end && *p != '"'; p++)
			if (*p == '\\' && p + 1 < end)
				p++;
		if (p == end)
			return false;
		value->n = (size_t)(p + 1 - value->p);
	}
	take(in, (size_t)(value->p + value->n - in->p));
	return true;
}

/*
 * Browsers and SDKs write a quote as %22 and line ends as %0D and %0A, curl a
 * quote as \" and a backslash as \\; other escapes stand for themselves.
 */
static struct slice
decode(struct buf *out, struct slice v)
{
	size_t start = out->n;

	if (v.n > 0 && *v.p == '"')
		v = (struct slice){ v.p + 1, v.n - 2 };
	for (size_t i = 0; i < v.n; i++) {
		struct slice three = { v.p + i, v.n - i < 3 ? v.n - i : 3 };
		char c = v.p[i];

		if (c == '\\' && three.n > 1 &&
		    (three.p[1] == '"' || three.p[1] == '\\')) {
			c = three.p[1];
			i++;
		} else if (slice_eq(three, "%22")) {
			c = '"';
			i += 2;
		} else if (slice_ieq(three, "%0d")) {
			c = '\r';
			i += 2;
		} else if (slice_ieq(three, "%0a")) {
			c = '\n';
			i += 2;
		}
		buf_addc(out, c);
	}
	return (struct slice){ out->p + start, out->n - start };
}

static bool
is_utf8(struct slice s)
{
	size_t n;

	for (; s.n > 0; take(&s, n))
		if ((n = utf8_length(s.p, s.n)) == 0)
			return false;
	return true;
}

static enum slc_rc
read_disposition(struct multipart *m, struct slice value,
    struct multipart_part *part, struct slc_err *err)
{
	struct slice name, v, *to;

	if (part->name.p != NULL)
		return bad(err, "two Content-Dispositions");
	if (!slice_ieq(take_word(&value), "form-data"))
		return bad(err, "a part that is not form-data");
	while (take_param(&value, &name, &v)) {
		if (slice_ieq(name, "name"))
			to = &part->name;
		else if (slice_ieq(name, "filename"))
			to = &part->filename;
		else
			continue; /* filename* too: RFC 7578, 4.2 */
		if (to->p != NULL)
			return bad(err, "a part with two names");
		*to = decode(&m->names, v);
		if (!is_utf8(*to))
			return bad(err, "a name that is not UTF-8");
	}
	if (value.n > 0)
		return bad(err, "bad Content-Disposition");
	return SLC_OK;
}

static enum slc_rc
read_header(struct multipart *m, struct slice line, struct multipart_part *part,
    struct slc_err *err)
{
	const char *colon = memchr(line.p, ':', line.n);
	struct slice name = line;

	if (colon == NULL || colon == line.p || is_blank(colon[-1]) ||
	    is_blank(*line.p))
		return bad(err, "bad header of a part");
	name.n = (size_t)(colon - line.p);
	take(&line, name.n + 1);
	skip_blanks(&line);
	while (line.n > 0 && is_blank(line.p[line.n - 1]))
		line.n--;
	if (slice_ieq(name, "content-disposition"))
		return read_disposition(m, line, part, err);
	if (slice_ieq(name, "content-type")) {
		if (part->type.p != NULL)
			return bad(err, "two Content-Types");
		part->type = line;
	}
	return SLC_OK;
}

/* All headers of a part are in m->head, each with its CRLF. */
static enum slc_rc
begin_part(struct multipart *m, struct slc_err *err)
{
	struct multipart_part part = { 0 };
	struct slice rest = buf_slice(&m->head);
	enum slc_rc rc = SLC_OK;

	buf_clear(&m->names);
	buf_reserve(&m->names, rest.n); /* so that slices into it stay */
	while (rc == SLC_OK && rest.n > 2) {
		struct slice line = rest;

		line.n =
		    (size_t)((char *)memchr(rest.p, '\n', rest.n) - rest.p - 1);
		rc = read_header(m, line, &part, err);
		take(&rest, line.n + 2);
	}
	if (rc == SLC_OK && part.name.p == NULL)
		rc = bad(err, "a part without a name");
	if (rc == SLC_OK)
		rc = m->handler.on_part(m->ctx, &part, err);
	m->state = MULTIPART_DATA;
	return rc;
}

static enum slc_rc
take_headers(struct multipart *m, struct slice *in, struct slc_err *err)
{
	const char *lf = memchr(in->p, '\n', in->n);
	size_t n = lf == NULL ? in->n : (size_t)(lf - in->p) + 1;
	struct slice line;

	if (n > MULTIPART_HEADER_MAX - m->head.n)
		return bad(err, "the headers of a part are too long");
	buf_add(&m->head, in->p, n);
	take(in, n);
	if (lf == NULL)
		return SLC_OK;
	line = (struct slice){ m->head.p + m->line, m->head.n - m->line };
	if (line.n < 2 || line.p[line.n - 2] != '\r')
		return bad(err, "a header line without CR");
	for (size_t i = 0; i < line.n - 2; i++)
		if (((unsigned char)line.p[i] < ' ' && line.p[i] != '\t') ||
		    line.p[i] == 0x7f)
			return bad(err, "a control byte in a header");
	m->line = m->head.n;
	return line.n == 2 ? begin_part(m, err) : SLC_OK;
}

/*
 * Take data up to a delimiter, or the delimiter (true), from the front; *piece
 * is the data.  The only CR of a delimiter is its first byte, so where a match
 * breaks off, no other can have begun inside it.
 */
static bool
take_data(struct multipart *m, struct slice *in, struct slice *piece)
{
	const char *d = m->delimiter, *hit;
	size_t window;

	*piece = (struct slice){ 0 };
	if (m->matched > 0) {
		while (in->n > 0 && m->matched < m->delimiter_n &&
		    *in->p == d[m->matched]) {
			m->matched++;
			take(in, 1);
		}
		if (m->matched < m->delimiter_n && in->n == 0)
			return false;
		if (m->matched < m->delimiter_n)
			*piece = (struct slice){ d, m->matched };
		m->matched = 0;
		return piece->n == 0;
	}
	hit = memmem(in->p, in->n, d, m->delimiter_n);
	if (hit == in->p) {
		take(in, m->delimiter_n);
		return true;
	}
	piece->p = in->p;
	if (hit != NULL) {
		piece->n = (size_t)(hit - in->p);
	} else {
		/* Its beginning may stand at the end. */
		window = in->n < m->delimiter_n ? in->n : m->delimiter_n - 1;
		hit = memrchr(in->p + in->n - window, '\r', window);
		if (hit != NULL) {
			window = (size_t)(in->p + in->n - hit);
			if (memcmp(hit, d, window) == 0)
				m->matched = window;
		}
		piece->n = in->n - m->matched;
	}
	take(in, piece->n + m->matched);
	return false;
}

/* The byte after a delimiter, or after what may follow it. */
static enum slc_rc
take_line_end(struct multipart *m, char c, struct slc_err *err)
{
	if (m->state == MULTIPART_DASH && c == '-') {
		m->state = MULTIPART_EPILOGUE;
	} else if (m->state == MULTIPART_BOUNDARY && c == '-') {
		m->state = MULTIPART_DASH;
	} else if (m->state == MULTIPART_LF && c == '\n') {
		if (m->parts++ == MULTIPART_PARTS_MAX)
			return bad(err, "too many parts");
		buf_clear(&m->head);
		m->line = 0;
		m->state = MULTIPART_HEADERS;
	} else if (m->state == MULTIPART_BOUNDARY ||
	    m->state == MULTIPART_PADDING) {
		if (c != '\r' && !is_blank(c))
			return bad(err, "bad end of a delimiter");
		m->state = c == '\r' ? MULTIPART_LF : MULTIPART_PADDING;
	} else {
		return bad(err, "bad delimiter");
	}
	return SLC_OK;
}

static enum slc_rc
step(struct multipart *m, struct slice *in, struct slc_err *err)
{
	enum slc_rc rc = SLC_OK;
	struct slice piece;
	bool delimiter;

	switch (m->state) {
	case MULTIPART_PREAMBLE:
		if (take_data(m, in, &piece))
			m->state = MULTIPART_BOUNDARY;
		m->preamble_n += piece.n;
		if (m->preamble_n > MULTIPART_PREAMBLE_MAX)
			rc = bad(err, "no delimiter at the beginning");
		return rc;
	case MULTIPART_HEADERS:
		return take_headers(m, in, err);
	case MULTIPART_DATA:
		delimiter = take_data(m, in, &piece);
		if (piece.n > 0)
			rc = m->handler.on_data(m->ctx, piece, err);
		if (delimiter) {
			m->state = MULTIPART_BOUNDARY;
			rc = m->handler.on_part_end(m->ctx, err);
		}
		return rc;
	case MULTIPART_EPILOGUE:
		take(in, in->n);
		return SLC_OK;
	case MULTIPART_FAILED:
		return bad(err, "it was refused before");
	default:
		take(in, 1);
		return take_line_end(m, in->p[-1], err);
	}
}

enum slc_rc
multipart_feed(struct multipart *m, struct slice bytes, struct slc_err *err)
{
	enum slc_rc rc = SLC_OK;

	while (rc == SLC_OK && bytes.n > 0)
		rc = step(m, &bytes, err);
	if (rc != SLC_OK)
		m->state = MULTIPART_FAILED;
	return rc;
}

enum slc_rc
multipart_end(struct multipart *m, struct slc_err *err)
{
	if (m->state != MULTIPART_EPILOGUE)
		return bad(err, "it ends before its closing delimiter");
	return SLC_OK;
}

static bool
is_boundary(struct slice s)
{
	static const char marks[] = "'()+_,-./:=? ";

	if (s.n == 0 || s.n > MULTIPART_BOUNDARY_MAX || s.p[s.n - 1] == ' ')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) &&
		    memchr(marks, s.p[i], sizeof(marks) - 1) == NULL)
			return false;
	return true;
}

enum slc_rc
multipart_new(struct multipart **out, struct slice type,
    const struct multipart_handler *handler, void *ctx, struct slc_err *err)
{
	struct slice name, value, boundary = { 0 };
	struct multipart *m;

	if (!slice_ieq(take_word(&type), "multipart/form-data"))
		return bad(err, "Content-Type must be multipart/form-data");
	while (take_param(&type, &name, &value)) {
		if (!slice_ieq(name, "boundary"))
			continue;
		if (boundary.p != NULL)
			return bad(err, "two boundaries");
		boundary = value;
	}
	if (boundary.n > 1 && *boundary.p == '"')
		boundary = (struct slice){ boundary.p + 1, boundary.n - 2 };
	if (type.n > 0 || !is_boundary(boundary))
		return bad(err, "no sound boundary in Content-Type");
	m = xcalloc(1, sizeof(*m));
	m->handler = *handler;
	m->ctx = ctx;
	memcpy(m->delimiter, "\r\n--", 4);
	memcpy(m->delimiter + 4, boundary.p, boundary.n);
	m->delimiter_n = 4 + boundary.n;
	/* The first delimiter may stand without the line end before it. */
	m->matched = 2;
	*out = m;
	return SLC_OK;
}

void
multipart_free(struct multipart *m)
{
	if (m == NULL)
		return;
	buf_fini(&m->head);
	buf_fini(&m->names);
	free(m);
}
