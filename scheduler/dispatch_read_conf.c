#include "dispatch_doc.h"

#include <stdlib.h>
#include <string.h>

static enum breaker_health
read_health(const char *s)
{
	return strcmp(s, "down") == 0   ? BREAKER_DOWN
	    : strcmp(s, "probing") == 0 ? BREAKER_PROBING
					: BREAKER_UP;
}

static enum pace_dimension
read_dimension(const char *s)
{
	for (int i = 0; i < PACE_DIMENSIONS; i++)
		if (strcmp(s, pace_dimension_names[i]) == 0)
			return (enum pace_dimension)i;
	return PACE_CONCURRENT;
}

static enum dispatch_kind
read_kind(const char *s)
{
	return strcmp(s, "suffix") == 0 ? DISPATCH_SUFFIX
	    : strcmp(s, "batches") == 0 ? DISPATCH_BATCHES
					: DISPATCH_DIRECT;
}

static struct route_price *
read_prices(const json_t *list, size_t *n)
{
	struct route_price *prices =
	    xcalloc(json_array_size(list), sizeof(*prices));
	json_t *v, *span;
	size_t i, k;

	*n = json_array_size(list);
	json_array_foreach(list, i, v)
	{
		const json_t *spans = json_object_get(v, "spans");
		struct route_price *p = &prices[i];

		p->model = xstrdup(get_text(v, "model"));
		p->input = get_int(v, "input");
		p->cached = get_int(v, "cached");
		p->output = get_int(v, "output");
		p->timed = json_is_array(spans);
		p->nspans = json_array_size(spans);
		p->spans = xcalloc(p->nspans, sizeof(*p->spans));
		json_array_foreach(spans, k, span) p->spans[k] =
		    (struct route_span){
			    json_integer_value(json_array_get(span, 0)),
			    json_integer_value(json_array_get(span, 1)),
		    };
	}
	return prices;
}

static enum pace_charge
read_charge(const char *s)
{
	return strcmp(s, "declared") == 0         ? PACE_CHARGE_DECLARED
	    : strcmp(s, "declared-refunded") == 0 ? PACE_CHARGE_REFUNDED
	    : strcmp(s, "input-only") == 0        ? PACE_CHARGE_INPUT
						  : PACE_CHARGE_ACTUAL;
}

static struct ladder
read_ladder(const struct dispatch *d, const json_t *o)
{
	return (struct ladder){
		.step = (int)get_int(o, "step"),
		.moved_us = get_time(d, o, "moved_us"),
		.hold_us = get_int(o, "hold_us"),
		.fell = get_bool(o, "fell"),
	};
}

static struct adaptive
read_adaptive(const struct dispatch *d, const json_t *o)
{
	return (struct adaptive){
		.told = get_int(o, "told"),
		.used_us = get_time(d, o, "used_us"),
		.ramp = get_real(o, "ramp"),
		.ramp_us = get_time(d, o, "ramp_us"),
	};
}

static void
read_estimate(struct dispatch *d, const json_t *o)
{
	struct dispatch_flow *f =
	    dispatch_flow(d, (int32_t)get_int(o, "path"), get_text(o, "model"));
	const json_t *l = json_object_get(o, "learned");

	if (f == NULL || f->estimate.n > 0)
		return;
	f->estimate = (struct estimate){
		.n = get_real(l, "n"),
		.ratio = get_real(l, "ratio"),
		.output = get_real(l, "output"),
		.output2 = get_real(l, "output2"),
		.ms = get_real(l, "ms"),
		.ms2 = get_real(l, "ms2"),
	};
}

enum slc_rc
dispatch_read_config(struct dispatch *d, struct slice text, struct slc_err *err)
{
	json_t *doc = load(text, err), *jpaths, *jlimits, *v, *g;
	struct dispatch_conf_path *paths;
	struct dispatch_conf_limit *limits;
	size_t npaths, nlimits, i, k;

	if (doc == NULL)
		return err->rc;
	/* Once known, it is known better here. */
	if (!d->clock.known)
		d->clock.offset_us = get_int(doc, "clock_offset_us");
	jpaths = json_object_get(doc, "paths");
	jlimits = json_object_get(doc, "limits");
	npaths = json_array_size(jpaths);
	nlimits = json_array_size(jlimits);
	paths = xcalloc(npaths, sizeof(*paths));
	limits = xcalloc(nlimits, sizeof(*limits));
	json_array_foreach(jpaths, i, v)
	{
		const json_t *models = json_object_get(v, "models");
		const json_t *concurrency = json_object_get(
		    json_object_get(v, "learned"), "concurrency");
		struct route_price *prices;
		const char **globs;
		size_t nprices;

		globs = xcalloc(json_array_size(models), sizeof(*globs));
		json_array_foreach(models, k, g) globs[k] =
		    json_string_value(g);
		prices = read_prices(json_object_get(v, "prices"), &nprices);
		paths[i] = (struct dispatch_conf_path){
			.id = (int32_t)get_int(v, "id"),
			.pool = (int32_t)get_int(v, "pool"),
			.kind = read_kind(get_text(v, "kind")),
			.models = globs,
			.nmodels = json_array_size(models),
			.prices = prices,
			.nprices = nprices,
			.health = read_health(get_text(v, "health")),
			.until_us = get_time(d, v, "until_us"),
			.failures = (int)get_int(v, "failures"),
			.edited = get_int(v, "edited_us"),
			.edited_us = get_time(d, v, "edited_us"),
			.charge = read_charge(get_text(v, "charge")),
			.combine = (int32_t)get_int(v, "combine"),
			.concurrency = get_int(concurrency, "limit"),
			.concurrency_found = get_bool(concurrency, "found"),
			.concurrency_refused =
			    get_int(concurrency, "refused_at"),
		};
	}
	json_array_foreach(jlimits, i, v) limits[i] =
	    (struct dispatch_conf_limit){
		    .id = (int32_t)get_int(v, "id"),
		    .pool = (int32_t)get_int(v, "pool"),
		    .path = (int32_t)get_int(v, "path"),
		    .model = get_text(v, "model"),
		    .dimension = read_dimension(get_text(v, "dimension")),
		    .window_us = get_int(v, "window_s") * 1000000,
		    .amount = get_int(v, "amount"),
		    .headroom = get_real(v, "headroom"),
		    .reserve = get_real(v, "reserve"),
		    .next_us = get_time(d, v, "next_us"),
		    .paused_us = get_time(d, v, "paused_us"),
		    .ladder = read_ladder(d, json_object_get(v, "learned")),
		    .adaptive = read_adaptive(d, json_object_get(v, "learned")),
		    .most = get_int(json_object_get(v, "learned"), "most"),
		    .refused_us = get_time(
			d, json_object_get(v, "learned"), "refused_us"),
	    };
	dispatch_configure(d, paths, npaths, limits, nlimits);
	d->revision = get_int(doc, "revision");
	d->timeline = (int32_t)get_int(doc, "timeline");
	d->timeline_new = d->timeline != get_int(doc, "timeline_was");
	d->failed_over = d->timeline_new && get_int(doc, "timeline_was") > 0;
	json_array_foreach(json_object_get(doc, "estimates"), i, v)
	    read_estimate(d, v);
	dispatch_books_read(
	    d, json_object_get(doc, "fair"), get_time(d, doc, "now_us"));
	for (i = 0; i < npaths; i++)
		free((void *)paths[i].models);
	free(paths);
	free(limits);
	json_decref(doc);
	return SLC_OK;
}
