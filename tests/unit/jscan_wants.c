#include <sluice/jscan.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

enum { WANT_ID, WANT_BODY, WANT_MODEL, WANT_USAGE, WANT_TOKENS, WANT_N, WANTS };

static const struct jscan_want wants[WANTS] = {
	[WANT_ID] = { "id", -1 },
	[WANT_BODY] = { "body", -1 },
	[WANT_MODEL] = { "model", WANT_BODY },
	[WANT_USAGE] = { "usage", WANT_BODY },
	[WANT_TOKENS] = { "tokens", WANT_USAGE },
	[WANT_N] = { "n", WANT_BODY },
};

/* A copy of exactly that size shows every read past its end. */
static struct slice
copy_of(struct slice s)
{
	char *p = malloc(s.n);

	memcpy(p, s.p, s.n);
	return (struct slice){ p, s.n };
}

static void
drop(struct slice s)
{
	free((char *)(uintptr_t)s.p);
}

/* Texts here have ' where JSON has ", to be read more easily. */
static struct slice
json_of(const char *text)
{
	struct slice copy = copy_of(slice_str(text));

	for (size_t i = 0; i < copy.n; i++)
		if (copy.p[i] == '\'')
			((char *)(uintptr_t)copy.p)[i] = '"';
	return copy;
}

/*
 * What is found in the text, as "name:value" in the order of the table.  Found
 * holds rubbish before: all of it must be overwritten.
 */
static enum jscan_kind
find(const char *text, struct buf *out, struct jscan_fault *fault)
{
	static const char kinds[] = "-{[\"0tfn";
	struct slice json = json_of(text);
	struct jscan_found found[WANTS];
	enum jscan_kind kind;

	buf_clear(out);
	memset(found, 0x55, sizeof(found));
	*fault = (struct jscan_fault){ 0 };
	kind = jscan(json, 64, wants, WANTS, found, fault);
	for (int w = 0; w < WANTS && kind != JSCAN_ABSENT; w++) {
		struct slice t = found[w].text;
		char first = t.n > 0 ? *t.p : '-';

		if (first == '-' || (first >= '0' && first <= '9'))
			first = found[w].kind == JSCAN_NUMBER ? '0' : '-';
		CU_ASSERT_EQUAL(first, kinds[found[w].kind]);
		CU_ASSERT(t.p == NULL ||
		    (t.p > json.p && t.p + t.n < json.p + json.n));
		if (t.p != NULL)
			buf_addf(out, "%s%s:%.*s", out->n > 0 ? " " : "",
			    wants[w].name, (int)t.n, t.p);
	}
	for (size_t i = 0; i < out->n; i++)
		if (out->p[i] == '"')
			out->p[i] = '\'';
	drop(json);
	return kind;
}

static void
wanted_members_are_found_where_they_stand(void)
{
	static const struct {
		const char *why, *text, *found;
	} cases[] = {
		{ "none", "{}", "" },
		{ "depth 1 to 3",
		    "{'id':'x','body':{'n':1,'usage':{'tokens':2}}}",
		    "id:'x' body:{'n':1,'usage':{'tokens':2}} "
		    "usage:{'tokens':2} tokens:2 n:1" },
		{ "without the space around them",
		    "{ 'id' : -1.5e3 , 'body' : { 'n' : null } } ",
		    "id:-1.5e3 body:{ 'n' : null } n:null" },
		{ "every kind, as it is spelled",
		    "{'id':'\\u0041\\n','body':{'model':[ 1 ],'usage':true,"
		    "'n':false}}",
		    "id:'\\u0041\\n' body:{'model':[ 1 ],'usage':true,"
		    "'n':false} model:[ 1 ] usage:true n:false" },
		{ "keys with escapes",
		    "{'b\\u006fdy':{'mod\\u0065l':7,'\\u006E':8}}",
		    "body:{'mod\\u0065l':7,'\\u006E':8} model:7 n:8" },
		{ "keys with escapes that make no text",
		    "{'id\\u0000':1,'id\\ud800':2,'\\ud800':3}", "" },
		{ "a part of a name, more than a name",
		    "{'i':1,'idx':2,'ID':3,'':4}", "" },
		{ "a name one level too high", "{'model':1}", "" },
		{ "names too deep",
		    "{'x':{'id':1},'body':{'id':2,'x':{'n':3},'tokens':4}}",
		    "body:{'id':2,'x':{'n':3},'tokens':4}" },
		{ "names inside arrays",
		    "{'body':[{'model':1}],'x':[{'id':2}]}",
		    "body:[{'model':1}]" },
		{ "the outermost is an array", "[{'id':1}]", "" },
		{ "a name as a value", "{'x':'id','y':['id']}", "" },
		{ "a name after what is not wanted", "{'x':{'y':[{}]},'id':1}",
		    "id:1" },
		{ "names after the object they were wanted in",
		    "{'body':{'n':1},'id':2,'n':3}", "id:2 body:{'n':1} n:1" },
		{ "names that are not wanted there, twice",
		    "{'x':1,'x':2,'n':1,'n':2,'body':{'id':1,'id':2}}",
		    "body:{'id':1,'id':2}" },
	};
	struct buf out = { 0 };
	struct jscan_fault fault;

	for (size_t i = 0; i < NITEMS(cases); i++)
		CHECK(find(cases[i].text, &out, &fault) != JSCAN_ABSENT &&
			strcmp(buf_cstr(&out), cases[i].found) == 0,
		    cases[i].why);
	buf_fini(&out);
}

static void
a_wanted_member_stands_once(void)
{
	static const struct {
		const char *why, *text;
		size_t at;
	} cases[] = {
		{ "scalars", "{'id':1,'id':1}", 8 },
		{ "null first", "{'id':null,'id':1}", 11 },
		{ "an object first", "{'id':{},'id':1}", 9 },
		{ "an array first", "{'id':[],'id':1}", 9 },
		{ "an object second", "{'id':1,'id':{}}", 8 },
		{ "escapes second", "{'id':1,'\\u0069d':1}", 8 },
		{ "escapes first", "{'i\\u0064':1,'id':1}", 13 },
		{ "others between", "{'id':1,'x':[],'id':1}", 15 },
		{ "a parent", "{'body':{'n':1},'body':{'n':2}}", 16 },
		{ "an empty parent", "{'body':{},'body':{}}", 11 },
		{ "inside", "{'body':{'n':1,'n':2}}", 15 },
		{ "deeper", "{'body':{'usage':{'tokens':1,'tokens':1}}}", 29 },
	};
	struct buf out = { 0 };

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct jscan_fault fault;

		CHECK(find(cases[i].text, &out, &fault) == JSCAN_ABSENT &&
			fault.at == cases[i].at &&
			strstr(fault.text, "\" stands twice") != NULL,
		    cases[i].why);
	}
	buf_fini(&out);
}

static void
long_keys_with_escapes_are_compared_whole(void)
{
	static const int lengths[] = { 63, 64, 65, 66, 1000 };

	for (size_t i = 0; i < NITEMS(lengths); i++) {
		char name[1001];
		struct jscan_want want = { name, -1 };
		struct jscan_found found;
		struct jscan_fault fault;
		struct buf b = { 0 };

		memset(name, 'k', sizeof(name));
		name[lengths[i]] = '\0';
		buf_addf(&b, "{\"\\u006b%s\":1}", name + 1);
		CU_ASSERT_EQUAL(
		    jscan(buf_slice(&b), 64, &want, 1, &found, &fault),
		    JSCAN_OBJECT);
		/* No name of ours is longer than 64. */
		CU_ASSERT_EQUAL(found.kind == JSCAN_NUMBER, lengths[i] <= 64);
		buf_fini(&b);
	}
}

/* Documents at random, near enough to sound that most of one is read. */
static uint64_t seed;

static unsigned
below(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed % n);
}

static void
add_string(struct buf *b)
{
	static const char *const pieces[] = { "a", "id", "model", " ", "\\n",
		"\\\"", "\\/", "\\u0041", "\\u00e4", "\\ud83d\\ude00",
		"\\ud83d", "\\u0000", "\xc3\xa4", "\xf0\x9f\x98\x80", "\x7f",
		"\\x", "\xed\xa0\x80", "\xc0\x80", "\t" };
	/* The last of them are seldom sound: seldom used. */
	unsigned n = below(50) == 0 ? NITEMS(pieces) : NITEMS(pieces) - 9;

	buf_addc(b, '"');
	for (unsigned k = below(4); k > 0; k--)
		buf_adds(b, pieces[below(n)]);
	buf_addc(b, '"');
}

static void
add_key(struct buf *b)
{
	static const char *const keys[] = { "\"id\"", "\"body\"", "\"body\"",
		"\"model\"", "\"usage\"", "\"tokens\"", "\"mod\\u0065l\"",
		"\"b\\u006fdy\"", "\"\"" };

	if (below(2) == 0)
		add_string(b);
	else
		buf_adds(b, keys[below(NITEMS(keys))]);
}

static void
add_value(struct buf *b, unsigned kind, int depth)
{
	static const char *const words[] = { "0", "-1", "1.5e3", "true",
		"false", "null", "-0", "0.1000", "1e400",
		"12345678901234567890", "01", "1.", "NaN" };
	static const char *const spaces[] = { "", "", "", " ", "\n\t" };

	buf_adds(b, spaces[below(NITEMS(spaces))]);
	if (kind < 2) {
		buf_adds(b, words[below(below(50) == 0 ? NITEMS(words) : 8)]);
	} else if (kind == 2) {
		add_string(b);
	} else {
		bool object = kind > 3;

		buf_addc(b, object ? '{' : '[');
		for (unsigned k = below(6); k > 0; k--) {
			if (object)
				add_key(b);
			if (object)
				buf_addc(b, ':');
			add_value(b, below(depth > 1 ? 6 : 3), depth - 1);
			if (k > 1)
				buf_addc(b, ',');
		}
		buf_addc(b, object ? '}' : ']');
	}
	buf_adds(b, spaces[below(NITEMS(spaces))]);
}

/*
 * Change a byte, leave one out, put one in, cut the end off.  NUL is not used:
 * jansson takes no notice of one after a number.
 */
static void
spoil(struct buf *b)
{
	static const char odd[] = "{}[]\",:\\0-+.eEu1 \n\xc3\xa4\xff";
	size_t at = below((unsigned)b->n);

	switch (below(4)) {
	case 0:
		b->p[at] = odd[below(sizeof(odd) - 1)];
		break;
	case 1:
		memmove(b->p + at, b->p + at + 1, b->n - at - 1);
		b->n--;
		break;
	case 2:
		buf_addc(b, ' ');
		memmove(b->p + at + 1, b->p + at, b->n - at - 1);
		b->p[at] = odd[below(sizeof(odd) - 1)];
		break;
	default:
		b->n = at;
		break;
	}
}

/* What jansson cannot hold and we do not look at. */
static bool
jansson_is_stricter(const json_error_t *e)
{
	switch (json_error_code(e)) {
	case json_error_numeric_overflow:
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return true;
	default:
		return strstr(e->text, "invalid Unicode") != NULL;
	}
}

static bool
same_values(json_t *root, const struct jscan_found *found)
{
	json_t *at[WANTS];
	bool same = true;

	for (int w = 0; w < WANTS; w++) {
		json_t *parent =
		    wants[w].parent < 0 ? root : at[wants[w].parent];
		json_t *value = NULL;

		at[w] = json_object_get(parent, wants[w].name);
		if (found[w].kind != JSCAN_ABSENT)
			value = json_loadb(found[w].text.p, found[w].text.n,
			    JSON_DECODE_ANY, NULL);
		same &=
		    at[w] == NULL ? value == NULL : json_equal(at[w], value);
		json_decref(value);
	}
	return same;
}

static void
jansson_agrees_about_random_documents(void)
{
	enum { DOCUMENTS = 20000, DEPTH = 4 };
	struct buf b = { 0 };
	int sound = 0, present = 0, twice = 0, stricter = 0, deep = 0;

	seed = 20240607;
	for (int i = 0; i < DOCUMENTS; i++) {
		struct jscan_found found[WANTS];
		struct jscan_fault fault = { 0 };
		unsigned kind;
		struct slice text;
		json_error_t error;
		json_t *root;
		bool ours;

		buf_clear(&b);
		/* Most are objects: the others have nothing to find. */
		kind = below(4) == 0 ? below(6) : 5;
		add_value(&b, kind, below(4) == 0 ? DEPTH + 1 : DEPTH);
		if (below(3) == 0)
			spoil(&b);
		text = copy_of(buf_slice(&b));
		ours = jscan(text, DEPTH, wants, WANTS, found, &fault) !=
		    JSCAN_ABSENT;
		root = json_loadb(text.p, text.n, JSON_DECODE_ANY, &error);
		if (ours && root != NULL) {
			sound++;
			present += found[WANT_MODEL].kind != JSCAN_ABSENT;
			CHECK(same_values(root, found), buf_cstr(&b));
		} else if (ours) {
			stricter++;
			CHECK(jansson_is_stricter(&error), buf_cstr(&b));
		} else if (root != NULL) {
			bool again = strstr(fault.text, "twice") != NULL;

			twice += again;
			deep += !again;
			CHECK(again || strstr(fault.text, "deep") != NULL,
			    buf_cstr(&b));
		}
		json_decref(root);
		drop(text);
	}
	buf_fini(&b);
	/* The generator is worth something. */
	CU_ASSERT(sound > DOCUMENTS / 3 && sound < DOCUMENTS * 2 / 3);
	CU_ASSERT(present > 100 && twice > 100 && stricter > 100 && deep > 100);
	printf("# of %d: %d sound, %d with model, %d twice, %d stricter, "
	       "%d deep\n",
	    DOCUMENTS, sound, present, twice, stricter, deep);
}

UNIT_MAIN("jscan_wants", UNIT(wanted_members_are_found_where_they_stand),
    UNIT(a_wanted_member_stands_once),
    UNIT(long_keys_with_escapes_are_compared_whole),
    UNIT(jansson_agrees_about_random_documents))
