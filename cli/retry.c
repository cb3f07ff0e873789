/* Lines of a batch that have no result, once more as a batch of their own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sluice/jscan.h>

#include "batch.h"
#include "js.h"

/* The custom_id of a line of a file; false: it has none. */
static bool
custom_id(const char *line, size_t n, struct buf *id)
{
	static const struct jscan_want want = { "custom_id", -1 };
	struct jscan_found found = { 0 };
	struct jscan_fault fault;

	while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
		n--;
	buf_clear(id);
	return jscan((struct slice){ line, n }, SLC_DEPTH_MAX, &want, 1, &found,
		   &fault) == JSCAN_OBJECT &&
	    found.kind == JSCAN_STRING && jscan_unquote(found.text, id);
}

/* A file of the server as one without a name, at its beginning. */
static enum slc_rc
fetch(struct client *c, const char *id, FILE **out, struct slc_err *err)
{
	struct buf path = { 0 };
	enum slc_rc rc;

	*out = tmpfile();
	rc = *out == NULL
	    ? slc_fail(err, SLC_EIO, "temporary file: %s", strerror(errno))
	    : client_download(c,
		  client_path("/v1/files/", id, "/content", &path), *out, err);
	buf_fini(&path);
	if (rc == SLC_OK)
		rewind(*out);
	return rc;
}

/* The custom_ids of errors as the members of *ids; false: one has none. */
static bool
read_ids(FILE *errors, json_t *ids)
{
	struct buf id = { 0 };
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	bool all = true;

	while ((n = getline(&line, &size, errors)) > 0)
		all = custom_id(line, (size_t)n, &id) &&
		    json_object_set_new(ids, buf_cstr(&id), json_true()) == 0 &&
		    all;
	free(line);
	buf_fini(&id);
	return all;
}

/* The lines of input that are in ids, byte by byte; how many. */
static size_t
copy_lines(FILE *input, const json_t *ids, FILE *out)
{
	struct buf id = { 0 };
	char *line = NULL;
	size_t size = 0, count = 0;
	ssize_t n;

	while ((n = getline(&line, &size, input)) > 0)
		if (custom_id(line, (size_t)n, &id) &&
		    json_object_get(ids, buf_cstr(&id)) != NULL) {
			fwrite(line, 1, (size_t)n, out);
			count++;
		}
	free(line);
	buf_fini(&id);
	return count;
}

/* The lines of the batch to send again, in a file without a name. */
static enum slc_rc
collect(
    struct client *c, const json_t *batch, FILE **lines, struct slc_err *err)
{
	FILE *errors = NULL, *input = NULL;
	json_t *ids = json_object();
	enum slc_rc rc =
	    fetch(c, js_text(batch, "error_file_id"), &errors, err);

	*lines = tmpfile();
	if (rc == SLC_OK && *lines == NULL)
		rc = slc_fail(
		    err, SLC_EIO, "temporary file: %s", strerror(errno));
	if (rc == SLC_OK)
		rc = fetch(c, js_text(batch, "input_file_id"), &input, err);
	if (rc == SLC_OK) {
		if (!read_ids(errors, ids) ||
		    copy_lines(input, ids, *lines) != json_object_size(ids) ||
		    fflush(*lines) != 0)
			rc = slc_fail(err, SLC_EIO,
			    "not all failed lines could be read and written");
	}
	if (errors != NULL)
		fclose(errors);
	if (input != NULL)
		fclose(input);
	json_decref(ids);
	return rc;
}

/* As submit does it, with the lines in the place of a file. */
static enum cli_exit
submit_again(struct cli *cli, struct client *c, json_t *options, FILE *lines)
{
	const char *id = cli->operand[0];
	char path[32];
	char *operand[] = { path };
	enum cli_exit code;

	snprintf(path, sizeof(path), "/dev/fd/%d", fileno(lines));
	json_object_set_new(
	    json_object_get(options, "metadata"), "retry_of", json_string(id));
	cli->operand = operand;
	code = submit_run(cli, c, options);
	cli->operand = NULL;
	return code;
}

enum cli_exit
cmd_retry(struct cli *cli)
{
	json_t *options = json_object(), *batch = NULL;
	const char *id = cli->operand[0], *output = cli_get(cli, "output");
	struct client c = { 0 };
	struct slc_err err = { 0 };
	FILE *lines = NULL;
	enum cli_exit code = submit_options(cli, options), final;
	enum slc_rc rc = SLC_OK;

	if (code != CLI_OK)
		goto out;
	if (output != NULL && strcmp(output, "-") != 0 &&
	    access(output, F_OK) == 0)
		rc = slc_fail(&err, SLC_EINPUT,
		    "--output %s is there already, maybe with the results of "
		    "the first time: name another",
		    output);
	else if (output != NULL)
		rc = batch_can_save(output, "", &err);
	if (rc == SLC_OK)
		rc = client_open(&c, cli, &err);
	if (rc == SLC_OK)
		rc = batch_get(&c, id, &batch, &err);
	if (rc == SLC_OK && !batch_final(batch, &final))
		rc = slc_fail(&err, SLC_ECONFLICT,
		    "%s has not ended (%s): sluice watch it, or cancel it "
		    "first",
		    id, js_text(batch, "status"));
	if (rc == SLC_OK && final == CLI_ERROR) {
		cli_note(cli, "%s has failed as a whole:", id);
		batch_say_faults(cli, batch);
		code = CLI_ERROR;
		goto out;
	}
	if (rc == SLC_OK && js_at(batch, "error_file_id") == NULL) {
		cli_note(cli, "no line of %s has failed", id);
		goto out;
	}
	if (rc == SLC_OK)
		rc = collect(&c, batch, &lines, &err);
	code = rc == SLC_OK ? submit_again(cli, &c, options, lines)
			    : cli_fail(cli, &err);
out:
	if (lines != NULL)
		fclose(lines);
	json_decref(batch);
	json_decref(options);
	client_close(&c);
	return code;
}
