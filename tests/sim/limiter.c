#include "limiter.h"

#include <stdlib.h>
#include <string.h>

const char *const limiter_names[LIMITER_KINDS] = { "log", "fixed", "counter",
	"bucket", "quanta", "seconds" };

enum { SECOND_US = 1000000 };

void
limiter_log_add(struct limiter_log *g, int64_t at_us, int64_t units)
{
	if (g->n == g->cap) {
		if (g->first > g->cap / 2) {
			memmove(g->entries, g->entries + g->first,
			    (g->n - g->first) * sizeof(*g->entries));
			g->n -= g->first;
			g->first = 0;
		} else {
			g->cap = g->cap == 0 ? 64 : g->cap * 2;
			g->entries =
			    realloc(g->entries, g->cap * sizeof(*g->entries));
			if (g->entries == NULL)
				abort();
		}
	}
	g->entries[g->n++] = (struct limiter_entry){ at_us, units };
	g->sum += units;
}

void
limiter_log_drop(struct limiter_log *g, int64_t from_us)
{
	while (g->first < g->n && g->entries[g->first].at_us < from_us)
		g->sum -= g->entries[g->first++].units;
}

void
limiter_init(struct limiter *l, enum limiter_kind kind, int64_t amount,
    int64_t window_us, int64_t phase_us)
{
	*l = (struct limiter){ .kind = kind,
		.amount = amount,
		.window_us = window_us,
		.phase_us = phase_us,
		.quantum_us = window_us,
		.burst = amount,
		.window_no = -1 };
}

void
limiter_fini(struct limiter *l)
{
	free(l->log.entries);
	*l = (struct limiter){ 0 };
}

static int64_t
width_us(const struct limiter *l)
{
	return l->kind == LIMITER_QUANTA ? l->quantum_us : l->window_us;
}

static int64_t
share(const struct limiter *l)
{
	int64_t units = l->amount * l->quantum_us / l->window_us;

	return units < 1 ? 1 : units;
}

/* Bring the counters up to now. */
static void
advance(struct limiter *l, int64_t now_us)
{
	int64_t no;

	switch (l->kind) {
	case LIMITER_LOG:
		limiter_log_drop(&l->log, now_us - l->window_us);
		break;
	case LIMITER_SECONDS:
		limiter_log_drop(
		    &l->log, (now_us - l->window_us) / SECOND_US * SECOND_US);
		break;
	case LIMITER_BUCKET:
		l->level -= (double)(now_us - l->level_us) * (double)l->amount /
		    (double)l->window_us;
		if (l->level < 0)
			l->level = 0;
		l->level_us = now_us;
		break;
	default:
		no = (now_us - l->phase_us) / width_us(l);
		if (no == l->window_no)
			break;
		l->used_before = no == l->window_no + 1 ? l->used : 0;
		l->used = 0;
		l->window_no = no;
	}
}

int64_t
limiter_left(struct limiter *l, int64_t now_us)
{
	double weight;

	advance(l, now_us);
	switch (l->kind) {
	case LIMITER_LOG:
	case LIMITER_SECONDS:
		return l->amount - l->log.sum;
	case LIMITER_BUCKET:
		return (int64_t)((double)l->burst - l->level + 1e-6);
	case LIMITER_COUNTER:
		weight = 1 -
		    (double)(now_us - l->phase_us -
			l->window_no * l->window_us) /
			(double)l->window_us;
		return (int64_t)((double)(l->amount - l->used) -
		    weight * (double)l->used_before);
	case LIMITER_QUANTA:
		return share(l) - l->used;
	default:
		return l->amount - l->used;
	}
}

void
limiter_charge(struct limiter *l, int64_t now_us, int64_t units)
{
	advance(l, now_us);
	if (l->kind == LIMITER_LOG || l->kind == LIMITER_SECONDS)
		limiter_log_add(&l->log, now_us, units);
	else if (l->kind == LIMITER_BUCKET)
		l->level += (double)units;
	else
		l->used += units;
}

bool
limiter_admit(struct limiter *l, int64_t now_us, int64_t units)
{
	bool good = limiter_left(l, now_us) >= units;

	if (good || l->charge_refused)
		limiter_charge(l, now_us, units);
	return good;
}

int64_t
limiter_wait_us(struct limiter *l, int64_t now_us, int64_t units)
{
	int64_t left = limiter_left(l, now_us), over = units - left, sum = 0;

	if (over <= 0)
		return 0;
	switch (l->kind) {
	case LIMITER_LOG:
	case LIMITER_SECONDS:
		for (size_t i = l->log.first; i < l->log.n; i++) {
			sum += l->log.entries[i].units;
			if (sum >= over)
				return l->log.entries[i].at_us + l->window_us +
				    SECOND_US - now_us;
		}
		return l->window_us;
	case LIMITER_BUCKET:
		return over * l->window_us / l->amount + 1;
	default:
		return (l->window_no + 1) * width_us(l) + l->phase_us - now_us;
	}
}

int64_t
limiter_reset_us(struct limiter *l, int64_t now_us)
{
	advance(l, now_us);
	switch (l->kind) {
	case LIMITER_LOG:
	case LIMITER_SECONDS:
		return l->log.first == l->log.n
		    ? 0
		    : l->log.entries[l->log.n - 1].at_us + l->window_us -
			now_us;
	case LIMITER_BUCKET:
		return (int64_t)(l->level * (double)l->window_us /
		    (double)l->amount);
	default:
		return (l->window_no + 1) * width_us(l) + l->phase_us - now_us;
	}
}
