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

/* What holds it back just now: "path main is down: HTTP 401, ..."; to stays
 * empty when nothing does. */
void batch_waits(const json_t *batch, struct buf *to);
/* It waits for a path that is down, or for one that is gone. */
bool batch_is_stuck(const json_t *batch);

/* What is to be said of the batch's deadline: "not in time: ..."; to stays
 * empty when there is nothing. */
void batch_outlook(const json_t *batch, struct buf *to);
/* On stderr, where it will not be done in time. */
void batch_say_outlook(const struct cli *cli, const json_t *batch);

/* submit.c: the batch that the options ask for, but for its file. */
enum cli_exit submit_options(struct cli *cli, json_t *batch);
/* Upload the lines (the first operand) and make the batch; options then have
 * the file's id. */
enum slc_rc submit_file(struct cli *cli, struct client *c, json_t *options,
    json_t **batch, struct slc_err *err);
/* The same, and all that the command line asks for afterwards. */
enum cli_exit submit_run(struct cli *cli, struct client *c, json_t *options);
/* Delete that file: nothing came of it. */
void submit_forget(struct client *c, const json_t *options);

/* "about 10:40 (10:38 to 10:44), 1.20 in all": what a forecast says; nothing
 * when there is none. */
void batch_forecast(const json_t *forecast, struct buf *to);

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

/* Can results be written to path ("-": stdout) later?  Not over input, which
 * they are of.  Nothing is changed. */
enum slc_rc
batch_can_save(const char *path, const char *input, struct slc_err *err);

/*
 * Write a file of the server to path ("-": stdout), all or nothing; an empty id
 * makes an empty file.
 */
enum slc_rc batch_save(struct client *c, const char *file_id, const char *path,
    struct slc_err *err);

#endif
