#include <string.h>

#include <sluice/conf.h>

#include "caller_doc.h"
#include "js.h"
#include "upstream_doc.h"

/* A kind of section, and where its documents go. */
static const struct section_kind {
	const char *prefix, *list;
	bool is_caller;
	enum doc_kind kind;
	enum caller_kind caller;
} kinds[] = {
	{ "pool ", "pools", false, DOC_POOL, 0 },
	{ "path ", "paths", false, DOC_PATH, 0 },
	{ "plan ", "plans", true, 0, CALLER_PLAN },
	{ "account ", "accounts", true, 0, CALLER_ACCOUNT },
	{ "limit ", "named_limits", true, 0, CALLER_LIMIT },
};

static const struct section_kind everybody = { "everybody ", "everybody", true,
	0, CALLER_EVERYBODY };

#define SECTIONS                                                         \
	"[pool NAME], [path NAME], [plan NAME], [account NAME], [limit " \
	"NAME] and [everybody]"

/* The file so far. */
struct reading {
	json_t *whole; /* {pools, paths, plans, ...} */
	json_t *doc;   /* the section's, borrowed */
	const struct section_kind *kind;
};

static bool
begin_everybody(struct reading *r, struct slc_err *err)
{
	if (json_object_get(r->whole, "everybody") != NULL) {
		slc_fail(err, SLC_EINPUT, "everybody stands twice");
		return false;
	}
	r->doc = json_object();
	r->kind = &everybody;
	json_object_set_new(r->whole, "everybody", r->doc);
	return true;
}

static bool
begin_section(struct reading *r, const char *section, struct slc_err *err)
{
	json_t *list, *other;
	size_t i = 0, k;

	if (strcmp(section, "everybody") == 0)
		return begin_everybody(r, err);
	while (i < NITEMS(kinds) &&
	    strncmp(section, kinds[i].prefix, strlen(kinds[i].prefix)) != 0)
		i++;
	if (i < NITEMS(kinds))
		section += strlen(kinds[i].prefix);
	section += strspn(section, " \t");
	if (i == NITEMS(kinds) || *section == '\0') {
		slc_fail(err, SLC_EINPUT,
		    "sections are " SECTIONS ", not [%.60s]", section);
		return false;
	}
	list = json_object_get(r->whole, kinds[i].list);
	if (list == NULL) {
		list = json_array();
		json_object_set_new(r->whole, kinds[i].list, list);
	}
	json_array_foreach(
	    list, k, other) if (strcmp(js_text(other, "name"), section) == 0)
	{
		slc_fail(err, SLC_EINPUT, "%s%s stands twice", kinds[i].prefix,
		    section);
		return false;
	}
	r->kind = &kinds[i];
	r->doc = r->kind->is_caller ? json_pack("{s:s}", "name", section)
				    : doc_new(section);
	json_array_append_new(list, r->doc);
	return true;
}

/* Removals are an edit's, and a file says what there is. */
static bool
knows(const struct section_kind *kind, const char *name)
{
	return strncmp(name, "no-", 3) != 0 &&
	    (kind->is_caller ? caller_knows(kind->caller, name)
			     : doc_knows(kind->kind, name));
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
		    "%.60s stands before any of " SECTIONS, name);
		return false;
	}
	if (!knows(r->kind, name)) {
		slc_fail(err, SLC_EINPUT, "%shas no setting %.60s",
		    r->kind->prefix, name);
		return false;
	}
	return (r->kind->is_caller
		       ? caller_set(r->kind->caller, r->doc, name, value, err)
		       : doc_set(r->kind->kind, r->doc, name, value, err)) ==
	    SLC_OK;
}

/* All documents of one kind are whole. */
static enum slc_rc
finish(json_t *whole, const struct section_kind *kind, struct slc_err *err)
{
	enum slc_rc rc = SLC_OK;
	json_t *doc;
	size_t i;

	json_array_foreach(json_object_get(whole, kind->list), i, doc) if (rc ==
	    SLC_OK) rc = kind->is_caller ? caller_finish(kind->caller, doc, err)
					 : doc_finish(kind->kind, doc, err);
	return rc;
}

enum cli_exit
cmd_apply(struct cli *cli)
{
	struct reading r = { .whole =
				 json_pack("{s:[], s:[]}", "pools", "paths") };
	const char *path = cli_get(cli, "file");
	struct slc_err err, why;
	enum slc_rc rc;

	if (path == NULL) {
		json_decref(r.whole);
		return cli_usage(cli, "--file is needed");
	}
	rc = conf_file(path, apply_on_pair, &r, &err);
	for (size_t i = 0; rc == SLC_OK && i < NITEMS(kinds); i++)
		if (finish(r.whole, &kinds[i], &why) != SLC_OK)
			rc = slc_fail(
			    &err, SLC_EINPUT, "%s: %s", path, why.text);
	if (rc == SLC_OK)
		return doc_apply(cli, r.whole);
	json_decref(r.whole);
	return cli_fail(cli, &err);
}
