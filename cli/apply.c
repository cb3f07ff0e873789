#include <string.h>

#include <sluice/conf.h>

#include "js.h"
#include "upstream_doc.h"

/* The file so far. */
struct reading {
	json_t *whole; /* {pools, paths} */
	json_t *doc;   /* the section's, borrowed */
	enum doc_kind kind;
};

static bool
begin_section(struct reading *r, const char *section, struct slc_err *err)
{
	static const struct {
		const char *prefix, *list;
		enum doc_kind kind;
	} kinds[] = {
		{ "pool ", "pools", DOC_POOL },
		{ "path ", "paths", DOC_PATH },
	};
	json_t *list, *other;
	size_t i = 0, k;

	while (i < NITEMS(kinds) &&
	    strncmp(section, kinds[i].prefix, strlen(kinds[i].prefix)) != 0)
		i++;
	if (i < NITEMS(kinds))
		section += strlen(kinds[i].prefix);
	section += strspn(section, " \t");
	if (i == NITEMS(kinds) || *section == '\0') {
		slc_fail(err, SLC_EINPUT,
		    "sections are [pool NAME] and [path NAME], not [%.60s]",
		    section);
		return false;
	}
	list = json_object_get(r->whole, kinds[i].list);
	json_array_foreach(
	    list, k, other) if (strcmp(js_text(other, "name"), section) == 0)
	{
		slc_fail(err, SLC_EINPUT, "%s%s stands twice", kinds[i].prefix,
		    section);
		return false;
	}
	r->doc = doc_new(section);
	r->kind = kinds[i].kind;
	json_array_append_new(list, r->doc);
	return true;
}

static bool
apply_on_pair(void *arg, int line, const char *section, const char *name,
    const char *value, struct slc_err *err)
{
	struct reading *r = arg;

	(void)line;
	if (name == NULL)
		return begin_section(r, section, err);
	if (r->doc == NULL) {
		slc_fail(err, SLC_EINPUT,
		    "%.60s stands before any [pool NAME] or [path NAME]", name);
		return false;
	}
	if (!doc_knows(r->kind, name)) {
		slc_fail(err, SLC_EINPUT, "a %s has no setting %.60s",
		    r->kind == DOC_PATH ? "path" : "pool", name);
		return false;
	}
	return doc_set(r->kind, r->doc, name, value, err) == SLC_OK;
}

enum cli_exit
cmd_apply(struct cli *cli)
{
	struct reading r = { .whole =
				 json_pack("{s:[], s:[]}", "pools", "paths") };
	const char *path = cli_get(cli, "file");
	struct slc_err err, why;
	json_t *doc;
	enum slc_rc rc;
	size_t i;

	if (path == NULL) {
		json_decref(r.whole);
		return cli_usage(cli, "--file is needed");
	}
	rc = conf_file(path, apply_on_pair, &r, &err);
	json_array_foreach(json_object_get(r.whole, "pools"), i,
	    doc) if (rc == SLC_OK) rc = doc_finish(DOC_POOL, doc, &err);
	json_array_foreach(json_object_get(r.whole, "paths"), i,
	    doc) if (rc == SLC_OK && doc_finish(DOC_PATH, doc, &why) != SLC_OK)
	    rc = slc_fail(&err, SLC_EINPUT, "%s: %s", path, why.text);
	if (rc == SLC_OK)
		return doc_apply(cli, r.whole);
	json_decref(r.whole);
	return cli_fail(cli, &err);
}
