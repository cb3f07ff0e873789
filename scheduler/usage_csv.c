#include "usage_csv.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <sluice/spec.h>

static const char *const counts[] = { "requests", "failed", "refused",
	"input_tokens", "cached_tokens", "output_tokens" };

static void
add_text(struct buf *out, const char *text)
{
	if (strpbrk(text, ",\"\r\n") == NULL) {
		buf_adds(out, text);
		return;
	}
	buf_addc(out, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"')
			buf_addc(out, '"');
		buf_addc(out, *text);
	}
	buf_addc(out, '"');
}

static void
add_time(struct buf *out, const json_t *at)
{
	time_t t = (time_t)json_integer_value(at);
	char text[32];
	struct tm tm;

	if (gmtime_r(&t, &tm) != NULL &&
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
		buf_adds(out, text);
}

/* Every column has a comma behind it; money is the last. */
static void
add_row(const json_t *doc, const json_t *row, struct buf *out)
{
	const json_t *by = json_object_get(doc, "by"), *name;
	const char *text;
	char money[32];
	size_t i;

	if (json_integer_value(json_object_get(doc, "per_s")) > 0) {
		if (row == NULL)
			buf_adds(out, "at");
		else
			add_time(out, json_object_get(row, "at"));
		buf_addc(out, ',');
	}
	json_array_foreach(by, i, name)
	{
		const char *member = json_string_value(name);
		const char *both[] = { member,
			strcmp(member, "key") == 0 ? "key_name" : NULL };

		for (size_t k = 0; k < NITEMS(both) && both[k] != NULL; k++) {
			text = row == NULL
			    ? both[k]
			    : json_string_value(json_object_get(row, both[k]));
			add_text(out, text != NULL ? text : "");
			buf_addc(out, ',');
		}
	}
	for (i = 0; i < NITEMS(counts); i++) {
		if (row == NULL)
			buf_adds(out, counts[i]);
		else
			buf_addf(out, "%" JSON_INTEGER_FORMAT,
			    json_integer_value(
				json_object_get(row, counts[i])));
		buf_addc(out, ',');
	}
	spec_money_text(
	    json_integer_value(json_object_get(row, "money")), money);
	buf_addf(out, "%s\r\n", row == NULL ? "money" : money);
}

void
usage_csv(const json_t *doc, struct buf *out)
{
	const json_t *row;
	size_t i;

	add_row(doc, NULL, out);
	json_array_foreach(json_object_get(doc, "data"), i, row)
	    add_row(doc, row, out);
}
