/* What a dispatcher that takes over must know of turns, as JSON. */
#include <jansson.h>

#include "dispatch_json.h"

static bool
write_class(const struct fair_class *c, int class, bool first, struct buf *out)
{
	if (c->naccounts == 0)
		return false;
	buf_addf(out, "%s[%d,%.0f,%.3f]", first ? "" : ",", class, c->pass,
	    c->vtime);
	return true;
}

static void
write_accounts(const struct fair_book *b, struct buf *out)
{
	bool first = true;

	for (int i = 1; i < FAIR_CLASSES; i++)
		for (size_t k = 0; k < b->classes[i].naccounts; k++) {
			const struct fair_account *a =
			    b->classes[i].accounts[k];

			if (fair_is_plain(&b->classes[i], a))
				continue;
			buf_addf(out, "%s[%d,%lld,%.3f]", first ? "" : ",", i,
			    (long long)a->id, a->vtime);
			first = false;
		}
}

void
dispatch_books_write(const struct dispatch *d, struct buf *out)
{
	buf_addc(out, '[');
	for (size_t i = 0; i < d->nbooks; i++) {
		const struct fair_book *b = d->books[i];
		bool first = true;

		buf_addf(out, "%s{\"book\":%lld,\"lead_us\":%.0f,\"classes\":[",
		    i == 0 ? "" : ",", (long long)b->id, b->lead_us);
		for (int k = 1; k < FAIR_CLASSES; k++)
			first &= !write_class(&b->classes[k], k, first, out);
		buf_adds(out, "],\"accounts\":[");
		write_accounts(b, out);
		buf_adds(out, "]}");
	}
	buf_addc(out, ']');
}

static double
item(const json_t *list, size_t i)
{
	return json_number_value(json_array_get(list, i));
}

/* What has a book was contended a moment ago. */
static void
contends(struct dispatch *d, int64_t id, int64_t now_us)
{
	for (size_t i = 0; i < d->nrates; i++)
		if (d->rates[i]->id == id)
			d->rates[i]->contended_us = now_us;
	for (size_t i = 0; i < d->nseats; i++)
		if (d->seats[i]->id == id)
			d->seats[i]->contended_us = now_us;
	for (size_t i = 0; i < d->npaths; i++)
		if (d->paths[i]->id == -id)
			d->paths[i]->contended_us = now_us;
}

void
dispatch_books_read(struct dispatch *d, const json_t *list, int64_t now_us)
{
	json_t *v, *e;
	size_t i, k;

	if (d->nbooks > 0) /* they are known better here */
		return;
	json_array_foreach(list, i, v)
	{
		struct fair_book *b = dispatch_book(
		    d, json_integer_value(json_object_get(v, "book")), now_us);

		contends(d, b->id, now_us);
		b->lead_us = json_number_value(json_object_get(v, "lead_us"));
		json_array_foreach(json_object_get(v, "classes"), k, e)
		    fair_load_class(
			b, (int)item(e, 0), item(e, 1), item(e, 2), now_us);
		json_array_foreach(json_object_get(v, "accounts"), k, e)
		    fair_load(b, (int)item(e, 0), (int64_t)item(e, 1),
			item(e, 2), now_us);
	}
}
