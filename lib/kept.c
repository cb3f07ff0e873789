#include <sluice/kept.h>

#include <openssl/evp.h>
#include <stdio.h>

#include <sluice/jscan.h>

const char *const kept_headers[KEPT_HEADERS] = { "content-type", "accept",
	"openai-beta", "anthropic-version", "anthropic-beta" };

static const struct {
	const char *path;
	bool always; /* whatever the temperature */
} kinds[] = {
	{ "/v1/chat/completions", false },
	{ "/v1/completions", false },
	{ "/v1/embeddings", true },
	{ "/v1/moderations", true },
};

/* 0, 0.00, -0e5 */
static bool
is_zero(const struct jscan_found *f)
{
	if (f->kind != JSCAN_NUMBER)
		return false;
	for (size_t i = 0; i < f->text.n; i++) {
		char c = f->text.p[i];

		if (c == 'e' || c == 'E')
			break;
		if (c != '-' && c != '.' && c != '0')
			return false;
	}
	return true;
}

bool
kept_repeats(struct slice path, struct slice body)
{
	static const struct jscan_want wants[] = { { "temperature", -1 },
		{ "stream", -1 } };
	struct jscan_found found[NITEMS(wants)];
	struct jscan_fault fault;
	size_t k = 0;

	while (k < NITEMS(kinds) && !slice_eq(path, kinds[k].path))
		k++;
	if (k == NITEMS(kinds) ||
	    jscan(body, SLC_DEPTH_MAX, wants, NITEMS(wants), found, &fault) !=
		JSCAN_OBJECT)
		return false;
	return found[1].kind != JSCAN_TRUE &&
	    (kinds[k].always || is_zero(&found[0]));
}

static void
add(EVP_MD_CTX *md, struct slice s)
{
	unsigned char n[8];

	/* With its length: no two requests have the same bytes here. */
	for (int i = 0; i < 8; i++)
		n[i] = (unsigned char)((uint64_t)s.n >> (56 - 8 * i));
	EVP_DigestUpdate(md, n, sizeof(n));
	EVP_DigestUpdate(md, s.p == NULL ? "" : s.p, s.n);
}

static bool
says_nothing(size_t header, struct slice value)
{
	return (header <= 1 && slice_ieq(value, "application/json")) ||
	    (header == 1 && slice_eq(value, "*/*"));
}

void
kept_key(const struct kept_request *r, unsigned char out[KEPT_KEY])
{
	static const struct slice nothing;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	char cap[24];

	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	add(md, r->path);
	add(md, r->query);
	for (size_t i = 0; i < KEPT_HEADERS; i++)
		add(md, says_nothing(i, r->header[i]) ? nothing : r->header[i]);
	add(md, r->body);
	if (r->max_tokens > 0) {
		snprintf(cap, sizeof(cap), "%lld", (long long)r->max_tokens);
		add(md, slice_str(cap));
	}
	EVP_DigestFinal_ex(md, out, NULL);
	EVP_MD_CTX_free(md);
}
