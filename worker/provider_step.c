#include "provider_own.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sluice/log.h>

enum {
	HOUR_MS = 3600000,
	/* The upstream's window, and what it may take to end. */
	RUNS_MAX_MS = 26 * HOUR_MS,
	CANCEL_MAX_MS = HOUR_MS,
	UPLOADS_MAX = 3,
};

/* Uploading and creating ------------------------------------------------------
 */

/* The upstream does not take what we have; false: it may, later. */
static bool
refused(struct provider_job *job, const struct reply_said *said)
{
	if (said->reply == REPLY_AGAIN && job->failures < PROVIDER_FAILURES_MAX)
		return false;
	if (said->fault == PROVIDER_OVER)
		step_settle_over(job, said->why);
	else if (said->reply == REPLY_REFUSED)
		step_settle_rest(job,
		    &(struct step_rest){ .counts = true,
			.code = "upstream_batch_refused",
			.why = said->why });
	else
		step_give_back(job, said->why, true);
	return true;
}

void
step_uploaded(struct provider_job *job, const struct upstream_result *got)
{
	char id[PROVIDER_ID_MAX + 1];
	struct reply_said said;

	reply_read(job, got, &said);
	if (said.reply == REPLY_OK && provider_file_read(got->body, id)) {
		job_text(job, "file", id);
		job_state(job, "uploaded");
		job_seen_ok(job, false);
		job_end(job, 0);
	} else if (said.reply == REPLY_OK) {
		job_failed(job, 0, "the answer to an upload is no file");
	} else if (!refused(job, &said)) {
		job_failed(job, said.wait_ms, said.why);
	}
}

/* "Cannot find file": it may take the upstream a while to see its own file. */
static void
file_missing(struct provider_job *job, const struct reply_said *said)
{
	if (job->failures < PROVIDER_FAILURES_MAX) {
		job_state(job, "uploaded");
		job_failed(job, said->wait_ms, said->why);
	} else if (job->uploads < UPLOADS_MAX) {
		job_state(job, "packed");
		job_failed(job, said->wait_ms, said->why);
	} else {
		step_settle_rest(job,
		    &(struct step_rest){ .counts = true,
			.code = "upstream_batch_refused",
			.why = said->why });
	}
}

static void
step_created(struct provider_job *job, const struct upstream_result *got)
{
	struct provider_batch batch = { 0 };
	struct reply_said said;

	reply_read(job, got, &said);
	if (said.reply == REPLY_OK && provider_batch_read(got->body, &batch)) {
		job_text(job, "batch", batch.id);
		job_text(job, "status", batch.status_text);
		job_state(job, "running");
		job_seen_ok(job, false);
		log_info("provider.created",
		    "id=%" PRId64 " path=%s model=%s lines=%" PRId64
		    " batch=%s",
		    job->id, job->path->name, job->model, job->lines, batch.id);
		job_end(job, job->path->poll_ms);
	} else if (said.reply == REPLY_OK) {
		job_failed(job, job->path->poll_ms, "the answer is no batch");
	} else if (said.reply == REPLY_AGAIN && said.sent &&
	    got->status != 429) {
		/* Perhaps it is there: it is looked for first. */
		job_failed(job, job->path->poll_ms, said.why);
	} else if (said.reply == REPLY_GONE ||
	    (said.reply == REPLY_REFUSED && said.fault == PROVIDER_OTHER &&
		strcasestr(said.why, "find") != NULL)) {
		file_missing(job, &said);
	} else if (!refused(job, &said)) {
		job_state(job, "uploaded");
		job_failed(job, said.wait_ms, said.why);
	}
	provider_batch_fini(&batch);
}

static void
create(struct provider_job *job)
{
	buf_clear(&job->body);
	buf_addf(
	    &job->body, "{\"input_file_id\":\"%s\",\"endpoint\":", job->file);
	buf_add_json(&job->body, slice_str(job->endpoint));
	buf_addf(&job->body,
	    ",\"completion_window\":\"24h\",\"metadata\":{\"sluice\":\"%s\"}}",
	    job->uid);
	job_call(job, "POST", "/v1/batches", step_created);
}

/* It may have been created by one who could not tell any more
 * -------------------- */

static void look(struct provider_job *job, const char *after);

static void
step_looked(struct provider_job *job, const struct upstream_result *got)
{
	struct provider_batch batch = { 0 };
	char last[PROVIDER_ID_MAX + 1] = "";
	struct reply_said said;
	int found = -1;

	reply_read(job, got, &said);
	if (said.reply == REPLY_OK)
		found = provider_list_find(
		    got->body, job->uid, job->file, &batch, last);
	if (found > 0) {
		job_text(job, "batch", batch.id);
		job_text(job, "status", batch.status_text);
		job_state(job, "running");
		job_seen_ok(job, false);
		log_info("provider.adopted", "id=%" PRId64 " batch=%s", job->id,
		    batch.id);
		job_end(job, 0);
	} else if (found == 0 && last[0] != '\0') {
		look(job, last);
	} else if (found == 0 && job->cancel) {
		step_give_back_cancelled(job);
	} else if (found == 0 && job->failures > PROVIDER_FAILURES_MAX) {
		step_give_back(job, "the upstream creates no batch", true);
	} else if (found == 0) {
		create(job);
	} else {
		job_failed(job, said.wait_ms,
		    said.reply == REPLY_OK ? "the answer is no list of batches"
					   : said.why);
	}
	provider_batch_fini(&batch);
}

static void
look(struct provider_job *job, const char *after)
{
	char target[PROVIDER_TARGET_MAX];

	snprintf(target, sizeof(target), "/v1/batches?limit=100%s%s",
	    after[0] != '\0' ? "&after=" : "", after);
	buf_clear(&job->body);
	job_call(job, "GET", target, step_looked);
}

/* Running
 * ----------------------------------------------------------------------- */

/* Nobody knows what became of its lines. */
static void
settle_lost(struct provider_job *job, bool counts, const char *why)
{
	step_settle_rest(job,
	    &(struct step_rest){ .counts = counts,
		.sent = true,
		.code = "outcome_unknown",
		.why = why });
}

static void
keep_faults(struct provider_job *job, struct provider_batch *batch)
{
	json_t *faults;

	if (batch->faults.n > 0) {
		faults = json_loadb(batch->faults.p, batch->faults.n, 0, NULL);
	} else {
		struct buf b = { 0 };

		buf_addf(&b, "{\"fault\":\"%s\",\"why\":",
		    batch->fault == PROVIDER_OVER        ? "over"
			: batch->fault == PROVIDER_MONEY ? "money"
							 : "other");
		buf_add_json(&b, slice_str(batch->why));
		buf_addc(&b, '}');
		faults = json_loadb(b.p, b.n, 0, NULL);
		buf_fini(&b);
	}
	json_decref(job->faults);
	job->faults = faults;
	json_object_set(job->doc, "faults", faults);
}

static void
batch_ended(struct provider_job *job, struct provider_batch *batch)
{
	snprintf(job->status, sizeof(job->status), "%s", batch->status_text);
	if (batch->status == PROVIDER_FAILED)
		keep_faults(job, batch);
	log_info("provider.ended",
	    "id=%" PRId64 " batch=%s status=%s done=%" PRId64 " lines=%" PRId64,
	    job->id, job->batch, job->status, batch->done, job->lines);
	job_text(job, "output_file", batch->output_file);
	job_text(job, "error_file", batch->error_file);
	if (batch->output_file[0] == '\0' && batch->error_file[0] == '\0') {
		step_settle(job);
		return;
	}
	job_state(job, "fetching");
	job_seen_ok(job, batch->status != PROVIDER_FAILED);
	job_end(job, 0);
}

static int64_t
next_poll_ms(const struct provider_job *job)
{
	int64_t poll_ms = job->path->poll_ms;
	int64_t more_ms = job->ran_ms / 20; /* the longer it runs, */

	/* And of several not all at once. */
	return poll_ms + (more_ms < poll_ms ? more_ms : poll_ms) * 3 / 4 +
	    (int64_t)(provider_chance(job->p) * (double)poll_ms / 4);
}

/* Nobody waits longer for its end, whatever it answers or does not. */
static bool
is_overdue(const struct provider_job *job)
{
	return job->ran_ms > RUNS_MAX_MS || job->cancel_ms > CANCEL_MAX_MS;
}

static void
step_polled(struct provider_job *job, const struct upstream_result *got)
{
	struct provider_batch batch = { 0 };
	struct reply_said said;

	reply_read(job, got, &said);
	if (said.reply == REPLY_OK && provider_batch_read(got->body, &batch)) {
		job_text(job, "status", batch.status_text);
		job_int(job, "done", batch.done);
		if (batch.status != PROVIDER_UNDER_WAY)
			batch_ended(job, &batch);
		else if (is_overdue(job))
			settle_lost(
			    job, false, "the upstream never ended its batch");
		else
			job_end(job, next_poll_ms(job));
	} else if (said.reply == REPLY_GONE &&
	    job->failures >= PROVIDER_FAILURES_MAX) {
		settle_lost(job, true, "the upstream has lost its batch");
	} else if (is_overdue(job)) {
		settle_lost(job, false, "the upstream never ended its batch");
	} else {
		if (said.reply == REPLY_DOWN)
			job_seen_down(job, said.why);
		job_failed(job, said.wait_ms,
		    said.reply == REPLY_OK ? "the answer is no batch"
					   : said.why);
	}
	provider_batch_fini(&batch);
}

static void
poll_batch(struct provider_job *job)
{
	char target[PROVIDER_TARGET_MAX];

	snprintf(target, sizeof(target), "/v1/batches/%s", job->batch);
	buf_clear(&job->body);
	job_call(job, "GET", target, step_polled);
}

/* Whatever it answers, the next look says what became of it. */
static void
step_cancelled(struct provider_job *job, const struct upstream_result *got)
{
	struct reply_said said;

	reply_read(job, got, &said);
	if (said.reply == REPLY_AGAIN || said.reply == REPLY_DOWN) {
		if (is_overdue(job))
			settle_lost(
			    job, false, "the upstream never ended its batch");
		else
			job_failed(job, said.wait_ms, said.why);
		return;
	}
	log_info("provider.cancelled", "id=%" PRId64 " batch=%s", job->id,
	    job->batch);
	job_bool(job, "told");
	job_end(job, job->path->poll_ms / 4);
}

static void
cancel_batch(struct provider_job *job)
{
	char target[PROVIDER_TARGET_MAX];

	snprintf(target, sizeof(target), "/v1/batches/%s/cancel", job->batch);
	buf_clear(&job->body);
	job_call(job, "POST", target, step_cancelled);
}

/* What comes next
 * --------------------------------------------------------------- */

void
step_begin(struct provider_job *job)
{
	static const struct {
		const char *was;
		void (*begin)(struct provider_job *job);
		void (*begin_cancelled)(struct provider_job *job);
	} steps[] = {
		{ "packed", upload_begin, step_give_back_cancelled },
		{ "uploading", upload_begin, step_give_back_cancelled },
		{ "uploaded", create, step_give_back_cancelled },
		{ "running", poll_batch, NULL },
		{ "fetching", fetch_begin, NULL },
		{ "settled", step_clean, NULL },
	};

	if (strcmp(job->was, "creating") == 0) {
		look(job, "");
		return;
	}
	if (strcmp(job->was, "running") == 0 && job->cancel && !job->told) {
		cancel_batch(job);
		return;
	}
	for (size_t i = 0; i < NITEMS(steps); i++)
		if (strcmp(job->was, steps[i].was) == 0) {
			if (job->cancel && steps[i].begin_cancelled != NULL)
				steps[i].begin_cancelled(job);
			else
				steps[i].begin(job);
			return;
		}
	job_failed(job, 0, "a state that is not known");
}
