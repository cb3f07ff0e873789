/*
 * key - a caller's secret: "sk-slc-" and 43 characters of base62, 256 random
 * bits, of which only the SHA-256 is ever stored.
 */
#ifndef SLUICE_KEY_H
#define SLUICE_KEY_H

#include <sluice/slc.h>

enum {
	KEY_MAX = 64,
	KEY_RANDOM = 43,   /* characters */
	KEY_TEXT = 7 + 43, /* with the prefix */
	KEY_HASH = 32,
	KEY_HINT = 4, /* last characters, shown in lists */
};

struct key {
	char text[KEY_MAX]; /* show once, then wipe */
	unsigned char hash[KEY_HASH];
	char hint[KEY_HINT + 1];
};

void key_new(struct key *key);

/* The key that a file or a person holds; false if it cannot be one at all. */
bool key_read(struct slice text, struct key *key);

/* The hash of what a caller sent; false if it cannot be a key at all. */
bool key_hash(struct slice text, unsigned char hash[KEY_HASH]);

/* Forget the text: explicit_bzero() of the whole. */
void key_wipe(struct key *key);

#endif
