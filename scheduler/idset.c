#include "idset.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/buf.h>

/* The slot that holds key, or the free one where it belongs. */
static uint64_t *
find(uint64_t (*slots)[2], size_t cap, const uint64_t key[2])
{
	size_t i = key[0] & (cap - 1);

	while ((slots[i][0] != 0 || slots[i][1] != 0) &&
	    (slots[i][0] != key[0] || slots[i][1] != key[1]))
		i = (i + 1) & (cap - 1);
	return slots[i];
}

static void
grow(struct idset *s)
{
	size_t cap = s->cap == 0 ? 256 : s->cap * 2;
	uint64_t(*slots)[2] = xcalloc(cap, sizeof(*slots));

	for (size_t i = 0; i < s->cap; i++)
		if (s->slots[i][0] != 0 || s->slots[i][1] != 0)
			memcpy(find(slots, cap, s->slots[i]), s->slots[i],
			    sizeof(*slots));
	free(s->slots);
	s->slots = slots;
	s->cap = cap;
}

bool
idset_add(struct idset *s, struct slice id)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	uint64_t key[2], *slot;

	SHA256((const unsigned char *)id.p, id.n, digest);
	memcpy(key, digest, sizeof(key));
	if (s->n + 1 > s->cap - s->cap / 4)
		grow(s);
	slot = find(s->slots, s->cap, key);
	if (slot[0] != 0 || slot[1] != 0)
		return false;
	memcpy(slot, key, sizeof(key));
	s->n++;
	return true;
}

void
idset_fini(struct idset *s)
{
	free(s->slots);
	*s = (struct idset){ 0 };
}
