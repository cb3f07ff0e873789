#include "api_callers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool
api_wrong(struct call *call, const char *where, const char *prefix,
    const char *name, const char *code, const char *should)
{
	char param[128];

	snprintf(param, sizeof(param), "%s%s", prefix, name);
	api_error(call, 400, code, param, "%s: '%s' %s.", where, param, should);
	return false;
}

static bool
is_word(const json_t *v, const char *const *words)
{
	const char *text = json_string_value(v);

	while (text != NULL && *words != NULL && strcmp(*words, text) != 0)
		words++;
	return text != NULL && *words != NULL;
}

static bool
is_text(const json_t *v, int64_t max)
{
	return json_is_string(v) && json_string_length(v) >= 1 &&
	    (int64_t)json_string_length(v) <= max;
}

static void
list_words(const char *const *words, struct buf *to)
{
	for (size_t i = 0; words[i] != NULL; i++)
		buf_addf(to, "%s%s",
		    i == 0                     ? ""
			: words[i + 1] == NULL ? " or "
					       : ", ",
		    words[i]);
}

void
api_complain(const json_t *v, const struct api_member *m, struct buf *should)
{
	bool ok = false;
	const json_t *item;
	size_t i;

	switch (m->kind) {
	case MEMBER_TEXT:
		if (!is_text(v, m->max))
			buf_addf(should,
			    "must be a string of 1 to %" PRId64 " bytes",
			    m->max);
		break;
	case MEMBER_WORD:
		if (!is_word(v, m->words)) {
			buf_adds(should, "must be ");
			list_words(m->words, should);
		}
		break;
	case MEMBER_WORDS:
		ok = json_array_size(v) > 0 &&
		    (int64_t)json_array_size(v) <= m->max;
		json_array_foreach(v, i, item) ok &= is_word(item, m->words);
		if (!ok) {
			buf_adds(should, "must be a list of some of ");
			list_words(m->words, should);
		}
		break;
	case MEMBER_INT:
		if (!json_is_integer(v) || json_integer_value(v) < m->min ||
		    json_integer_value(v) > m->max)
			buf_addf(should,
			    "must be an integer from %" PRId64 " to %" PRId64,
			    m->min, m->max);
		break;
	case MEMBER_YES:
		if (!json_is_boolean(v))
			buf_adds(should, "must be true or false");
		break;
	case MEMBER_LIST:
		if (!json_is_array(v))
			buf_adds(should, "must be a list");
		break;
	case MEMBER_TEXTS:
		ok = json_is_array(v) && json_array_size(v) <= SLC_ATTACH_MAX;
		json_array_foreach(v, i, item) ok = ok && is_text(item, m->max);
		if (!ok)
			buf_addf(should,
			    "must be a list of at most %d strings of 1 to "
			    "%" PRId64 " bytes",
			    SLC_ATTACH_MAX, m->max);
		break;
	}
	if (should->n > 0 && m->null)
		buf_adds(should, ", or null");
}

bool
api_members_ok(struct call *call, const json_t *doc, const char *prefix,
    const char *where, const struct api_member *members)
{
	struct buf should = { 0 };
	const char *name;
	json_t *v;
	bool ok = true;

	if (!json_is_object(doc)) {
		api_error(call, 400, "invalid_type",
		    prefix[0] != '\0' ? "limits" : NULL,
		    "%s: must be a JSON object.", where);
		return false;
	}
	json_object_foreach((json_t *)doc, name, v)
	{
		const struct api_member *m = members;

		while (m->name != NULL && strcmp(m->name, name) != 0)
			m++;
		if (m->name == NULL) {
			char said[64];

			snprintf(said, sizeof(said), "%.60s", name);
			return api_wrong(call, where, prefix, said,
			    "unknown_parameter",
			    "is not known; is it misspelt?");
		}
		if (json_is_null(v) && m->null)
			continue;
		buf_clear(&should);
		api_complain(v, m, &should);
		if (should.n > 0) {
			ok = api_wrong(call, where, prefix, name,
			    "invalid_value", buf_cstr(&should));
			break;
		}
	}
	buf_fini(&should);
	return ok;
}
