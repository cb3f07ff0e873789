#include "preset.h"

#include <string.h>

#include <sluice/dialect.h>

#include "js.h"
#include "limits.h"

static const char *const settings[] = { "dialect", "charge", "stream_cost",
	"headroom" };

#define NEEDS_ANY "any" /* a limit, whichever */

static bool
known_member(const char *name)
{
	static const char *const others[] = { "name", "about", "limits",
		"needs" };

	for (size_t i = 0; i < NITEMS(settings); i++)
		if (strcmp(settings[i], name) == 0)
			return true;
	for (size_t i = 0; i < NITEMS(others); i++)
		if (strcmp(others[i], name) == 0)
			return true;
	return false;
}

static const char *
text_at(const json_t *list, size_t i)
{
	const char *s = json_string_value(json_array_get(list, i));

	return s != NULL ? s : "";
}

/* A word that may be missing. */
static enum slc_rc
check_word(const json_t *preset, const char *name, const char *first,
    const char *const *words, struct slc_err *err)
{
	const json_t *v = json_object_get(preset, name);
	struct slc_err why;
	enum slc_rc rc = SLC_OK;

	if (v != NULL)
		rc = spec_word(json_is_string(v) ? json_string_value(v) : "",
		    first, words, &why);
	return rc == SLC_OK ? rc : slc_fail(err, rc, "%s: %s", name, why.text);
}

static enum slc_rc
check_settings(json_t *preset, struct slc_err *err)
{
	const json_t *headroom = json_object_get(preset, "headroom");
	const char *name;
	json_t *v;
	enum slc_rc rc;

	json_object_foreach(
	    preset, name, v) if (!known_member(name)) return slc_fail(err,
	    SLC_EINPUT, "no preset has a \"%.40s\"", name);
	if (js_text(preset, "about")[0] == '\0')
		return slc_fail(err, SLC_EINPUT, "an \"about\" is needed");
	if (headroom != NULL &&
	    (!json_is_number(headroom) || json_number_value(headroom) < 0 ||
		json_number_value(headroom) > 0.99))
		return slc_fail(
		    err, SLC_EINPUT, "headroom is not a share from 0 to 0.99");
	rc = check_word(preset, "dialect", "auto", dialect_names, err);
	if (rc == SLC_OK)
		rc = check_word(preset, "charge", NULL, spec_charges, err);
	if (rc == SLC_OK)
		rc = check_word(
		    preset, "stream_cost", NULL, spec_stream_costs, err);
	return rc;
}

/* The texts of limits become what path documents hold; needs are read. */
static enum slc_rc
read_limits(json_t *preset, struct slc_err *err)
{
	const json_t *texts = json_object_get(preset, "limits");
	const json_t *needs = json_object_get(preset, "needs");
	json_t *limits = json_array();
	struct spec_limit l;
	enum slc_rc rc = SLC_OK;

	for (size_t i = 0; rc == SLC_OK && i < json_array_size(texts); i++)
		rc = limits_set(limits, text_at(texts, i), err);
	for (size_t i = 0; rc == SLC_OK && i < json_array_size(needs); i++)
		if (strcmp(text_at(needs, i), NEEDS_ANY) != 0)
			rc = limits_kind(text_at(needs, i), &l, err);
	json_object_set_new(preset, "limits", limits);
	return rc;
}

static enum slc_rc
read_file(const struct embedded *file, json_t *list, struct slc_err *err)
{
	static const char *const of_file[] = { "source", "as_of" };
	json_error_t where;
	json_t *doc = json_loads(file->text, JSON_REJECT_DUPLICATES, &where);
	json_t *presets = json_object_get(doc, "presets"), *preset;
	const char *name = "";
	struct slc_err why;
	enum slc_rc rc = SLC_OK;
	size_t i;

	if (!json_is_array(presets))
		rc = slc_fail(&why, SLC_EINPUT, "line %d: %s", where.line,
		    doc == NULL ? where.text : "no presets");
	json_array_foreach(presets, i, preset)
	{
		name = js_text(preset, "name");
		if (name[0] == '\0' || preset_find(list, name) != NULL)
			rc = slc_fail(
			    &why, SLC_EINPUT, "a name of its own is needed");
		if (rc == SLC_OK)
			rc = check_settings(preset, &why);
		if (rc == SLC_OK)
			rc = read_limits(preset, &why);
		for (size_t k = 0; rc == SLC_OK && k < NITEMS(of_file); k++)
			if (js_text(doc, of_file[k])[0] == '\0')
				rc = slc_fail(&why, SLC_EINPUT,
				    "the file needs \"%s\"", of_file[k]);
			else
				json_object_set(preset, of_file[k],
				    json_object_get(doc, of_file[k]));
		if (rc != SLC_OK)
			break;
		json_array_append(json_object_get(list, "data"), preset);
	}
	if (rc != SLC_OK)
		rc = slc_fail(err, rc, "%s: %s%s%s", file->name, name,
		    name[0] != '\0' ? ": " : "", why.text);
	json_decref(doc);
	return rc;
}

enum slc_rc
preset_all(const struct embedded *files, json_t **out, struct slc_err *err)
{
	json_t *list = json_pack("{s:s, s:[]}", "object", "list", "data");
	enum slc_rc rc = SLC_OK;

	for (; files->name != NULL && rc == SLC_OK; files++)
		rc = read_file(files, list, err);
	if (rc != SLC_OK) {
		json_decref(list);
		return rc;
	}
	*out = list;
	return SLC_OK;
}

const json_t *
preset_find(const json_t *all, const char *name)
{
	const json_t *list = json_object_get(all, "data");

	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(js_text(json_array_get(list, i), "name"), name) == 0)
			return json_array_get(list, i);
	return NULL;
}

/* What the source does not state has to come from the user. */
static enum slc_rc
check_needs(const json_t *preset, const json_t *path, struct slc_err *err)
{
	const json_t *limits = json_object_get(path, "limits");
	const json_t *needs = json_object_get(preset, "needs");
	struct buf missing = { 0 };
	struct spec_limit l;
	enum slc_rc rc = SLC_OK;

	if (js_text(path, "pool")[0] != '\0')
		return SLC_OK;
	for (size_t i = 0; i < json_array_size(needs); i++) {
		const char *need = text_at(needs, i);
		bool any = strcmp(need, NEEDS_ANY) == 0;

		if (any ? json_array_size(limits) > 0
			: limits_kind(need, &l, NULL) == SLC_OK &&
			    limits_find(limits, &l) >= 0)
			continue;
		buf_addf(&missing, "%s%s%s", missing.n > 0 ? " and " : "",
		    any ? "at least one limit" : need, any ? "" : "=N");
	}
	if (missing.n > 0)
		rc = slc_fail(err, SLC_EINPUT,
		    "preset %s needs %s from you (--limit): %s",
		    js_text(preset, "name"), buf_cstr(&missing),
		    js_text(preset, "about"));
	buf_fini(&missing);
	return rc;
}

enum slc_rc
preset_expand(const json_t *preset, json_t *path, struct slc_err *err)
{
	json_t *limits = json_object_get(path, "limits"), *limit;
	enum slc_rc rc = check_needs(preset, path, err);
	size_t i;

	if (rc != SLC_OK)
		return rc;
	for (i = 0; i < NITEMS(settings); i++)
		if (json_object_get(path, settings[i]) == NULL)
			json_object_set(path, settings[i],
			    json_object_get(preset, settings[i]));
	json_array_foreach(json_object_get(preset, "limits"), i, limit)
	{
		struct spec_limit l = {
			.dimension = js_text(limit, "dimension"),
			.window_s = (int32_t)js_int(limit, "window_s"),
			.amount = js_int(limit, "amount"),
		};

		strncpy(l.model, js_text(limit, "model"), SPEC_MODEL_MAX);
		if (limits_find(limits, &l) < 0)
			limits_add(limits, &l);
	}
	return SLC_OK;
}
