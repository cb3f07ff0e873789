#include <stdlib.h>
#include <string.h>

#include <sluice/key.h>

#include "api_json.h"

static const char *const scopes_known[] = { "batch", "live", "read", "admin" };

void
api_accounts_list(struct call *call)
{
	api_query(call, STMT_ACCOUNT_LIST);
}

void
api_keys_list(struct call *call)
{
	api_query(call, STMT_KEY_LIST);
}

void
api_accounts_create(struct call *call)
{
	json_t *doc = api_body(call);
	const char *name;

	if (doc == NULL)
		return;
	if ((name = api_text(call, doc, "name")) != NULL &&
	    api_name(call, name, "name"))
		api_query(call, STMT_ACCOUNT_CREATE, name);
	json_decref(doc);
}

struct new_key {
	struct call *call;
	struct key key;
};

static void
api_on_key_created(struct db_result *res, void *arg)
{
	struct new_key *made = arg;
	struct call *call = made->call;
	struct slice object;
	struct buf out = { 0 };

	if (db_rc(res) != SLC_OK) {
		api_db_error(call, res);
	} else {
		/* The only time the key is shown: {"key": ..., <its object> */
		object = db_slice(res, 0, 0, 0);
		buf_adds(&out, "{\"key\":");
		buf_add_json(&out, slice_str(made->key.text));
		buf_addc(&out, ',');
		buf_add(&out, object.p + 1, object.n - 1);
		api_json(call, 200, buf_slice(&out));
		explicit_bzero(out.p, out.cap);
	}
	buf_fini(&out);
	key_wipe(&made->key);
	free(made);
	call_drop(call);
}

static bool
read_scopes(
    struct call *call, const json_t *list, struct slice *scopes, size_t *n)
{
	json_t *v;
	size_t i;

	*n = 0;
	if (list == NULL || json_is_null(list)) {
		scopes[(*n)++] = slice_str("batch");
		scopes[(*n)++] = slice_str("read");
		return true;
	}
	json_array_foreach(list, i, v)
	{
		const char *s = json_string_value(v);
		bool known = false;

		for (size_t k = 0; s != NULL && k < NITEMS(scopes_known); k++)
			known |= strcmp(s, scopes_known[k]) == 0;
		if (!known || *n == NITEMS(scopes_known))
			goto wrong;
		scopes[(*n)++] = slice_str(s);
	}
	if (*n > 0)
		return true;
wrong:
	api_error(call, 400, "invalid_value", "scopes",
	    "'scopes' must be a list of some of batch, live, read, admin.");
	return false;
}

void
api_keys_create(struct call *call)
{
	json_t *doc = api_body(call);
	const char *account, *name = "key";
	struct slice scopes[NITEMS(scopes_known)];
	struct new_key *made;
	size_t n;

	if (doc == NULL)
		return;
	if ((account = api_text(call, doc, "account")) == NULL)
		goto out;
	if (json_object_get(doc, "name") != NULL &&
	    ((name = api_text(call, doc, "name")) == NULL ||
		!api_name(call, name, "name")))
		goto out;
	if (!read_scopes(call, json_object_get(doc, "scopes"), scopes, &n))
		goto out;
	made = xcalloc(1, sizeof(*made));
	made->call = call;
	key_new(&made->key);
	call->refs++;
	db_run(call->api->db, api_on_key_created, made, STMT_KEY_CREATE,
	    account, name,
	    (struct slice){ (const char *)made->key.hash, KEY_HASH },
	    made->key.hint, scopes, n);
out:
	json_decref(doc);
}

void
api_keys_revoke(struct call *call)
{
	int64_t id;

	if (call->id.n < 5 || memcmp(call->id.p, "key_", 4) != 0 ||
	    !slice_int((struct slice){ call->id.p + 4, call->id.n - 4 },
		INT64_MAX, &id)) {
		api_error(call, 404, NULL, "key_id", "No such key: %.*s",
		    call->id.n > 100 ? 100 : (int)call->id.n, call->id.p);
		return;
	}
	api_query(call, STMT_KEY_REVOKE, id);
}
