#include "batch.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sluice/spec.h>

#include "js.h"
#include "out.h"
#include "path_now.h"

enum { BATCH_FAULTS_SHOWN = 20 };

bool
batch_final(const json_t *batch, enum cli_exit *code)
{
	static const struct {
		const char *status;
		enum cli_exit code;
	} finals[] = {
		{ "completed", CLI_OK },
		{ "failed", CLI_ERROR },
		{ "expired", CLI_DEADLINE },
		{ "cancelled", CLI_CANCELLED },
	};
	const json_t *counts = json_object_get(batch, "request_counts");
	const char *status = js_text(batch, "status");

	for (size_t i = 0; i < NITEMS(finals); i++) {
		if (strcmp(finals[i].status, status) != 0)
			continue;
		*code = finals[i].code;
		if (*code == CLI_OK && js_int(counts, "failed") > 0)
			*code = CLI_FAILED_LINES;
		return true;
	}
	return false;
}

void
batch_say_faults(const struct cli *cli, const json_t *batch)
{
	const json_t *fault,
	    *faults = json_object_get(json_object_get(batch, "errors"), "data");
	size_t i, n = json_array_size(faults);

	json_array_foreach(faults, i, fault)
	{
		char line[32] = "";

		if (i == BATCH_FAULTS_SHOWN)
			break;
		if (json_is_integer(json_object_get(fault, "line")))
			snprintf(line, sizeof(line), "line %" PRId64 ": ",
			    js_int(fault, "line"));
		cli_note(cli, "%s%s (%s)", line, js_text(fault, "message"),
		    js_text(fault, "code"));
	}
	if (n > BATCH_FAULTS_SHOWN)
		cli_note(cli, "... and %zu more: sluice show --json %s",
		    n - BATCH_FAULTS_SHOWN, js_text(batch, "id"));
}

/* No path takes its lines, as one is down, or there is none any more. */
static void
waits_for_path(const json_t *waiting, struct buf *to)
{
	const char *why = js_text(waiting, "why");
	char at[OUT_TIME_MAX];

	if (js_text(waiting, "model")[0] != '\0') {
		buf_adds(to, why);
		if (js_text(waiting, "gone")[0] != '\0')
			buf_addf(to, ": path %s was removed %s",
			    js_text(waiting, "gone"),
			    out_clock(js_num(waiting, "gone_at"), at));
	} else if (strcmp(js_text(waiting, "health"), "down") == 0) {
		buf_addf(
		    to, "path %s is down: %s", js_text(waiting, "path"), why);
		if (js_num(waiting, "until") > 0)
			buf_addf(to, ", tried again %s",
			    out_clock(js_num(waiting, "until"), at));
	} else {
		buf_addf(to, "path %s is being tried%s%s",
		    js_text(waiting, "path"), why[0] != '\0' ? ", after " : "",
		    why);
	}
	if (js_text(waiting, "fix")[0] != '\0')
		buf_addf(to, " (%s)", js_text(waiting, "fix"));
}

bool
batch_is_stuck(const json_t *batch)
{
	const json_t *waiting = js_at(batch, "sluice.waiting");

	return js_text(waiting, "health")[0] != '\0' ||
	    js_text(waiting, "model")[0] != '\0';
}

void
batch_waits(const json_t *batch, struct buf *to)
{
	const json_t *waiting = js_at(batch, "sluice.waiting");
	struct buf whose = { 0 };

	if (waiting == NULL)
		return;
	if (batch_is_stuck(batch)) {
		waits_for_path(waiting, to);
	} else if (json_is_true(js_at(waiting, "paused"))) {
		buf_adds(to, "paused: sluice resume lets it go on");
	} else if (js_text(waiting, "key")[0] != '\0') {
		buf_addf(to, "paused for good: %s, which made it, was revoked",
		    js_text(waiting, "key"));
	} else {
		if (js_text(waiting, "of")[0] != '\0')
			buf_adds(&whose, js_text(waiting, "of"));
		else
			buf_addf(&whose, "path %s", js_text(waiting, "path"));
		path_now_waits(
		    waiting, js_text(waiting, "limit"), buf_cstr(&whose), to);
	}
	buf_fini(&whose);
}

void
batch_outlook(const json_t *batch, struct buf *to)
{
	const json_t *o = js_at(batch, "sluice.outlook");
	bool in_time = json_is_true(js_at(o, "feasible"));
	char need[OUT_TIME_MAX], left[OUT_TIME_MAX];

	if (js_at(o, "feasible") == NULL ||
	    (in_time && js_text(o, "limit")[0] == '\0'))
		return;
	out_span(js_int(o, "need_s"), need);
	out_span(js_int(o, "left_s"), left);
	if (js_text(o, "danger")[0] != '\0')
		buf_addf(to, "in danger, %s; ", js_text(o, "danger"));
	buf_adds(to, in_time ? "in time: " : "not in time: ");
	if (js_at(o, "need_s") != NULL)
		buf_addf(to, "%s needed, ", need);
	buf_addf(to, "%s left", left);
	if (js_at(o, "lines_in_time") != NULL)
		buf_addf(to, "; %" PRId64 " of %" PRId64 " lines by then",
		    js_int(o, "lines_in_time"), js_int(o, "lines"));
	if (js_int(o, "lines_ahead") > 0)
		buf_addf(to, ", after %" PRId64 " lines due before",
		    js_int(o, "lines_ahead"));
	if (js_text(o, "limit")[0] != '\0')
		buf_addf(
		    to, " (%s of %s)", js_text(o, "limit"), js_text(o, "of"));
}

void
batch_forecast(const json_t *f, struct buf *to)
{
	const json_t *between = js_at(f, "ends_between");
	char at[OUT_TIME_MAX], from[OUT_TIME_MAX], until[OUT_TIME_MAX];
	char money[32];

	if (js_int(f, "ends_at") == 0)
		return;
	buf_addf(to, "%s (%s to %s)",
	    out_clock((double)js_int(f, "ends_at"), at),
	    out_clock(
		(double)json_integer_value(json_array_get(between, 0)), from),
	    out_clock(
		(double)json_integer_value(json_array_get(between, 1)), until));
	if (json_is_false(js_at(f, "in_time")))
		buf_adds(to, ", too late");
	if (js_int(f, "cost") > 0) {
		spec_money_text(js_int(f, "cost"), money);
		buf_addf(to, ", cost %s", money);
	}
	buf_addf(to, ", confidence %s", js_text(f, "confidence"));
}

void
batch_say_outlook(const struct cli *cli, const json_t *batch)
{
	struct buf said = { 0 };

	batch_outlook(batch, &said);
	if (said.n > 0 &&
	    json_is_false(js_at(batch, "sluice.outlook.feasible")))
		cli_note(cli, "warning: %s", buf_cstr(&said));
	buf_fini(&said);
}

enum slc_rc
batch_get(struct client *c, const char *id, json_t **out, struct slc_err *err)
{
	struct buf path = { 0 };
	enum slc_rc rc = client_call(c, "GET",
	    client_path("/v1/batches/", id, "", &path), NULL, out, err);

	buf_fini(&path);
	return rc;
}

/* Pipes and devices are written to, not replaced. */
static bool
is_replaceable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? S_ISREG(st.st_mode) : errno == ENOENT;
}

enum slc_rc
batch_can_save(const char *path, const char *input, struct slc_err *err)
{
	struct stat out, in;
	char *copy, *where;
	bool there = stat(path, &out) == 0;
	int reason = 0;

	if (strcmp(path, "-") == 0)
		return SLC_OK;
	if (there && stat(input, &in) == 0 && out.st_dev == in.st_dev &&
	    out.st_ino == in.st_ino)
		return slc_fail(err, SLC_EINPUT,
		    "--output %s is the input file: results would replace it",
		    path);
	copy = xstrdup(path);
	where = there && !S_ISREG(out.st_mode) ? copy : dirname(copy);
	if (there && S_ISDIR(out.st_mode))
		reason = EISDIR;
	else if (access(where, W_OK) != 0)
		reason = errno;
	free(copy);
	if (reason != 0)
		return slc_fail(
		    err, SLC_EIO, "--output %s: %s", path, strerror(reason));
	return SLC_OK;
}

enum slc_rc
batch_save(struct client *c, const char *file_id, const char *path,
    struct slc_err *err)
{
	struct buf url = { 0 }, part = { 0 };
	bool temporary = strcmp(path, "-") != 0 && is_replaceable(path);
	FILE *f = stdout;
	enum slc_rc rc = SLC_OK;

	buf_addf(&part, "%s%s", path, temporary ? ".part" : "");
	if (strcmp(path, "-") != 0)
		f = fopen(buf_cstr(&part), "we");
	if (f == NULL) {
		rc = slc_fail(
		    err, SLC_EIO, "%s: %s", buf_cstr(&part), strerror(errno));
		goto out;
	}
	if (file_id[0] != '\0')
		rc = client_download(c,
		    client_path("/v1/files/", file_id, "/content", &url), f,
		    err);
	if (f != stdout && fclose(f) != 0 && rc == SLC_OK)
		rc = slc_fail(err, SLC_EIO, "%s: %s", path, strerror(errno));
	if (temporary && rc == SLC_OK && rename(buf_cstr(&part), path) != 0)
		rc = slc_fail(err, SLC_EIO, "%s: %s", path, strerror(errno));
	if (temporary && rc != SLC_OK)
		unlink(buf_cstr(&part));
out:
	buf_fini(&url);
	buf_fini(&part);
	return rc;
}
