#include "hook_sign.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

enum { TEXT_MAX = 88, DIGEST = 32, DIGEST_TEXT = 44 };

/* The bytes of "whsec_..."; 0: it is none. */
static size_t
decode(struct slice line, unsigned char out[TEXT_MAX])
{
	static const struct slice mark = SLICE("whsec_");
	const unsigned char *text = (const void *)(line.p + mark.n);
	size_t n = line.n - mark.n, pad = 0;
	int got;

	if (line.n <= mark.n || memcmp(line.p, mark.p, mark.n) != 0 ||
	    n > TEXT_MAX || n % 4 != 0)
		return 0;
	while (pad < 2 && text[n - 1 - pad] == '=')
		pad++;
	got = EVP_DecodeBlock(out, text, (int)n);
	if (got < (int)(HOOK_SECRET_MIN + pad) ||
	    got > (int)(HOOK_SECRET_MAX + pad))
		return 0;
	return (size_t)got - pad;
}

const char *
hook_sign(struct slice secrets, const char *id, int64_t at_s, struct slice body,
    struct buf *out)
{
	unsigned char secret[TEXT_MAX], digest[DIGEST], text[DIGEST_TEXT + 1];
	const char *fault = NULL;
	struct buf content = { 0 };
	size_t before = out->n, lines = 0;

	buf_addf(&content, "%s.%" PRId64 ".", id, at_s);
	buf_add(&content, body.p, body.n);
	while (secrets.n > 0 && fault == NULL) {
		const char *nl = memchr(secrets.p, '\n', secrets.n);
		size_t len = nl == NULL ? secrets.n : (size_t)(nl - secrets.p);
		struct slice line = { secrets.p, len };
		size_t n;

		secrets.p += len + (nl != NULL);
		secrets.n -= len + (nl != NULL);
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (line.n == 0)
			continue;
		n = decode(line, secret);
		if (n == 0 || lines == HOOK_SECRETS_MAX) {
			fault = n == 0 ? "holds a line that is no whsec_..."
				       : "holds more than four secrets";
			break;
		}
		HMAC(EVP_sha256(), secret, (int)n, (const void *)content.p,
		    content.n, digest, NULL);
		EVP_EncodeBlock(text, digest, DIGEST);
		buf_addf(out, "%sv1,%s", lines++ > 0 ? " " : "", (char *)text);
	}
	if (fault == NULL && lines == 0)
		fault = "is empty";
	if (fault != NULL)
		out->n = before;
	explicit_bzero(secret, sizeof(secret));
	buf_fini(&content);
	return fault;
}
