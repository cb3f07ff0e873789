#include "provider_line.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char *
get_text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s == NULL ? "" : s;
}

/* An id that fits into a URL as it is; else "". */
static void
copy_id(char to[PROVIDER_ID_MAX + 1], const char *from)
{
	size_t n = strspn(from,
	    "-_.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789");

	if (n > PROVIDER_ID_MAX || from[n] != '\0')
		n = 0;
	memcpy(to, from, n);
	to[n] = '\0';
}

static bool
mentions(const char *text, const char *word)
{
	return strcasestr(text, word) != NULL;
}

/* By its code; words of the message count where codes are too general. */
static enum provider_fault
fault_of(const char *code, const char *message)
{
	if (mentions(code, "token_limit") || mentions(code, "enqueued") ||
	    mentions(code, "too_many_tasks") || mentions(code, "batch_limit") ||
	    mentions(message, "enqueued"))
		return PROVIDER_OVER;
	if (mentions(code, "billing") || mentions(code, "insufficient_quota") ||
	    mentions(code, "insufficient_credit"))
		return PROVIDER_MONEY;
	return PROVIDER_OTHER;
}

static enum provider_status
status_of(const char *s)
{
	return strcmp(s, "completed") == 0 ? PROVIDER_COMPLETED
	    : strcmp(s, "failed") == 0     ? PROVIDER_FAILED
	    : strcmp(s, "expired") == 0    ? PROVIDER_EXPIRED
	    : strcmp(s, "cancelled") == 0  ? PROVIDER_CANCELLED
					   : PROVIDER_UNDER_WAY;
}

/* A code of ours: what others send is not to end up in files as it is. */
static void
add_code(struct buf *out, const char *code)
{
	size_t n = strspn(code, "_abcdefghijklmnopqrstuvwxyz0123456789");

	buf_adds(out, ",\"code\":");
	buf_add_json(out,
	    code[n] == '\0' && n > 0 && n <= 64 ? slice_str(code)
						: SLICE("invalid_request"));
}

static void
read_faults(const json_t *batch, struct provider_batch *out)
{
	const json_t *list =
	    json_object_get(json_object_get(batch, "errors"), "data");
	size_t i, n = 0;
	json_t *v;

	out->fault = PROVIDER_OTHER;
	json_array_foreach(list, i, v)
	{
		const json_t *line = json_object_get(v, "line");
		const char *code = get_text(v, "code");
		const char *message = get_text(v, "message");

		if (i == 0)
			snprintf(out->why, sizeof(out->why), "%s: %s", code,
			    message);
		if (fault_of(code, message) != PROVIDER_OTHER) {
			out->fault = fault_of(code, message);
			n = 0;
			break;
		}
		if (!json_is_integer(line) || json_integer_value(line) < 1 ||
		    n == PROVIDER_FAULTS_MAX)
			continue;
		buf_addf(&out->faults, "%s{\"line\":%lld", n == 0 ? "[" : ",",
		    (long long)json_integer_value(line));
		add_code(&out->faults, code);
		buf_adds(&out->faults, ",\"message\":");
		buf_add_json(&out->faults, slice_str(message));
		buf_addc(&out->faults, '}');
		n++;
	}
	if (n == 0) {
		buf_clear(&out->faults);
		return;
	}
	buf_addc(&out->faults, ']');
	out->fault = PROVIDER_WRONG;
}

static bool
read_batch(const json_t *o, struct provider_batch *out)
{
	const json_t *counts = json_object_get(o, "request_counts");

	copy_id(out->id, get_text(o, "id"));
	if (out->id[0] == '\0' || !json_is_string(json_object_get(o, "status")))
		return false;
	copy_id(out->input_file, get_text(o, "input_file_id"));
	copy_id(out->output_file, get_text(o, "output_file_id"));
	copy_id(out->error_file, get_text(o, "error_file_id"));
	snprintf(out->tag, sizeof(out->tag), "%s",
	    get_text(json_object_get(o, "metadata"), "sluice"));
	snprintf(out->status_text, sizeof(out->status_text), "%s",
	    get_text(o, "status"));
	out->status = status_of(out->status_text);
	out->done = json_integer_value(json_object_get(counts, "completed")) +
	    json_integer_value(json_object_get(counts, "failed"));
	if (out->done < 0 || out->done > INT32_MAX)
		out->done = 0;
	if (out->status == PROVIDER_FAILED)
		read_faults(o, out);
	return true;
}

bool
provider_batch_read(struct slice json, struct provider_batch *out)
{
	json_t *doc = json_loadb(json.p, json.n, 0, NULL);
	bool ok = read_batch(doc, out);

	json_decref(doc);
	return ok;
}

void
provider_batch_fini(struct provider_batch *b)
{
	buf_fini(&b->faults);
	*b = (struct provider_batch){ 0 };
}

bool
provider_file_read(struct slice json, char id[PROVIDER_ID_MAX + 1])
{
	json_t *doc = json_loadb(json.p, json.n, 0, NULL);

	copy_id(id, get_text(doc, "id"));
	json_decref(doc);
	return id[0] != '\0';
}

enum provider_fault
provider_error_read(struct slice json, char why[PROVIDER_TEXT_MAX + 1])
{
	json_t *doc = json_loadb(json.p, json.n, 0, NULL);
	const json_t *error = json_object_get(doc, "error");
	enum provider_fault fault =
	    fault_of(get_text(error, "code"), get_text(error, "message"));

	snprintf(why, PROVIDER_TEXT_MAX + 1, "%s", get_text(error, "message"));
	json_decref(doc);
	return fault;
}

/* The list's data, and the id to go on after. */
static json_t *
read_page(const json_t *doc, char last[PROVIDER_ID_MAX + 1])
{
	json_t *data = json_object_get(doc, "data");
	size_t n = json_array_size(data);

	last[0] = '\0';
	if (n > 0 && json_is_true(json_object_get(doc, "has_more")))
		copy_id(last, get_text(json_array_get(data, n - 1), "id"));
	return data;
}

int
provider_list_find(struct slice json, const char *tag, const char *input_file,
    struct provider_batch *out, char last[PROVIDER_ID_MAX + 1])
{
	json_t *doc = json_loadb(json.p, json.n, 0, NULL), *v;
	json_t *data = read_page(doc, last);
	int found = json_is_array(data) ? 0 : -1;
	size_t i;

	json_array_foreach(data, i, v)
	{
		if (!read_batch(v, out) ||
		    (strcmp(out->tag, tag) != 0 &&
			strcmp(out->input_file, input_file) != 0)) {
			provider_batch_fini(out);
			continue;
		}
		found = 1;
		break;
	}
	json_decref(doc);
	return found;
}

int
provider_list_strays(struct slice json, const char *name, const char *keep,
    struct buf *ids, char last[PROVIDER_ID_MAX + 1])
{
	json_t *doc = json_loadb(json.p, json.n, 0, NULL), *v;
	json_t *data = read_page(doc, last);
	int rc = json_is_array(data) ? 0 : -1;
	char id[PROVIDER_ID_MAX + 1];
	size_t i;

	json_array_foreach(data, i, v)
	{
		copy_id(id, get_text(v, "id"));
		if (id[0] == '\0' ||
		    strcmp(get_text(v, "filename"), name) != 0 ||
		    strcmp(id, keep) == 0)
			continue;
		buf_add(ids, id, strlen(id) + 1);
	}
	json_decref(doc);
	return rc;
}
