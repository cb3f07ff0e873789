/*
 * batch - what several commands do with a batch: wait for its end, say what
 * went wrong, save its results.
 */
#ifndef CLI_BATCH_H
#define CLI_BATCH_H

#include "client.h"

/* How a final state ends a command; false: not final. */
bool batch_final(const json_t *batch, enum cli_exit *code);

/* Say on stderr what is wrong with the input of a batch that failed. */
void batch_say_faults(const struct cli *cli, const json_t *batch);

/* What is to be said of the batch's deadline: "not in time: ..."; to stays empty
 * when there is nothing. */
void batch_outlook(const json_t *batch, struct buf *to);
/* On stderr, where it will not be done in time. */
void batch_say_outlook(const struct cli *cli, const json_t *batch);

/* GET /v1/batches/ID. */
enum slc_rc
batch_get(struct client *c, const char *id, json_t **out, struct slc_err *err);

/*
 * Wait until all are final, with progress on stderr; with stream, each change
 * is a line of JSON on stdout.  last[0..n) are their last objects, the
 * caller's. Interrupted, the program ends and says how to go on waiting.
 */
enum cli_exit batch_wait(struct cli *cli, struct client *c, char *const *ids,
    size_t n, bool stream, json_t **last);

/*
 * Write a file of the server to path ("-": stdout), all or nothing; an empty id
 * makes an empty file.
 */
enum slc_rc batch_save(struct client *c, const char *file_id, const char *path,
    struct slc_err *err);

#endif
