#include "dispatch_order.h"

#include <string.h>

#include "dispatch_offer.h"

static struct dispatch_owner
owner_of(const struct dispatch_lane *lane)
{
	struct dispatch_owner o = { .lane = lane->id,
		.account = lane->account,
		.class = lane->priority,
		.nshape_ids = lane->nshape_ids };

	memcpy(o.shape_ids, lane->shape_ids, sizeof(o.shape_ids));
	return o;
}

void
dispatch_order_gone(struct dispatch *d, const struct dispatch_lane *lane)
{
	if (d->owners == NULL)
		d->owners = xcalloc(DISPATCH_OWNERS, sizeof(*d->owners));
	d->owners[d->owner] = owner_of(lane);
	d->owner = (d->owner + 1) % DISPATCH_OWNERS;
}

static bool
find_owner(struct dispatch *d, int64_t id, struct dispatch_owner *out)
{
	const struct dispatch_lane *lane = dispatch_lane(d, id);

	if (lane != NULL) {
		*out = owner_of(lane);
		return true;
	}
	for (size_t i = 0; d->owners != NULL && i < DISPATCH_OWNERS; i++)
		if (d->owners[i].lane == id) {
			*out = d->owners[i];
			return true;
		}
	return false;
}

void
dispatch_order_settle(struct dispatch *d, const struct dispatch_flow *f,
    const struct dispatch_entry *e)
{
	int64_t estimated = e->est_input + e->est_output;
	int64_t lines = e->lines > 1 ? e->lines : 1;
	struct dispatch_owner o;

	if (!find_owner(d, e->lane, &o))
		return;
	for (size_t i = 0; e->sent_us > 0 && i < o.nshape_ids; i++) {
		struct dispatch_rate *r = dispatch_rate(d, o.shape_ids[i]);

		if (r == NULL)
			continue;
		pace_settle(&r->pace,
		    dispatch_shape_units(r, lines, e->est_input, e->est_output),
		    e->slot_us, e->keep_us,
		    dispatch_shape_units(r, lines, e->input, e->output),
		    e->sent_us);
		r->changed = true;
	}
	if (f->of->book == NULL)
		return;
	/* One that never left goes again, and is charged again then. */
	if (e->sent_us == 0)
		fair_settle(f->of->book, o.class, o.account, 0, -estimated);
	else
		fair_settle(f->of->book, o.class, o.account,
		    dispatch_limit_us(f, e->input, e->output, e->sent_us) -
			dispatch_limit_us(
			    f, e->est_input, e->est_output, e->sent_us),
		    e->input + e->output - estimated);
}
