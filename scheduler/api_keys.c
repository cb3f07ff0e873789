/* Routes of keys. */
#include <stdlib.h>
#include <string.h>

#include <sluice/key.h>

#include "api_callers.h"

enum { SCOPES_MAX = 8 };

struct new_key {
	struct call *call;
	struct key key;
};

void
api_keys_list(struct call *call)
{
	api_query(call, STMT_KEY_LIST);
}

void
api_keys_get(struct call *call)
{
	struct buf id = { 0 };

	if (api_segment(call, "key", "key_id", &id))
		api_query(call, STMT_KEY_GET, buf_cstr(&id));
	buf_fini(&id);
}

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

/* Checked already; without any: batch and read. */
static size_t
read_scopes(const json_t *list, struct slice scopes[SCOPES_MAX])
{
	size_t n = 0, i;
	json_t *v;

	json_array_foreach(list, i, v)
	{
		if (n < SCOPES_MAX)
			scopes[n++] = slice_str(json_string_value(v));
	}
	if (n == 0) {
		scopes[n++] = SLICE("batch");
		scopes[n++] = SLICE("read");
	}
	return n;
}

void
api_keys_create(struct call *call)
{
	json_t *doc = api_body(call);
	const char *account, *name;
	struct slice scopes[SCOPES_MAX];
	struct new_key *made;
	size_t n;

	if (doc == NULL)
		return;
	if ((account = api_text(call, doc, "account")) == NULL ||
	    !api_key_ok(call, doc, "key"))
		goto out;
	name = json_string_value(json_object_get(doc, "name"));
	n = read_scopes(json_object_get(doc, "scopes"), scopes);
	made = xcalloc(1, sizeof(*made));
	made->call = call;
	key_new(&made->key);
	call->refs++;
	db_run(call->api->db, api_on_key_created, made, STMT_KEY_CREATE,
	    account, name != NULL ? name : "key",
	    (struct slice){ (const char *)made->key.hash, KEY_HASH },
	    made->key.hint, scopes, n, buf_cstr(&call->body));
out:
	json_decref(doc);
}

void
api_keys_edit(struct call *call)
{
	struct buf id = { 0 };
	json_t *doc = NULL;

	if (api_segment(call, "key", "key_id", &id))
		doc = api_body(call);
	if (doc != NULL) {
		if (json_object_get(doc, "account") != NULL)
			api_wrong(call, buf_cstr(&id), "", "account",
			    "invalid_value",
			    "cannot be changed; make a key for the other one");
		else if (api_key_ok(call, doc, "key"))
			api_query(call, STMT_KEY_EDIT, buf_cstr(&id),
			    buf_cstr(&call->body));
	}
	json_decref(doc);
	buf_fini(&id);
}

void
api_keys_revoke(struct call *call)
{
	struct buf id = { 0 };

	if (api_segment(call, "key", "key_id", &id))
		api_query(call, STMT_KEY_REVOKE, buf_cstr(&id),
		    (int)api_flag(call, "cancel_batches"));
	buf_fini(&id);
}
