/*
 * who - whose a key is, as the database said.
 *
 * Pure.  What is kept here is good for calls that the door judges, and for no
 * others: it compares as_of with the newest callers_revision (admit.h), and a
 * key that has been changed since is looked up again.
 */
#ifndef SCHEDULER_WHO_H
#define SCHEDULER_WHO_H

#include <sluice/key.h>

#include "reply.h"

enum { WHO_MAX = 10000 }; /* keys; one more, and all are forgotten */

struct who {
	int64_t account, key;
	int64_t as_of; /* the callers_revision it was read under */
	uint64_t era;  /* of the door, before that */
	enum reply_dialect dialect;
	int max_priority;
	bool cache; /* its account wants answers kept, and gets kept ones */
};

struct who_known;
struct whos { /* zeroed: empty */
	struct who_known *known;
};

/* Until that time, of the loop or of anything else that only goes on. */
void whos_put(struct whos *w, const unsigned char hash[KEY_HASH],
    const struct who *who, int64_t until_ms);
void whos_drop(struct whos *w, const unsigned char hash[KEY_HASH]);
/* NULL: not known.  Until the next call of any of these. */
const struct who *
whos_find(struct whos *w, const unsigned char hash[KEY_HASH], int64_t now_ms);
void whos_fini(struct whos *w);

#endif
