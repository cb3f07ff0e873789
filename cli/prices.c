#include "prices.h"

#include <string.h>
#include <sys/types.h>

#include "js.h"

json_t *
prices_of(const json_t *shown)
{
	json_t *list = json_array(), *copy;
	const json_t *price;
	size_t i;

	json_array_foreach(shown, i, price)
	{
		copy = json_deep_copy(price);
		json_object_set_new(copy, "shown", json_true());
		json_array_append_new(list, copy);
	}
	return list;
}

static ssize_t
find(const json_t *prices, const char *model, const char *hours)
{
	for (size_t i = 0; i < json_array_size(prices); i++) {
		const json_t *price = json_array_get(prices, i);

		if (strcmp(js_text(price, "model"), model) == 0 &&
		    strcmp(js_text(price, "hours"), hours) == 0)
			return (ssize_t)i;
	}
	return -1;
}

enum slc_rc
prices_set(json_t *doc, const char *text, struct slc_err *err)
{
	json_t *prices = json_object_get(doc, "prices"), *price;
	struct spec_price p;
	enum slc_rc rc = spec_price(text, &p, err);
	ssize_t at;

	if (rc != SLC_OK)
		return rc;
	if (prices == NULL) {
		prices = json_array();
		json_object_set_new(doc, "prices", prices);
	}
	at = find(prices, p.model, p.hours);
	if (at >= 0 &&
	    json_object_get(json_array_get(prices, (size_t)at), "shown") ==
		NULL)
		return slc_fail(err, SLC_EINPUT,
		    "\"%.80s\": that model's price is given twice", text);
	price = json_pack("{s:s, s:I, s:I}", "model", p.model, "input",
	    (json_int_t)p.input, "output", (json_int_t)p.output);
	if (p.hours[0] != '\0')
		json_object_set_new(price, "hours", json_string(p.hours));
	if (p.cached >= 0)
		json_object_set_new(
		    price, "cached_input", json_integer(p.cached));
	if (at >= 0)
		json_array_set_new(prices, (size_t)at, price);
	else
		json_array_append_new(prices, price);
	return SLC_OK;
}

enum slc_rc
prices_unset(json_t *doc, const char *model, struct slc_err *err)
{
	json_t *prices = json_object_get(doc, "prices");
	struct spec_price p;
	struct buf text = { 0 };
	enum slc_rc rc;
	ssize_t at;

	buf_addf(&text, "%s:input=0", model);
	rc = spec_price(buf_cstr(&text), &p, err);
	buf_fini(&text);
	if (rc != SLC_OK)
		return rc;
	at = find(prices, p.model, p.hours);
	if (at < 0)
		return slc_fail(
		    err, SLC_ENOTFOUND, "there is no price for %.80s", model);
	json_array_remove(prices, (size_t)at);
	return SLC_OK;
}

void
prices_cell(const json_t *price, const char *member, char out[32])
{
	out[0] = '\0';
	if (json_object_get(price, member) != NULL)
		spec_money_text(js_int(price, member), out);
}
