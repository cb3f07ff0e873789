#include "dispatch_enqueue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/glob.h>

#include "dispatch_order.h"

static void *
grow(void *array, size_t n)
{
	return xrealloc(array, (n + 1) * sizeof(void *));
}

static void
path_free(struct dispatch_path *p)
{
	for (size_t i = 0; i < p->nmodels; i++)
		free(p->models[i]);
	free(p->models);
	free(p->readings);
	route_prices_free(p->prices, p->nprices);
	free(p);
}

static void
rate_free(struct dispatch_rate *r)
{
	pace_fini(&r->pace);
	free(r->scope.model);
	free(r);
}

static void
seats_free(struct dispatch_seats *s)
{
	free(s->scope.model);
	free(s);
}

static void
queued_free(struct dispatch_queued *q)
{
	free(q->scope.model);
	free(q);
}

static void
flow_free(struct dispatch_flow *f)
{
	free(f->model);
	free(f->rates);
	free(f->seats);
	free(f->queued);
	free(f->pending);
	free(f);
}

void
dispatch_init(struct dispatch *d)
{
	*d = (struct dispatch){ 0 };
	d->margin = DISPATCH_MARGIN;
	dispatch_configure(d, NULL, 0, NULL, 0);
}

void
dispatch_fini(struct dispatch *d)
{
	dispatch_lanes_begin(d);
	dispatch_lanes_end(d);
	for (size_t i = 0; i < d->npaths; i++)
		path_free(d->paths[i]);
	for (size_t i = 0; i < d->nrates; i++)
		rate_free(d->rates[i]);
	for (size_t i = 0; i < d->nseats; i++)
		seats_free(d->seats[i]);
	for (size_t i = 0; i < d->nqueued; i++)
		queued_free(d->queued[i]);
	for (size_t i = 0; i < d->nflows; i++)
		flow_free(d->flows[i]);
	free(d->paths);
	free(d->rates);
	free(d->seats);
	free(d->queued);
	free(d->flows);
	free(d->lanes);
	free(d->by_id);
	dispatch_order_fini(d);
	free(d->purses);
	*d = (struct dispatch){ 0 };
}

struct dispatch_path *
dispatch_path(struct dispatch *d, int32_t id)
{
	for (size_t i = 0; i < d->npaths; i++)
		if (d->paths[i]->id == id)
			return d->paths[i];
	return NULL;
}

struct dispatch_rate *
dispatch_rate(struct dispatch *d, int32_t id)
{
	for (size_t i = 0; i < d->nrates; i++)
		if (d->rates[i]->id == id)
			return d->rates[i];
	return NULL;
}

static bool
scope_covers(const struct dispatch_scope *s, const struct dispatch_path *path,
    const char *model)
{
	return s->pool == path->pool && (s->path == 0 || s->path == path->id) &&
	    glob_match(s->model, model);
}

/* What is out there at once is all that limits an upstream's own batches. */
static void
flow_resolve_queued(struct dispatch *d, struct dispatch_flow *f)
{
	f->queued = xrealloc(f->queued, d->nqueued * sizeof(*f->queued));
	for (size_t i = 0; i < d->nqueued; i++)
		if (scope_covers(&d->queued[i]->scope, f->path, f->model))
			f->queued[f->nqueued++] = d->queued[i];
	f->undeclared = false;
}

/* Find what applies to a flow; false when its path is gone. */
static bool
flow_resolve(struct dispatch *d, struct dispatch_flow *f)
{
	f->path = dispatch_path(d, f->path_id);
	f->nrates = f->nseats = f->nqueued = 0;
	if (f->path == NULL)
		return false;
	if (f->path->kind == DISPATCH_BATCHES) {
		flow_resolve_queued(d, f);
		return true;
	}
	f->rates = xrealloc(f->rates, d->nrates * sizeof(*f->rates));
	for (size_t i = 0; i < d->nrates; i++)
		if (scope_covers(&d->rates[i]->scope, f->path, f->model))
			f->rates[f->nrates++] = d->rates[i];
	f->seats = xrealloc(f->seats, d->nseats * sizeof(*f->seats));
	for (size_t i = 0; i < d->nseats; i++)
		if (i == 0 ||
		    scope_covers(&d->seats[i]->scope, f->path, f->model))
			f->seats[f->nseats++] = d->seats[i];
	f->undeclared = f->nseats == 1;
	return true;
}

struct dispatch_model *
dispatch_model(struct dispatch *d, const char *name)
{
	struct dispatch_model *m;

	for (size_t i = 0; i < d->nmodels; i++)
		if (strcmp(d->models[i]->name, name) == 0)
			return d->models[i];
	m = xcalloc(1, sizeof(*m));
	m->name = xstrdup(name);
	/* No limit's, no path's. */
	m->own.id = INT64_MIN + 1 + (int64_t)d->nmodels;
	d->models = grow(d->models, d->nmodels);
	d->models[d->nmodels++] = m;
	return m;
}

static void
model_add(struct dispatch_flow *f)
{
	f->of->flows = grow(f->of->flows, f->of->nflows);
	f->of->flows[f->of->nflows++] = f;
}

void
dispatch_model_resolve(struct dispatch *d, struct dispatch_model *m)
{
	if (m->resolved)
		return;
	m->resolved = true;
	for (size_t i = 0; i < d->npaths; i++)
		for (size_t k = 0; k < d->paths[i]->nmodels; k++)
			if (glob_match(d->paths[i]->models[k], m->name)) {
				dispatch_flow(d, d->paths[i]->id, m->name);
				break;
			}
}

struct dispatch_flow *
dispatch_flow(struct dispatch *d, int32_t path, const char *model)
{
	struct dispatch_flow *f;

	for (size_t i = 0; i < d->nflows; i++)
		if (d->flows[i]->path_id == path &&
		    strcmp(d->flows[i]->model, model) == 0)
			return d->flows[i];
	if (dispatch_path(d, path) == NULL)
		return NULL;
	f = xcalloc(1, sizeof(*f));
	f->path_id = path;
	f->model = xstrdup(model);
	f->of = dispatch_model(d, model);
	model_add(f);
	flow_resolve(d, f);
	d->flows = grow(d->flows, d->nflows);
	d->flows[d->nflows++] = f;
	return f;
}

static struct dispatch_path *
path_new(struct dispatch *d, const struct dispatch_conf_path *conf)
{
	struct dispatch_path *p = xcalloc(1, sizeof(*p));
	struct dispatch_path *old = dispatch_path(d, conf->id);

	if (old != NULL) {
		*p = *old; /* what was learned stays */
		old->readings = NULL;
		if (conf->edited != p->edited)
			breaker_edited(&p->breaker, conf->edited_us, p->out);
	} else {
		p->breaker = (struct breaker){ .health = conf->health,
			.until_us = conf->until_us,
			.failures = conf->failures };
		p->aimd.limit = conf->concurrency;
		p->aimd.found = conf->concurrency_found;
		p->aimd.refused_at = conf->concurrency_refused;
	}
	p->id = conf->id;
	p->edited = conf->edited;
	p->pool = conf->pool;
	p->kind = conf->kind;
	p->charge = conf->charge;
	p->prices = conf->prices; /* moved */
	p->nprices = conf->nprices;
	p->combine = conf->combine > 1 ? conf->combine : 1;
	p->nmodels = conf->nmodels;
	p->models = xcalloc(conf->nmodels, sizeof(*p->models));
	for (size_t i = 0; i < conf->nmodels; i++)
		p->models[i] = xstrdup(conf->models[i]);
	return p;
}

static struct dispatch_rate *
rate_new(struct dispatch *d, const struct dispatch_conf_limit *conf)
{
	struct dispatch_rate *r = xcalloc(1, sizeof(*r));
	struct dispatch_rate *old = dispatch_rate(d, conf->id);

	r->id = conf->id;
	r->scope = (struct dispatch_scope){ conf->pool, conf->path,
		xstrdup(conf->model) };
	r->hurry = 1;
	if (old != NULL) {
		r->pace = old->pace; /* moved */
		old->pace = (struct pace){ 0 };
		memcpy(r->why, old->why, sizeof(r->why));
		r->changed = old->changed;
		r->since_us = old->since_us;
		r->foreign = old->foreign;
		r->live_total = old->live_total;
		r->live_us = old->live_us;
		r->live_rate = old->live_rate;
		r->kept = old->kept;
		r->contended_us = old->contended_us;
	} else {
		pace_init(&r->pace, conf->dimension, 1, conf->window_us);
		r->pace.next_us = conf->next_us;
		r->pace.paused_us = conf->paused_us;
		r->pace.ladder = conf->ladder;
		r->pace.adaptive = conf->adaptive;
		/* A limit that has paced before knows its past. */
		r->since_us = conf->next_us > 0 ? 1 : 0;
	}
	r->configured = conf->amount;
	r->pace.amount =
	    pace_amount(conf->amount, conf->headroom, conf->reserve);
	r->pace.reserve =
	    pace_amount(conf->amount, conf->headroom, 0) - r->pace.amount;
	return r;
}

static struct dispatch_queued *
queued_new(struct dispatch *d, const struct dispatch_conf_limit *conf)
{
	struct dispatch_queued *q = xcalloc(1, sizeof(*q));

	for (size_t i = 0; i < d->nqueued; i++)
		if (d->queued[i]->id == conf->id)
			*q = *d->queued[i];
	if (q->id == 0) {
		q->most = conf->most;
		q->refused_us = conf->refused_us;
		q->paused_us = conf->paused_us;
	}
	q->id = conf->id;
	q->scope = (struct dispatch_scope){ conf->pool, conf->path,
		xstrdup(conf->model) };
	q->tokens = conf->dimension == PACE_ENQUEUED_TOKENS;
	q->configured = conf->amount;
	q->amount = pace_amount(conf->amount, conf->headroom, conf->reserve);
	return q;
}

static struct dispatch_seats *
seats_new(int32_t id, int32_t pool, int32_t path, const char *model,
    int64_t amount, int64_t reserve)
{
	struct dispatch_seats *s = xcalloc(1, sizeof(*s));

	s->id = id;
	s->scope = (struct dispatch_scope){ pool, path, xstrdup(model) };
	s->amount = amount;
	s->reserve = reserve;
	return s;
}

void
dispatch_configure(struct dispatch *d, const struct dispatch_conf_path *paths,
    size_t npaths, const struct dispatch_conf_limit *limits, size_t nlimits)
{
	struct dispatch next = *d;
	size_t kept = 0;

	next.paths = xcalloc(npaths, sizeof(*next.paths));
	next.npaths = npaths;
	for (size_t i = 0; i < npaths; i++)
		next.paths[i] = path_new(d, &paths[i]);
	next.rates = NULL;
	next.nrates = 0;
	next.seats = NULL;
	next.nseats = 0;
	next.queued = NULL;
	next.nqueued = 0;
	next.seats = grow(next.seats, 0);
	next.seats[next.nseats++] = seats_new(0, 0, 0, "*", INT32_MAX, 0);
	for (size_t i = 0; i < nlimits; i++) {
		const struct dispatch_conf_limit *l = &limits[i];

		if (l->dimension == PACE_CONCURRENT) {
			int64_t amount =
			    pace_amount(l->amount, l->headroom, l->reserve);

			next.seats = grow(next.seats, next.nseats);
			next.seats[next.nseats++] = seats_new(l->id, l->pool,
			    l->path, l->model, amount,
			    pace_amount(l->amount, l->headroom, 0) - amount);
		} else if (l->dimension == PACE_ENQUEUED_REQUESTS ||
		    l->dimension == PACE_ENQUEUED_TOKENS) {
			next.queued = grow(next.queued, next.nqueued);
			next.queued[next.nqueued++] = queued_new(d, l);
		} else {
			next.rates = grow(next.rates, next.nrates);
			next.rates[next.nrates++] = rate_new(d, l);
		}
	}
	for (size_t i = 0; i < d->npaths; i++)
		path_free(d->paths[i]);
	for (size_t i = 0; i < d->nrates; i++)
		rate_free(d->rates[i]);
	for (size_t i = 0; i < d->nseats; i++)
		seats_free(d->seats[i]);
	for (size_t i = 0; i < d->nqueued; i++)
		queued_free(d->queued[i]);
	free(d->paths);
	free(d->rates);
	free(d->seats);
	free(d->queued);
	*d = next;
	for (size_t i = 0; i < d->nmodels; i++) {
		d->models[i]->nflows = 0;
		d->models[i]->resolved = false;
	}
	/* Flows may go with their paths. */
	d->route_us = 0;
	for (size_t i = 0; i < d->nlanes; i++)
		d->lanes[i]->nways = 0;
	for (size_t i = 0; i < d->nflows; i++) {
		struct dispatch_flow *f = d->flows[i];

		if (flow_resolve(d, f)) {
			d->flows[kept++] = f;
			model_add(f);
		} else {
			flow_free(f);
		}
	}
	d->nflows = kept;
}

void
dispatch_world_begin(struct dispatch *d)
{
	for (size_t i = 0; i < d->npaths; i++)
		d->paths[i]->out = d->paths[i]->going = 0;
	for (size_t i = 0; i < d->nflows; i++)
		d->flows[i]->out = 0;
	for (size_t i = 0; i < d->nseats; i++)
		d->seats[i]->out = d->seats[i]->granted = d->seats[i]->frozen =
		    0;
	for (size_t i = 0; i < d->nqueued; i++)
		d->queued[i]->out = 0;
	d->workers = 0;
}

void
dispatch_out(struct dispatch *d, int32_t path, const char *model, int64_t lines)
{
	struct dispatch_flow *f = dispatch_flow(d, path, model);

	if (f == NULL)
		return;
	f->out += lines;
	f->path->out += lines;
	for (size_t i = 0; i < f->nseats; i++)
		f->seats[i]->out += lines;
}

void
dispatch_worker(struct dispatch *d, int32_t most)
{
	d->workers++;
	d->seats[0]->granted += most;
}

void
dispatch_granted(struct dispatch *d, int32_t limit, int64_t seats, bool live)
{
	for (size_t i = 1; i < d->nseats; i++)
		if (d->seats[i]->id == limit)
			*(live ? &d->seats[i]->granted
			       : &d->seats[i]->frozen) += seats;
}
