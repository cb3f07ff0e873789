/*
 * live - what sluiced and a live worker say to each other, and which headers
 * of callers and upstreams each lets through.
 *
 * Pure.  sluiced sends a caller's request to the worker's own listener: same
 * method, target and body, with LIVE_TOKEN and those that follow.  Only
 * the worker adds the upstream's secret.
 */
#ifndef SLUICE_LIVE_H
#define SLUICE_LIVE_H

#include <sluice/slc.h>

#define LIVE_TOKEN     "x-sluice-token" /* opens; sluice.worker.live_token */
#define LIVE_ADMISSION "x-sluice-admission" /* what the worker settles */
#define LIVE_PATH      "x-sluice-path"      /* path id */
/* When it is late, sluice.admit()'s leave_us; not there: never. */
#define LIVE_LEAVE "x-sluice-leave"
#define LIVE_MODEL "x-sluice-model" /* escaped as in a URL */

/* In a worker's answer: not a byte went to the upstream and nothing was
 * settled, another worker may try. */
#define LIVE_UNSENT "x-sluice-unsent"

enum { LIVE_TOKEN_BYTES = 24 }; /* random; twice as many hex digits */

/*
 * May this header of a request go on towards the upstream?  What describes the
 * body, the program that asks, and betas of the API; never credentials,
 * cookies, what names a host or a hop, nor what picks an account with the
 * provider.
 */
bool live_goes_up(struct slice name);

/* May this header of an answer go on to the caller?  Not what speaks of our
 * account, its limits or the hop. */
bool live_comes_down(struct slice name);

#endif
