#include "upstream_doc.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sluice/dialect.h>
#include <sluice/spec.h>

#include "client.h"
#include "js.h"
#include "limits.h"
#include "out.h"
#include "preset.h"
#include "prices.h"
#include "view.h"

enum set_kind {
	SET_TEXT,
	SET_URL,
	SET_FILE,
	SET_WORDS,
	SET_YES,
	SET_COUNT,
	SET_SPAN_MS,
	SET_BYTES,
	SET_DIALECT,
	SET_CHARGE,
	SET_KIND,
	SET_SUFFIX,
};

/* The settings of a path, as options and in files, and their JSON members. */
static const struct setting {
	const char *name, *member;
	enum set_kind kind;
	int64_t min, max; /* of SET_SPAN_MS in seconds */
} settings[] = {
	{ "preset", "preset", SET_TEXT, 0, 0 },
	{ "pool", "pool", SET_TEXT, 0, 0 },
	{ "url", "url", SET_URL, 0, 0 },
	{ "secret-file", "secret_file", SET_FILE, 0, 0 },
	{ "ca-file", "ca_file", SET_FILE, 0, 0 },
	{ "models", "models", SET_WORDS, 0, 0 },
	{ "kind", "kind", SET_KIND, 0, 0 },
	{ "suffix", "suffix", SET_SUFFIX, 0, 0 },
	{ "dialect", "dialect", SET_DIALECT, 0, 0 },
	{ "charge", "charge", SET_CHARGE, 0, 0 },
	{ "http2", "http2", SET_YES, 0, 0 },
	{ "attempts", "attempts", SET_COUNT, 1, 20 },
	{ "connect-timeout", "connect_ms", SET_SPAN_MS, 1, 120 },
	{ "idle-timeout", "idle_ms", SET_SPAN_MS, 1, 3600 },
	{ "timeout", "whole_ms", SET_SPAN_MS, 1, 7200 },
	{ "answer-max", "answer_max", SET_BYTES, 1 << 10, 256 << 20 },
	{ "poll", "poll_ms", SET_SPAN_MS, 1, 3600 },
	{ "linger", "linger_ms", SET_SPAN_MS, 0, 3600 },
	{ "combine", "combine", SET_COUNT, 1, SLC_COMBINE_MAX },
};

static const struct setting *
find_setting(const char *name)
{
	for (size_t i = 0; i < NITEMS(settings); i++)
		if (strcmp(settings[i].name, name) == 0)
			return &settings[i];
	return NULL;
}

bool
doc_knows(enum doc_kind kind, const char *name)
{
	static const char *const both[] = { "limit", "headroom", "reserve",
		"stream-cost" };

	for (size_t i = 0; i < NITEMS(both); i++)
		if (strcmp(both[i], name) == 0)
			return true;
	return kind == DOC_PATH &&
	    (find_setting(name) != NULL || strcmp(name, "price") == 0);
}

json_t *
doc_new(const char *name)
{
	return json_pack("{s:s, s:[]}", "name", name, "limits");
}

json_t *
doc_of(enum doc_kind kind, const json_t *shown)
{
	static const char *const of_limit[] = { "model", "dimension",
		"window_s", "amount", "headroom", "reserve", "stream_cost" };
	json_t *doc = doc_new(js_text(shown, "name"));
	const json_t *limit;
	size_t i;

	for (i = 0; kind == DOC_PATH && i < NITEMS(settings); i++)
		json_object_set(doc, settings[i].member,
		    json_object_get(shown, settings[i].member));
	if (kind == DOC_PATH)
		json_object_set_new(
		    doc, "prices", prices_of(json_object_get(shown, "prices")));
	json_array_foreach(json_object_get(shown, "limits"), i, limit)
	{
		json_t *copy = json_object();

		for (size_t k = 0; k < NITEMS(of_limit); k++)
			json_object_set(copy, of_limit[k],
			    json_object_get(limit, of_limit[k]));
		json_array_append_new(json_object_get(doc, "limits"), copy);
	}
	return doc;
}

/* A relative name means something here only: the worker needs the whole. */
static enum slc_rc
set_file(
    json_t *doc, const char *member, const char *value, struct slc_err *err)
{
	char path[PATH_MAX];

	if (realpath(value, path) != NULL)
		value = path;
	else if (value[0] != '/')
		return slc_fail(
		    err, SLC_EINPUT, "%s: %s", value, strerror(errno));
	/* Else it may be on the worker's machine. */
	json_object_set_new(doc, member, json_string(value));
	return SLC_OK;
}

static void
set_words(json_t *doc, const char *member, const char *value)
{
	json_t *words = json_array();

	while (*value != '\0') {
		size_t n;

		value += strspn(value, ", \t");
		n = strcspn(value, ", \t");
		if (n > 0)
			json_array_append_new(words, json_stringn(value, n));
		value += n;
	}
	json_object_set_new(doc, member, words);
}

static enum slc_rc
set_yes(json_t *doc, const char *member, const char *value, struct slc_err *err)
{
	static const char *const words[] = { "no", "yes", "off", "on", "false",
		"true", "0", "1" };

	for (size_t i = 0; i < NITEMS(words); i++)
		if (strcmp(words[i], value) == 0) {
			json_object_set_new(doc, member, json_boolean(i % 2));
			return SLC_OK;
		}
	return slc_fail(err, SLC_EINPUT, "\"%.40s\" is not yes or no", value);
}

static enum slc_rc
set_setting(json_t *doc, const struct setting *s, const char *value,
    struct slc_err *err)
{
	struct slice text = slice_str(value);
	enum slc_rc rc = SLC_OK;
	int64_t n = 0;

	switch (s->kind) {
	case SET_URL:
		if (strncmp(value, "http://", 7) != 0 &&
		    strncmp(value, "https://", 8) != 0)
			return slc_fail(err, SLC_EINPUT,
			    "\"%.80s\" does not begin with http:// or https://",
			    value);
		/* fall through */
	case SET_TEXT:
		json_object_set_new(doc, s->member, json_string(value));
		return SLC_OK;
	case SET_FILE:
		return set_file(doc, s->member, value, err);
	case SET_DIALECT:
	case SET_CHARGE:
	case SET_KIND:
	case SET_SUFFIX:
		rc = s->kind == SET_CHARGE
		    ? spec_word(value, NULL, spec_charges, err)
		    : s->kind == SET_KIND
		    ? spec_word(value, NULL, spec_kinds, err)
		    : s->kind == SET_SUFFIX
		    ? spec_suffix(value, err)
		    : spec_word(value, "auto", dialect_names, err);
		if (rc == SLC_OK)
			json_object_set_new(doc, s->member, json_string(value));
		return rc;
	case SET_WORDS:
		set_words(doc, s->member, value);
		return SLC_OK;
	case SET_YES:
		return set_yes(doc, s->member, value, err);
	case SET_COUNT:
		if (!slice_int(text, s->max, &n) || n < s->min)
			rc = slc_fail(err, SLC_EINPUT,
			    "\"%.40s\" is not a number from %" PRId64
			    " to %" PRId64,
			    value, s->min, s->max);
		break;
	case SET_SPAN_MS:
		rc = spec_window(text, s->min, s->max, &n, err);
		n *= 1000;
		break;
	case SET_BYTES:
		rc = spec_bytes(text, s->max, &n, err);
		if (rc == SLC_OK && n < s->min)
			rc = slc_fail(err, SLC_EINPUT,
			    "\"%.40s\" is below %" PRId64 " bytes", value,
			    s->min);
		break;
	}
	if (rc == SLC_OK)
		json_object_set_new(doc, s->member, json_integer(n));
	return rc;
}

static enum slc_rc
set_share(json_t *doc, const char *name, const char *value, struct slc_err *err)
{
	char *end;
	double share = strtod(value, &end);

	if (end == value || *end != '\0' || !(share >= 0 && share <= 0.99))
		return slc_fail(err, SLC_EINPUT,
		    "\"%.40s\" is not a share from 0 to 0.99", value);
	json_object_set_new(doc, name, json_real(share));
	return SLC_OK;
}

static enum slc_rc
set_stream_cost(json_t *doc, const char *value, struct slc_err *err)
{
	enum slc_rc rc = spec_word(value, NULL, spec_stream_costs, err);

	if (rc == SLC_OK)
		json_object_set_new(doc, "stream_cost", json_string(value));
	return rc;
}

enum slc_rc
doc_set(enum doc_kind kind, json_t *doc, const char *name, const char *value,
    struct slc_err *err)
{
	const struct setting *s = kind == DOC_PATH ? find_setting(name) : NULL;
	struct slc_err why;
	enum slc_rc rc;

	if (s != NULL && value[0] == '\0' && s->kind != SET_YES) {
		json_object_del(doc, s->member);
		return SLC_OK;
	}
	if (s != NULL)
		rc = set_setting(doc, s, value[0] ? value : "yes", &why);
	else if (strcmp(name, "limit") == 0)
		rc = limits_set(json_object_get(doc, "limits"), value, &why);
	else if (strcmp(name, "no-limit") == 0)
		rc = limits_unset(json_object_get(doc, "limits"), value, &why);
	else if (strcmp(name, "price") == 0)
		rc = prices_set(doc, value, &why);
	else if (strcmp(name, "no-price") == 0)
		rc = prices_unset(doc, value, &why);
	else if (strcmp(name, "stream-cost") == 0)
		rc = set_stream_cost(doc, value, &why);
	else
		rc = set_share(doc, name, value, &why);
	return rc == SLC_OK ? rc : slc_fail(err, rc, "%s: %s", name, why.text);
}

static enum slc_rc
expand_preset(json_t *doc, struct slc_err *err)
{
	const char *name = js_text(doc, "preset");
	const json_t *preset;
	json_t *all = NULL;
	enum slc_rc rc = SLC_OK;

	if (name[0] != '\0')
		rc = preset_all(preset_files, &all, err);
	if (all != NULL) {
		preset = preset_find(all, name);
		rc = preset != NULL
		    ? preset_expand(preset, doc, err)
		    : slc_fail(err, SLC_EINPUT,
			  "there is no preset %.80s: see sluice preset list",
			  name);
	}
	json_object_del(doc, "preset");
	json_decref(all);
	return rc;
}

enum slc_rc
doc_finish(enum doc_kind kind, json_t *doc, struct slc_err *err)
{
	static const struct {
		const char *member, *dimension;
	} of_all[] = {
		{ "headroom", NULL },
		{ "reserve", NULL },
		{ "stream_cost", "requests" },
	};
	enum slc_rc rc = expand_preset(doc, err);

	if (rc != SLC_OK)
		return rc;
	for (size_t i = 0; i < NITEMS(of_all); i++) {
		json_t *value = json_object_get(doc, of_all[i].member);

		if (value != NULL)
			limits_each(json_object_get(doc, "limits"),
			    of_all[i].dimension, of_all[i].member, value);
		json_object_del(doc, of_all[i].member);
	}
	if (kind == DOC_PATH &&
	    (js_text(doc, "url")[0] == '\0' ||
		json_array_size(json_object_get(doc, "models")) == 0))
		return slc_fail(err, SLC_EINPUT,
		    "path %.100s needs a url and models", js_text(doc, "name"));
	return SLC_OK;
}

static void
print_changes(const struct cli *cli, const json_t *doc)
{
	struct buf line = { 0 };
	const json_t *change;
	size_t i;

	json_array_foreach(json_object_get(doc, "changes"), i, change)
	{
		buf_clear(&line);
		out_clean(&line, slice_str(json_string_value(change)));
		puts(buf_cstr(&line));
	}
	if (i == 0)
		cli_note(cli, "nothing to change");
	json_array_foreach(json_object_get(doc, "warnings"), i, change)
	    cli_note(cli, "warning: %s", json_string_value(change));
	buf_fini(&line);
}

enum cli_exit
doc_apply(struct cli *cli, json_t *whole)
{
	struct client c = { 0 };
	struct slc_err err;
	json_t *doc = NULL;
	struct buf path = { 0 };
	enum slc_rc rc = client_open(&c, cli, &err);

	buf_addf(&path, "/admin/v1/apply?dry_run=%d&prune=%d",
	    cli_get(cli, "dry-run") != NULL, cli_get(cli, "prune") != NULL);
	if (rc == SLC_OK)
		rc =
		    client_call(&c, "POST", buf_cstr(&path), whole, &doc, &err);
	if (rc == SLC_OK && !out_json(cli, buf_slice(&c.body)))
		print_changes(cli, doc);
	json_decref(whole);
	json_decref(doc);
	buf_fini(&path);
	client_close(&c);
	return rc == SLC_OK ? CLI_OK : cli_fail(cli, &err);
}
