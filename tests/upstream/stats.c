#include <stdlib.h>
#include <string.h>

#include "request.h"
#include "stats.h"

/* Counts one more of h and says how often it has come, this time included. */
static uint8_t
tally_add(struct tally *t, uint64_t h)
{
	size_t i;

	if (t->n * 10 >= t->size * 7) {
		struct tally old = *t;

		t->size = old.size > 0 ? old.size * 2 : 1024;
		t->slot = text_realloc(NULL, t->size * sizeof(*t->slot));
		t->times = text_realloc(NULL, t->size);
		memset(t->times, 0, t->size);
		for (size_t k = 0; k < old.size; k++) {
			if (old.times[k] == 0)
				continue;
			for (i = old.slot[k] & (t->size - 1); t->times[i] > 0;)
				i = (i + 1) & (t->size - 1);
			t->slot[i] = old.slot[k];
			t->times[i] = old.times[k];
		}
		free(old.slot);
		free(old.times);
	}
	for (i = h & (t->size - 1); t->times[i] > 0 && t->slot[i] != h;)
		i = (i + 1) & (t->size - 1);
	if (t->times[i] == 0)
		t->n++;
	t->slot[i] = h;
	if (t->times[i] < UINT8_MAX)
		t->times[i]++;
	return t->times[i];
}

static void
tally_fini(struct tally *t)
{
	free(t->slot);
	free(t->times);
	*t = (struct tally){ 0 };
}

void
stats_reset(struct stats *s, int64_t now_ns)
{
	struct stats fresh = {
		.no_log = s->no_log,
		.era = s->era + 1,
		.running = s->running,
		.most_running = s->running,
		.running_from_ns = now_ns,
		.running_since_ns = now_ns,
		.nmodels = s->nmodels,
	};

	memcpy(fresh.models, s->models, sizeof(fresh.models));
	for (size_t i = 0; i < fresh.nmodels; i++)
		fresh.models[i].most_running = fresh.models[i].running;
	tally_fini(&s->bodies_seen);
	tally_fini(&s->keys_seen);
	free(s->keys.p);
	free(s->log);
	*s = fresh;
}

uint16_t
stats_model(struct stats *s, const char *name, size_t n)
{
	size_t i;

	for (i = 0; i < s->nmodels; i++)
		if (strncmp(s->models[i].name, name, n) == 0 &&
		    s->models[i].name[n] == '\0')
			return (uint16_t)i;
	if (i == MODELS_MAX)
		return MODELS_MAX - 1;
	s->models[i].name = text_realloc(NULL, n + 1);
	memcpy(s->models[i].name, name, n);
	s->models[i].name[n] = '\0';
	s->nmodels++;
	return (uint16_t)i;
}

static void
count_repeats(
    struct stats *s, const struct arrival *a, const char *key, size_t key_n)
{
	uint8_t sends = 0, copies = 0;

	if (key_n > 0)
		sends = tally_add(&s->keys_seen, request_hash(key, key_n));
	if (a->fate == FATE_ACCEPTED)
		copies = tally_add(&s->bodies_seen, a->body);
	s->resends += sends > 1;
	s->copies += copies > 1;
	s->duplicates += copies > 1 && sends != 1;
	if (sends > s->most_sends)
		s->most_sends = sends;
	if (copies > s->most_copies)
		s->most_copies = copies;
}

static void
remember(
    struct stats *s, const struct arrival *a, const char *key, size_t key_n)
{
	struct arrival *at;

	if (s->n == s->cap) {
		s->cap = s->cap > 0 ? s->cap * 2 : 1024;
		s->log = text_realloc(s->log, s->cap * sizeof(*s->log));
	}
	at = &s->log[s->n++];
	*at = *a;
	if (key_n == 0)
		return;
	if (s->keys.n == 0)
		text_add(&s->keys, "", 1); /* 0 means none */
	at->key_at = (uint32_t)s->keys.n;
	text_add(&s->keys, key, key_n);
	text_add(&s->keys, "", 1);
}

void
stats_units(int64_t units[DIMS], const struct arrival *a)
{
	units[DIM_REQUESTS] = units[DIM_CONCURRENT] = 1;
	units[DIM_TOKENS] = a->tokens;
	units[DIM_INPUT] = a->input < a->tokens ? a->input : a->tokens;
	units[DIM_OUTPUT] = a->tokens - units[DIM_INPUT];
}

void
stats_foreign(struct stats *s, const struct arrival *a)
{
	s->fates[a->fate]++;
	if (!s->no_log)
		remember(s, a, NULL, 0);
}

uint64_t
stats_arrive(
    struct stats *s, const struct arrival *a, const char *key, size_t key_n)
{
	if (s->arrivals++ == 0)
		s->first_ns = a->ns;
	s->last_ns = a->ns;
	s->fates[a->fate]++;
	s->status[a->status]++;
	if (a->fault > 0)
		s->faults[a->fault - 1]++;
	if (!s->no_log) {
		count_repeats(s, a, key, key_n);
		remember(s, a, key, key_n);
	}
	return (uint64_t)s->era << 32 | (s->no_log ? 0 : s->n - 1);
}

void
stats_settle(struct stats *s, uint64_t ticket, int status, int64_t tokens)
{
	struct arrival *a;

	if (ticket >> 32 != s->era)
		return;
	s->status[0]--;
	s->status[status]++;
	if (s->no_log)
		return;
	a = &s->log[(uint32_t)ticket];
	a->status = (uint16_t)status;
	a->tokens = tokens;
}

static void
integrate(struct stats *s, int64_t now_ns)
{
	if (s->running_from_ns == 0)
		s->running_from_ns = s->running_since_ns = now_ns;
	s->running_ns +=
	    (double)s->running * (double)(now_ns - s->running_since_ns);
	s->running_since_ns = now_ns;
}

void
stats_start(struct stats *s, uint16_t model, int64_t now_ns)
{
	struct model *m = &s->models[model];

	integrate(s, now_ns);
	if (++s->running > s->most_running)
		s->most_running = s->running;
	if (++m->running > m->most_running)
		m->most_running = m->running;
}

void
stats_stop(struct stats *s, uint16_t model, int64_t now_ns)
{
	integrate(s, now_ns);
	s->running--;
	s->models[model].running--;
}
