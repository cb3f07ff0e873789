/*
 * hook_sign - signatures of webhooks by the Standard Webhooks scheme.
 *
 * Pure.
 */
#ifndef WORKER_HOOK_SIGN_H
#define WORKER_HOOK_SIGN_H

#include <sluice/buf.h>

enum {
	HOOK_SECRETS_MAX = 4, /* while receivers go from one to the next */
	HOOK_SECRET_MIN = 16, /* bytes, decoded */
	HOOK_SECRET_MAX = 64,
};

/*
 * Append the value of webhook-signature: "v1," and the base64 of the
 * HMAC-SHA256 of id.at_s.body, one for each secret, with a space between.
 * secrets: a line each, "whsec_" and base64.  NULL, or what is wrong with them;
 * then nothing has been appended.
 */
const char *hook_sign(struct slice secrets, const char *id, int64_t at_s,
    struct slice body, struct buf *out);

#endif
