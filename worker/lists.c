#include "lists.h"

#include <stdlib.h>
#include <string.h>

#include <sluice/buf.h>

/* LISTS_MODELS: nowhere. */
static size_t
find(const struct lists *l, const char *model)
{
	size_t i = 0;

	while (i < LISTS_MODELS &&
	    (l->models[i].model == NULL ||
		strcmp(l->models[i].model, model) != 0))
		i++;
	return i;
}

static struct lists_model *
find_or_add(struct lists *l, const char *model)
{
	size_t at = find(l, model);
	struct lists_model *m;

	if (at < LISTS_MODELS)
		return &l->models[at];
	m = &l->models[l->next];
	l->next = (l->next + 1) % LISTS_MODELS;
	free(m->model);
	*m = (struct lists_model){ .model = xstrdup(model) };
	return m;
}

void
lists_saw(
    struct lists *l, const char *model, enum lists_end end, int64_t now_us)
{
	struct lists_model *m;

	if (end == LISTS_NOTHING)
		return;
	m = find_or_add(l, model);
	switch (end) {
	case LISTS_NOTHING:
		break;
	case LISTS_TAKEN:
		m->refused = 0;
		break;
	case LISTS_REFUSED:
		if (m->refused < LISTS_REFUSED_MAX)
			m->refused++;
		break;
	case LISTS_ALONE:
		if (m->refused < LISTS_REFUSED_MAX)
			break;
		m->refused = 0;
		m->until_us = now_us + LISTS_REST_US;
		break;
	}
}

bool
lists_rest(const struct lists *l, const char *model, int64_t now_us)
{
	size_t at = find(l, model);

	return at < LISTS_MODELS && now_us < l->models[at].until_us;
}

void
lists_fini(struct lists *l)
{
	for (size_t i = 0; i < LISTS_MODELS; i++)
		free(l->models[i].model);
	*l = (struct lists){ 0 };
}
