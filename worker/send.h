/*
 * send - lines leave at their slots, as seats allow, and come back as results.
 */
#ifndef WORKER_SEND_H
#define WORKER_SEND_H

#include <sluice/upstream.h>

#include "flush.h"
#include "work.h"

struct sender {
	uv_loop_t *loop;
	uv_timer_t timer; /* the next slot */
	struct upstream *h1, *h2;
	struct paths *paths;
	struct flush *flush;
	int32_t in_flight, max_in_flight;
	int64_t lease_until_us; /* boot time; nothing leaves after it */
	bool stopping;          /* what comes now goes back */
	struct line **heap;     /* waiting lines, the earliest slot first */
	size_t nheap, heap_cap;
	uint64_t random;
	struct buf url; /* of the call being made */
	struct closing *closing;
};

void sender_init(struct sender *s, uv_loop_t *loop, struct paths *paths,
    struct flush *flush, int32_t max_in_flight);
void sender_close(struct sender *s, void (*on_closed)(void *arg), void *arg);

/* The chunk of the line's run is here: it leaves at its slot, with those that
 * share its call.  line is here and below the first of its call. */
void sender_put(struct sender *s, struct line *line);
/* Give it back, and those that share its call, without sending it. */
void sender_give_back(
    struct sender *s, struct line *line, const char *why, bool down);
/* What waits for a seat may find one, or has waited too long. */
void sender_pump(struct sender *s);
/* The same, and answers that were left waiting: to be called now and then. */
void sender_tick(struct sender *s);
/* Give back all that has not left, and what comes from now on; with calls, end
 * those that have left, too. */
void
sender_stop(struct sender *s, struct run *const *runs, size_t n, bool calls);

#endif
