#include "who.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include <sluice/buf.h>

struct who_known {
	UT_hash_handle hh;
	unsigned char hash[KEY_HASH];
	struct who who;
	int64_t until_ms;
};

static struct who_known *
find(const struct whos *w, const unsigned char hash[KEY_HASH])
{
	struct who_known *k;

	HASH_FIND(hh, w->known, hash, KEY_HASH, k);
	return k;
}

void
whos_fini(struct whos *w)
{
	struct who_known *k, *next;

	HASH_ITER (hh, w->known, k, next) {
		HASH_DEL(w->known, k);
		free(k);
	}
}

void
whos_drop(struct whos *w, const unsigned char hash[KEY_HASH])
{
	struct who_known *k = find(w, hash);

	if (k == NULL)
		return;
	HASH_DEL(w->known, k);
	free(k);
}

void
whos_put(struct whos *w, const unsigned char hash[KEY_HASH],
    const struct who *who, int64_t until_ms)
{
	struct who_known *k = find(w, hash);

	if (k == NULL) {
		if (HASH_COUNT(w->known) >= WHO_MAX)
			whos_fini(w);
		k = xcalloc(1, sizeof(*k));
		memcpy(k->hash, hash, KEY_HASH);
		HASH_ADD(hh, w->known, hash, KEY_HASH, k);
	}
	k->who = *who;
	k->until_ms = until_ms;
}

const struct who *
whos_find(struct whos *w, const unsigned char hash[KEY_HASH], int64_t now_ms)
{
	struct who_known *k = find(w, hash);

	return k == NULL || now_ms >= k->until_ms ? NULL : &k->who;
}
