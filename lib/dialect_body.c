#include "dialect_parts.h"

#include <string.h>

#include <sluice/jscan.h>

enum { ERROR_DEPTH = 32 };

enum {
	WANT_ERROR,
	WANT_E_TYPE,
	WANT_E_CODE,
	WANT_E_STATUS,
	WANT_E_MESSAGE,
	WANT_E_DETAILS,
	WANT_E_ERROR_CODE,
	WANT_E_METADATA,
	WANT_E_HEADERS,
	WANT_E_RAW,
	WANT_E_RETRY,
	WANT_E_RETRY_SNAKE,
	WANT_TYPE,
	WANT_CODE,
	WANT_STATUS,
	WANT_RAW_STATUS,
	WANT_OBJECT,
	WANT_MESSAGE,
	WANT_DETAIL,
	WANT_TITLE,
	WANT_RETRY,
	WANT_RETRY_SNAKE,
	WANTS
};

static const struct jscan_want wants[WANTS] = {
	[WANT_ERROR] = { "error", -1 },
	[WANT_E_TYPE] = { "type", WANT_ERROR },
	[WANT_E_CODE] = { "code", WANT_ERROR },
	[WANT_E_STATUS] = { "status", WANT_ERROR },
	[WANT_E_MESSAGE] = { "message", WANT_ERROR },
	[WANT_E_DETAILS] = { "details", WANT_ERROR },
	[WANT_E_ERROR_CODE] = { "error_code", WANT_E_DETAILS },
	[WANT_E_METADATA] = { "metadata", WANT_ERROR },
	[WANT_E_HEADERS] = { "headers", WANT_E_METADATA },
	[WANT_E_RAW] = { "raw", WANT_E_METADATA },
	[WANT_E_RETRY] = { "retryAfter", WANT_ERROR },
	[WANT_E_RETRY_SNAKE] = { "retry_after", WANT_ERROR },
	[WANT_TYPE] = { "type", -1 },
	[WANT_CODE] = { "code", -1 },
	[WANT_STATUS] = { "status", -1 },
	[WANT_RAW_STATUS] = { "raw_status_code", -1 },
	[WANT_OBJECT] = { "object", -1 },
	[WANT_MESSAGE] = { "message", -1 },
	[WANT_DETAIL] = { "detail", -1 },
	[WANT_TITLE] = { "title", -1 },
	[WANT_RETRY] = { "retryAfter", -1 },
	[WANT_RETRY_SNAKE] = { "retry_after", -1 },
};

/* Where each goes, in this order: marks in the table rely on it. */
static const int codes_of[] = { WANT_E_TYPE, WANT_E_CODE, WANT_E_STATUS,
	WANT_E_ERROR_CODE, WANT_TYPE, WANT_CODE, WANT_STATUS };
static const int texts_of[] = { WANT_E_MESSAGE, WANT_MESSAGE, WANT_DETAIL,
	WANT_TITLE, WANT_E_RAW, WANT_E_DETAILS };
static const int statuses_of[] = { WANT_E_CODE, WANT_E_STATUS, WANT_CODE,
	WANT_STATUS, WANT_RAW_STATUS };
static const int waits_of[] = { WANT_E_RETRY, WANT_E_RETRY_SNAKE, WANT_RETRY,
	WANT_RETRY_SNAKE };

static struct slice
unquoted(struct slice s)
{
	if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
		return (struct slice){ s.p + 1, s.n - 2 };
	return s;
}

static bool
starts(struct slice s, const char *word)
{
	size_t n = strlen(word);

	return s.n >= n && memcmp(s.p, word, n) == 0;
}

static char
plain(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c + ('a' - 'A'));
	return (unsigned char)c < 0x20 || c == '_' || c == '-' ? ' ' : c;
}

/* Append for comparing, a space behind it.  What does not fit is left out. */
static void
add_plain(char *out, size_t max, struct slice s)
{
	size_t n = strlen(out);

	for (size_t i = 0; i < s.n && n + 2 < max; i++) {
		struct slice rest = { s.p + i, s.n - i };
		char c = s.p[i];

		if (starts(rest, "http://") || starts(rest, "https://")) {
			while (i + 1 < s.n && s.p[i + 1] > ' ' &&
			    s.p[i + 1] != '"' && s.p[i + 1] != '\\')
				i++;
			continue;
		}
		if (c == '\\' && i + 1 < s.n) {
			c = s.p[++i];
			if (c == 'n' || c == 'r' || c == 't')
				c = ' ';
		}
		out[n++] = plain(c);
	}
	if (n + 1 < max && n > 0)
		out[n++] = ' ';
	out[n] = '\0';
}

/* The text behind "name": in JSON that was accepted; p NULL: not there. */
static struct slice
text_of(struct slice json, const char *name)
{
	const char *p, *end, *stop;

	if (json.n == 0 ||
	    (p = memmem(json.p, json.n, name, strlen(name))) == NULL)
		return (struct slice){ 0 };
	end = json.p + json.n;
	for (p += strlen(name); p < end && (*p == ':' || *p == ' '); p++)
		;
	if (p == end || *p++ != '"' ||
	    (stop = memchr(p, '"', (size_t)(end - p))) == NULL)
		return (struct slice){ 0 };
	return (struct slice){ p, (size_t)(stop - p) };
}

static int64_t
wait_in_words(const char *text)
{
	static const char *const before[] = { "retry after", "again after",
		"retry in", "again in", "expected available in",
		"please wait" };
	int64_t ms;

	for (size_t i = 0; i < NITEMS(before); i++)
		for (const char *p = text;
		     (p = strstr(p, before[i])) != NULL;) {
			p += strlen(before[i]);
			while (*p == ' ' || *p == ':' || *p == '~')
				p++;
			if (dialect_words_ms(slice_str(p), &ms))
				return ms;
		}
	return 0;
}

/* A number is of seconds.  The longer of two: one of them is rounded. */
static void
take_longer(struct slice wait, struct dialect_error *out)
{
	int64_t ms;

	if ((dialect_decimal_ms(wait, 1000, &ms) ||
		dialect_span_ms(wait, &ms)) &&
	    ms > out->wait_ms)
		out->wait_ms = ms;
}

static void
find_wait(struct slice details, struct dialect_error *out)
{
	out->wait_ms = wait_in_words(out->text);
	take_longer(text_of(details, "\"retryDelay\""), out);
}

static bool
take_object(struct slice json, bool served, struct dialect_error *out)
{
	struct jscan_found found[WANTS];
	struct jscan_fault fault;

	if (jscan(json, ERROR_DEPTH, wants, WANTS, found, &fault) !=
	    JSCAN_OBJECT)
		return false;
	if (served &&
	    (found[WANT_ERROR].kind == JSCAN_ABSENT ||
		found[WANT_ERROR].kind == JSCAN_NULL) &&
	    !slice_eq(found[WANT_OBJECT].text, "\"error\"") &&
	    !slice_eq(found[WANT_TYPE].text, "\"error\""))
		return true;
	out->found = true;
	for (size_t i = 0; i < NITEMS(statuses_of) && out->status == 0; i++) {
		int64_t v;

		if (slice_int(unquoted(found[statuses_of[i]].text), 999, &v) &&
		    v >= 100)
			out->status = (int)v;
	}
	for (size_t i = 0; i < NITEMS(codes_of); i++)
		if (found[codes_of[i]].kind == JSCAN_STRING ||
		    found[codes_of[i]].kind == JSCAN_NUMBER)
			add_plain(out->codes, sizeof(out->codes),
			    unquoted(found[codes_of[i]].text));
	if (found[WANT_ERROR].kind == JSCAN_STRING)
		add_plain(out->text, sizeof(out->text),
		    unquoted(found[WANT_ERROR].text));
	for (size_t i = 0; i < NITEMS(texts_of); i++)
		if (found[texts_of[i]].kind != JSCAN_NULL)
			add_plain(out->text, sizeof(out->text),
			    unquoted(found[texts_of[i]].text));
	if (found[WANT_E_HEADERS].kind == JSCAN_OBJECT)
		out->headers = found[WANT_E_HEADERS].text;
	find_wait(found[WANT_E_DETAILS].text, out);
	for (size_t i = 0; i < NITEMS(waits_of); i++)
		take_longer(unquoted(found[waits_of[i]].text), out);
	return true;
}

struct slice
dialect_trim(struct slice s)
{
	while (s.n > 0 && (unsigned char)s.p[0] <= ' ') {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && (unsigned char)s.p[s.n - 1] <= ' ')
		s.n--;
	return s;
}

struct slice
dialect_line(struct slice *s)
{
	const char *nl = memchr(s->p, '\n', s->n);
	size_t n = nl == NULL ? s->n : (size_t)(nl - s->p);
	struct slice line = { s->p, n };

	s->p += nl == NULL ? n : n + 1;
	s->n -= nl == NULL ? n : n + 1;
	return line;
}

/* Keep-alives before an answer; what is left starts with the answer. */
static struct slice
without_comments(struct slice s)
{
	for (s = dialect_trim(s); s.n > 0 && s.p[0] == ':'; s = dialect_trim(s))
		dialect_line(&s);
	return s;
}

static void
take_events(struct slice s, struct dialect_error *out)
{
	while (s.n > 0 && !out->found) {
		struct slice line = dialect_line(&s);

		if (starts(line, "data:") &&
		    memmem(line.p, line.n, "\"error\"", 7) != NULL)
			take_object(dialect_trim((struct slice){
					line.p + 5, line.n - 5 }),
			    true, out);
	}
}

void
dialect_error(struct slice body, bool served, struct dialect_error *out)
{
	struct slice s = without_comments(body);

	out->found = false;
	out->status = 0;
	out->codes[0] = out->text[0] = '\0';
	out->wait_ms = 0;
	out->headers = (struct slice){ 0 };
	if (s.n == 0)
		return;
	if (starts(s, "data:") || starts(s, "event:") || starts(s, "id:")) {
		take_events(s, out);
		if (out->found)
			return;
	} else if (s.p[0] == '[' && s.p[s.n - 1] == ']') {
		if (take_object(
			(struct slice){ s.p + 1, s.n - 2 }, served, out))
			return;
	} else if (take_object(s, served, out)) {
		return;
	}
	if (served)
		return;
	out->found = true;
	add_plain(out->text, sizeof(out->text), s);
	find_wait((struct slice){ 0 }, out);
}

/* Members of an object ---------------------------------------------------- */

/* The end of the string whose first quote is at i. */
static size_t
string_end(struct slice json, size_t i)
{
	for (i++; i < json.n && json.p[i] != '"'; i++)
		if (json.p[i] == '\\')
			i++;
	return i < json.n ? i + 1 : json.n;
}

/* The end of the value that starts at i; what nests is skipped. */
static size_t
value_end(struct slice json, size_t i)
{
	int depth = 0;

	while (i < json.n) {
		char c = json.p[i];

		if (depth == 0 && (c == ',' || c == '}'))
			break;
		depth += c == '{' || c == '[';
		depth -= c == '}' || c == ']';
		i = c == '"' ? string_end(json, i) : i + 1;
	}
	return i;
}

bool
dialect_member(
    struct slice object, size_t *at, struct slice *name, struct slice *value)
{
	while (*at < object.n) {
		size_t i = *at, end;

		while (i < object.n && object.p[i] != '"')
			i++;
		end = string_end(object, i);
		if (i >= object.n)
			break;
		*name = unquoted((struct slice){ object.p + i, end - i });
		for (i = end; i < object.n && object.p[i] != ':'; i++)
			;
		if (i < object.n)
			i++;
		end = value_end(object, i);
		*value = dialect_trim((struct slice){ object.p + i, end - i });
		*at = end;
		if (value->n > 0 && value->p[0] != '{' && value->p[0] != '[') {
			*value = unquoted(*value);
			return true;
		}
	}
	*at = object.n;
	return false;
}
