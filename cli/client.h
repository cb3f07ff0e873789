/*
 * client - calls to a Sluice server: blocking, one at a time, bodies of files
 * streamed both ways.
 *
 * An error has the server's own message.  SLC_EDB: the server is not there or
 * cannot work now, and trying again may help.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>

#include "cli.h"

struct client {
	CURL *curl;
	struct buf url, key; /* key empty: none is sent */
	struct buf body;     /* of the last answer, as it came */
	long status;         /* its HTTP status; 0: no answer */
	int tries; /* > 1: POSTs are repeated under one Idempotency-Key */
	const struct cli *cli;
};

/* Find the server and the key; no connection yet. */
enum slc_rc
client_open(struct client *c, const struct cli *cli, struct slc_err *err);
/* The same with a URL that is known, and without a key. */
void client_open_url(struct client *c, const struct cli *cli, const char *url);
void client_close(struct client *c);

/* prefix + id, made safe for a URL, + suffix; to is cleared first. */
const char *client_path(
    const char *prefix, const char *id, const char *suffix, struct buf *to);

/*
 * Call and read the object of the answer: *out (may be NULL) is the caller's.
 * body (may be NULL) is sent as JSON.
 */
enum slc_rc client_call(struct client *c, const char *method, const char *path,
    const json_t *body, json_t **out, struct slc_err *err);

/* Where the bytes of an upload come from. */
struct client_source {
	const char *name;                              /* of the file */
	int64_t size;                                  /* -1: not known */
	size_t (*read)(void *arg, char *to, size_t n); /* 0: end */
	bool (*rewind)(void *arg);         /* to the start; false: cannot */
	const char *(*trouble)(void *arg); /* reading failed: why; or NULL */
	void *arg;
};

/* POST /v1/files with purpose batch. */
enum slc_rc client_upload(struct client *c, const struct client_source *source,
    json_t **out, struct slc_err *err);

/*
 * GET path into a file.  A connection that breaks is made again and goes on
 * where it was.
 */
enum slc_rc client_download(
    struct client *c, const char *path, FILE *to, struct slc_err *err);

#endif
