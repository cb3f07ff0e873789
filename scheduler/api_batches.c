#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/spec.h>
#include <sluice/utf8.h>

#include "api_json.h"
#include "api_options.h"
#include "jsonl.h"

enum { KEEP_MIN_S = 3600, KEEP_MAX_S = 30 * 86400 };

static bool
check_metadata(struct call *call, json_t *metadata)
{
	const char *key;
	char param[SLC_METADATA_KEY_MAX * 4 + 16];
	json_t *v;

	if (!json_is_object(metadata)) {
		api_error(call, 400, "invalid_type", "metadata",
		    "'metadata' must be an object.");
		return false;
	}
	if (json_object_size(metadata) > SLC_METADATA_MAX) {
		api_error(call, 400, "invalid_value", "metadata",
		    "'metadata' has %zu pairs; %d are allowed.",
		    json_object_size(metadata), SLC_METADATA_MAX);
		return false;
	}
	json_object_foreach(metadata, key, v)
	{
		if (utf8_count(key, strlen(key)) > SLC_METADATA_KEY_MAX) {
			api_error(call, 400, "invalid_value", "metadata",
			    "A key of 'metadata' has more than %d characters.",
			    SLC_METADATA_KEY_MAX);
			return false;
		}
		snprintf(param, sizeof(param), "metadata.%s", key);
		if (!json_is_string(v)) {
			api_error(call, 400, "invalid_type", param,
			    "'%s' must be a string.", param);
			return false;
		}
		if (utf8_count(json_string_value(v), json_string_length(v)) >
		    SLC_METADATA_VALUE_MAX) {
			api_error(call, 400, "invalid_value", param,
			    "'%s' has more than %d characters.", param,
			    SLC_METADATA_VALUE_MAX);
			return false;
		}
	}
	return true;
}

static bool
read_keep(struct call *call, json_t *after, int64_t *keep_s)
{
	const char *anchor;

	if (after == NULL || json_is_null(after))
		return true;
	if (!json_is_object(after)) {
		api_error(call, 400, "invalid_type", "output_expires_after",
		    "'output_expires_after' must be an object.");
		return false;
	}
	anchor = json_string_value(json_object_get(after, "anchor"));
	if (anchor == NULL || strcmp(anchor, "created_at") != 0) {
		api_error(call, 400, "invalid_value",
		    "output_expires_after.anchor",
		    "'output_expires_after.anchor' must be \"created_at\".");
		return false;
	}
	*keep_s = 0;
	if (!api_int(call, after, "seconds", "output_expires_after.seconds",
		KEEP_MIN_S, KEEP_MAX_S, keep_s))
		return false;
	if (*keep_s == 0)
		api_error(call, 400, "missing_required_parameter",
		    "output_expires_after.seconds",
		    "Missing required parameter: "
		    "'output_expires_after.seconds'.");
	return *keep_s != 0;
}

void
api_batches_create(struct call *call)
{
	json_t *doc = api_body(call), *metadata;
	const char *input, *endpoint, *window, *key;
	int64_t window_s, keep_s = KEEP_MAX_S;
	unsigned char hash[SHA256_DIGEST_LENGTH];
	struct buf key_text = { 0 }, options = { 0 };
	struct slc_err err;
	char *dump = NULL, id[33];

	if (doc == NULL)
		return;
	if ((input = api_text(call, doc, "input_file_id")) == NULL ||
	    (endpoint = api_text(call, doc, "endpoint")) == NULL ||
	    (window = api_text(call, doc, "completion_window")) == NULL)
		goto out;
	if (!jsonl_endpoint_ok(slice_str(endpoint))) {
		api_error(call, 400, "invalid_value", "endpoint",
		    "Invalid value: '%.100s'. Supported values are: "
		    "'/v1/chat/completions', '/v1/completions', "
		    "'/v1/embeddings', '/v1/responses' and '/v1/moderations'.",
		    endpoint);
		goto out;
	}
	if (spec_window(slice_str(window), SLC_WINDOW_MIN_S, SLC_WINDOW_MAX_S,
		&window_s, &err) != SLC_OK) {
		api_error(call, 400, "invalid_value", "completion_window",
		    "'completion_window': %s", err.text);
		goto out;
	}
	metadata = json_object_get(doc, "metadata");
	if (json_is_null(metadata))
		metadata = NULL;
	if ((metadata != NULL && !check_metadata(call, metadata)) ||
	    !read_keep(
		call, json_object_get(doc, "output_expires_after"), &keep_s) ||
	    !api_options(call, json_object_get(doc, "sluice"),
		API_OPTIONS_CREATE, &options) ||
	    !api_id(
		call, slice_str(input), "file-", "File", "input_file_id", id) ||
	    !api_idempotency_key(call, &key_text, &key))
		goto out;
	if (metadata != NULL)
		dump = json_dumps(metadata, JSON_COMPACT);
	SHA256((const unsigned char *)call->body.p, call->body.n, hash);
	api_query(call, STMT_BATCH_CREATE, call->account, call->key, id,
	    endpoint, window, window_s, dump, keep_s, key,
	    (struct slice){ (const char *)hash, sizeof(hash) },
	    buf_cstr(&options));
out:
	free(dump);
	buf_fini(&key_text);
	buf_fini(&options);
	json_decref(doc);
}

void
api_batches_list(struct call *call)
{
	int64_t limit;
	char after[33];
	bool has_after;

	if (api_page(call, 20, SLC_PAGE_BATCHES_MAX, "batch_", "Batch", &limit,
		after, &has_after))
		api_query(call, STMT_BATCH_LIST, call->account,
		    has_after ? after : NULL, limit);
}

void
api_batches_get(struct call *call)
{
	char id[33];

	if (api_id(call, call->id, "batch_", "Batch", "batch_id", id))
		api_query(call, STMT_BATCH_GET, call->account, id);
}

void
api_batches_edit(struct call *call)
{
	json_t *doc = api_body(call);
	struct buf options = { 0 };
	char id[33];

	if (doc == NULL)
		return;
	if (api_id(call, call->id, "batch_", "Batch", "batch_id", id) &&
	    api_options(call, json_object_get(doc, "sluice"), API_OPTIONS_EDIT,
		&options))
		api_query(call, STMT_BATCH_EDIT, call->account, id,
		    buf_cstr(&options));
	buf_fini(&options);
	json_decref(doc);
}

void
api_batches_cancel(struct call *call)
{
	char id[33];

	if (api_id(call, call->id, "batch_", "Batch", "batch_id", id))
		api_query(call, STMT_BATCH_CANCEL, call->account, id);
}
