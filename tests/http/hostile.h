/*
 * hostile - the cases of tests/data/hostile.txt, one after another.
 */
#ifndef TESTS_HTTP_HOSTILE_H
#define TESTS_HTTP_HOSTILE_H

#include <stdio.h>

#include <sluice/buf.h>

enum { HOSTILE_ANSWERS_MAX = 4 };

struct hostile {
	char name[80];
	int status[HOSTILE_ANSWERS_MAX];
	int answers;
	bool open; /* after the last answer */
	struct buf bytes;
};

/* The next case into h, which is zeroed at first; false at the end of f. */
bool hostile_next(FILE *f, struct hostile *h);
FILE *hostile_open(void);

#endif
