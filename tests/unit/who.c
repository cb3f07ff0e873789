#include <string.h>

#include "../../scheduler/who.h"
#include "unit.h"

static const unsigned char *
hash_of(uint32_t n)
{
	static unsigned char hash[KEY_HASH];

	memcpy(hash + 20, &n, sizeof(n));
	return hash;
}

static void
keys_are_known_by_all_of_their_hash(void)
{
	struct whos w = { 0 };
	const struct who *got;

	whos_put(&w, hash_of(1), &(struct who){ .key = 1, .as_of = 5 }, 100);
	whos_put(&w, hash_of(2), &(struct who){ .key = 2, .cache = true }, 100);
	CU_ASSERT_PTR_NULL(whos_find(&w, hash_of(3), 0));
	got = whos_find(&w, hash_of(1), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(got);
	CU_ASSERT_EQUAL(got->key, 1);
	CU_ASSERT_EQUAL(got->as_of, 5);
	whos_put(&w, hash_of(1), &(struct who){ .key = 1, .as_of = 6 }, 100);
	CU_ASSERT_EQUAL(whos_find(&w, hash_of(1), 0)->as_of, 6);
	CU_ASSERT_TRUE(whos_find(&w, hash_of(2), 0)->cache);
	whos_fini(&w);
}

static void
a_key_that_ends_is_forgotten_in_time(void)
{
	struct whos w = { 0 };

	whos_put(&w, hash_of(1), &(struct who){ .key = 1 }, 100);
	CU_ASSERT_PTR_NOT_NULL(whos_find(&w, hash_of(1), 99));
	CU_ASSERT_PTR_NULL(whos_find(&w, hash_of(1), 100));
	whos_put(&w, hash_of(1), &(struct who){ .key = 1 }, 200);
	CU_ASSERT_PTR_NOT_NULL(whos_find(&w, hash_of(1), 100));
	whos_drop(&w, hash_of(1));
	whos_drop(&w, hash_of(1));
	CU_ASSERT_PTR_NULL(whos_find(&w, hash_of(1), 100));
	whos_fini(&w);
}

static void
no_more_are_kept_than_that(void)
{
	struct whos w = { 0 };
	int known = 0;

	for (uint32_t i = 0; i <= WHO_MAX; i++)
		whos_put(&w, hash_of(i), &(struct who){ .key = i }, 100);
	for (uint32_t i = 0; i <= WHO_MAX; i++)
		known += whos_find(&w, hash_of(i), 0) != NULL;
	CU_ASSERT_TRUE(known >= 1 && known <= WHO_MAX);
	CU_ASSERT_PTR_NOT_NULL(whos_find(&w, hash_of(WHO_MAX), 0));
	whos_fini(&w);
}

UNIT_MAIN("who", UNIT(keys_are_known_by_all_of_their_hash),
    UNIT(a_key_that_ends_is_forgotten_in_time),
    UNIT(no_more_are_kept_than_that))
