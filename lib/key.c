#include <sluice/key.h>

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define KEY_PREFIX "sk-slc-"

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "abcdefghijklmnopqrstuvwxyz";

/* Bytes of 248 and more are thrown away, so that no character is likelier. */
static void
draw(char *out, size_t n)
{
	unsigned char raw[64];
	size_t i = 0, left = 0;

	while (i < n) {
		if (left == 0) {
			if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
				abort();
			left = sizeof(raw);
		}
		if (raw[--left] < 62 * 4)
			out[i++] = base62[raw[left] % 62];
	}
	explicit_bzero(raw, sizeof(raw));
}

bool
key_hash(struct slice text, unsigned char hash[KEY_HASH])
{
	const size_t prefix = strlen(KEY_PREFIX);

	if (text.n != KEY_TEXT || memcmp(text.p, KEY_PREFIX, prefix) != 0)
		return false;
	for (size_t i = prefix; i < text.n; i++)
		if (text.p[i] == '\0' || strchr(base62, text.p[i]) == NULL)
			return false;
	return EVP_Digest(text.p, text.n, hash, NULL, EVP_sha256(), NULL) == 1;
}

bool
key_read(struct slice text, struct key *key)
{
	*key = (struct key){ 0 };
	if (!key_hash(text, key->hash))
		return false;
	memcpy(key->text, text.p, text.n);
	memcpy(key->hint, text.p + text.n - KEY_HINT, KEY_HINT);
	return true;
}

void
key_new(struct key *key)
{
	char text[KEY_TEXT];

	memcpy(text, KEY_PREFIX, strlen(KEY_PREFIX));
	draw(text + strlen(KEY_PREFIX), KEY_RANDOM);
	if (!key_read((struct slice){ text, sizeof(text) }, key))
		abort();
	explicit_bzero(text, sizeof(text));
}

void
key_wipe(struct key *key)
{
	explicit_bzero(key, sizeof(*key));
}
