#include "foreign.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "upstream.h"

static const char *
parse_step(struct foreign_step *step, const char **p)
{
	int n = 0, more = 0;
	long long tokens = 0;

	if (sscanf(*p, "%lf%n", &step->rate, &n) != 1 ||
	    !(step->rate >= 0 && step->rate <= 1e6))
		return "a rate is 0..1000000 calls a minute";
	*p += n;
	if (**p == ':') {
		if (sscanf(*p, ":%lld%n", &tokens, &more) != 1 || tokens < 0 ||
		    tokens > INT32_MAX)
			return "tokens of each call come behind ':'";
		*p += more;
	}
	step->tokens = tokens;
	if (**p == '@') {
		if (sscanf(*p, "@%lf-%lf%n", &step->from_s, &step->to_s, &n) !=
			2 ||
		    !(step->from_s >= 0 && step->from_s < step->to_s))
			return "FROM-TO, in seconds, comes behind '@'";
		*p += n;
	}
	return NULL;
}

bool
foreign_parse(struct foreign_plan *plan, const char *spec, char err[160])
{
	const char *why = NULL, *p = spec;
	double end_s = 0;

	*plan = (struct foreign_plan){ 0 };
	while (*p != '\0' && why == NULL) {
		struct foreign_step step = { .from_s = end_s,
			.to_s = HUGE_VAL };

		if (plan->n == FOREIGN_STEPS_MAX)
			why = "too many steps";
		else if ((why = parse_step(&step, &p)) != NULL)
			continue;
		else if (step.from_s < end_s || step.from_s >= step.to_s)
			why = "steps follow one another";
		else if (*p != '\0' && (*p != ',' || *++p == '\0'))
			why = "is RATE[:TOKENS][@FROM-TO], more after commas";
		end_s = step.to_s;
		plan->v[plan->n++] = step;
	}
	if (why == NULL)
		return true;
	snprintf(err, 160, "%.60s: %s", spec, why);
	return false;
}

double
foreign_next(const struct foreign_plan *plan, double now_s,
    struct chance *chance, int64_t *tokens)
{
	for (size_t i = 0; i < plan->n; i++) {
		const struct foreign_step *step = &plan->v[i];
		double s = fmax(now_s, step->from_s);

		if (s >= step->to_s || step->rate <= 0)
			continue;
		/* A process without memory: it may begin anew at each step. */
		s -= log(1 - chance_unit(chance)) * 60 / step->rate;
		if (s >= step->to_s)
			continue;
		*tokens = step->tokens;
		return s;
	}
	return HUGE_VAL;
}

static void
foreign_call(struct upstream *u, int64_t tokens, int64_t now_ns)
{
	struct arrival a = { .ns = now_ns, .tokens = tokens };
	struct limit_ask ask = { .model = "", .running = u->stats.running };
	struct limit_ticket unused;
	int64_t wait_ns;
	bool refused;

	a.input = (int32_t)tokens;
	stats_units(ask.units, &a);
	refused = limiter_refusal(&u->limits, &ask, now_ns, &wait_ns) != NULL;
	if (!refused || u->conf.charge_refused)
		limiter_charge(&u->limits, &ask, now_ns, &unused);
	a.fate = refused ? FATE_FOREIGN_REFUSED : FATE_FOREIGN;
	stats_foreign(&u->stats, &a);
}

static void foreign_on_time(uv_timer_t *timer);

static void
foreign_wait(struct upstream *u, double now_s)
{
	struct foreign *f = &u->foreign;

	if (f->next_s == HUGE_VAL)
		return;
	uv_update_time(u->loop);
	uv_timer_start(&f->timer, foreign_on_time,
	    (uint64_t)llround(fmax(0, f->next_s - now_s) * 1000), 0);
}

static void
foreign_on_time(uv_timer_t *timer)
{
	struct upstream *u = timer->data;
	struct foreign *f = &u->foreign;
	int64_t now_ns = upstream_now(u);
	double now_s = (double)(now_ns - f->start_ns) / 1e9;

	for (; f->next_s <= now_s + 0.0005;
	     f->next_s = foreign_next(
		 &u->conf.foreign, f->next_s, &f->chance, &f->next_tokens))
		foreign_call(u, f->next_tokens, now_ns);
	foreign_wait(u, now_s);
}

void
foreign_start(struct upstream *u)
{
	struct foreign *f = &u->foreign;

	if (f->timer.data == NULL) {
		uv_timer_init(u->loop, &f->timer);
		f->timer.data = u;
	}
	uv_timer_stop(&f->timer);
	f->start_ns = upstream_now(u);
	f->next_s =
	    foreign_next(&u->conf.foreign, 0, &f->chance, &f->next_tokens);
	foreign_wait(u, 0);
}
