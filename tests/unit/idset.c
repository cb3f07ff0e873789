#include "../../scheduler/idset.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

static bool
add_number(struct idset *s, int i)
{
	char id[32];

	snprintf(id, sizeof(id), "request-%d", i);
	return idset_add(s, slice_str(id));
}

static void
an_id_is_new_once(void)
{
	enum { IDS = 50000 };
	struct idset s = { 0 };
	int news = 0, again = 0;

	for (int i = 0; i < IDS; i++) {
		news += add_number(&s, i);
		/* One from before: it must outlive the growth between. */
		again += add_number(&s, i / 2);
	}
	CU_ASSERT_EQUAL(news, IDS);
	CU_ASSERT_EQUAL(again, 0);
	CU_ASSERT_EQUAL(s.n, IDS);
	for (int i = 0; i < IDS; i++)
		again += add_number(&s, i);
	CU_ASSERT_EQUAL(again, 0);
	idset_fini(&s);
}

static void
memory_for_an_id_is_bounded(void)
{
	enum { FIRST = 192 }; /* that many fit into the least there is */
	struct idset s = { 0 };

	for (int i = 0; i < 20000; i++) {
		size_t bytes;

		add_number(&s, i);
		bytes = s.cap * sizeof(*s.slots);
		CU_ASSERT(s.n < s.cap);
		CU_ASSERT(s.n <= FIRST
			? bytes == 256 * 16
			: bytes <= 43 * s.n && bytes >= 21 * s.n);
	}
	idset_fini(&s);
}

static void
ids_differ_in_any_byte(void)
{
	static char longest[512];
	struct slice longer = { longest, sizeof(longest) };
	struct idset s = { 0 };

	memset(longest, 'x', sizeof(longest));
	CU_ASSERT(idset_add(&s, SLICE("")));
	CU_ASSERT(idset_add(&s, SLICE("a")));
	CU_ASSERT(idset_add(&s, SLICE("A")));
	CU_ASSERT(idset_add(&s, SLICE("a ")));
	CU_ASSERT(idset_add(&s, SLICE("a\0")));
	CU_ASSERT(idset_add(&s, SLICE("a\0b")));
	CU_ASSERT(idset_add(&s, longer));
	CU_ASSERT_FALSE(idset_add(&s, longer));
	longest[511] = 'y';
	CU_ASSERT(idset_add(&s, longer));
	longest[0] = 'y';
	CU_ASSERT(idset_add(&s, longer));
	CU_ASSERT_FALSE(idset_add(&s, SLICE("a\0b")));
	CU_ASSERT_FALSE(idset_add(&s, SLICE("")));
	idset_fini(&s);
}

static void
half_a_hash_is_not_an_id(void)
{
	struct idset s = { 0 };

	CU_ASSERT(idset_add(&s, SLICE("a")));
	for (size_t i = 0; i < s.cap; i++)
		if (s.slots[i][0] != 0)
			s.slots[i][1] ^= 1;
	CU_ASSERT(idset_add(&s, SLICE("a")));
	CU_ASSERT_FALSE(idset_add(&s, SLICE("a")));
	idset_fini(&s);
}

static void
a_set_is_empty_after_fini(void)
{
	struct idset s = { 0 };

	CU_ASSERT(idset_add(&s, SLICE("a")));
	idset_fini(&s);
	CU_ASSERT(s.slots == NULL && s.cap == 0 && s.n == 0);
	CU_ASSERT(idset_add(&s, SLICE("a")));
	idset_fini(&s);
	idset_fini(&s);
}

UNIT_MAIN("idset", UNIT(an_id_is_new_once), UNIT(memory_for_an_id_is_bounded),
    UNIT(ids_differ_in_any_byte), UNIT(half_a_hash_is_not_an_id),
    UNIT(a_set_is_empty_after_fini))
