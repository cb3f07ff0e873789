#include "seats.h"

/* The share s, such that the sum of min(most, s) is the most <= amount; the
 * rest is one more for each of the first *extra workers that can take it. */
static int32_t
fair_share(int64_t amount, const struct seats_worker *workers, size_t n,
    int64_t *extra)
{
	int64_t share = 0, sum;

	*extra = 0;
	for (;;) {
		int64_t open = 0;

		sum = 0;
		for (size_t i = 0; i < n; i++) {
			if (!workers[i].live)
				continue;
			sum +=
			    workers[i].most < share ? workers[i].most : share;
			open += workers[i].most > share;
		}
		if (open == 0)
			return (int32_t)share;
		if (amount - sum < open) {
			*extra = amount - sum;
			return (int32_t)share;
		}
		share += (amount - sum) / open;
	}
}

bool
seats_share(int64_t amount, struct seats_worker *workers, size_t n)
{
	int64_t available = amount, unused = amount, extra;
	int32_t share;
	bool changed = false;

	for (size_t i = 0; i < n; i++) {
		if (!workers[i].live)
			available -= workers[i].granted;
		unused -= workers[i].granted;
	}
	if (available < 0)
		available = 0;
	share = fair_share(available, workers, n, &extra);
	for (size_t i = 0; i < n; i++) {
		struct seats_worker *w = &workers[i];
		int32_t want = share, target;

		if (!w->live)
			continue;
		if (want > w->most)
			want = w->most;
		else if (want < w->most && extra > 0) {
			want++;
			extra--;
		}
		target = want;
		if (want > w->granted) {
			int64_t more = want - w->granted;

			if (more > unused)
				more = unused > 0 ? unused : 0;
			unused -= more;
			target = w->granted + (int32_t)more;
		}
		changed |= target != w->target;
		w->target = target;
	}
	return changed;
}
