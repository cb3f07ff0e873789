/* Files at the upstream that nobody needs any more. */
#include "provider_own.h"

#include <stdio.h>
#include <string.h>

static void
step_deleted(struct provider_job *job, const struct upstream_result *got)
{
	char target[PROVIDER_TARGET_MAX];
	struct reply_said said;

	if (got != NULL) {
		reply_read(job, got, &said);
		if (said.reply == REPLY_AGAIN || said.reply == REPLY_DOWN) {
			/* It is only room there: not for ever. */
			if (job->failures >= PROVIDER_FAILURES_MAX)
				job_state(job, "cleaned");
			job_failed(job, said.wait_ms, said.why);
			return;
		}
	}
	if (job->next_id >= job->ids.n) {
		job_state(job, "cleaned");
		job_end(job, 0);
		return;
	}
	snprintf(
	    target, sizeof(target), "/v1/files/%s", job->ids.p + job->next_id);
	job->next_id += strlen(job->ids.p + job->next_id) + 1;
	buf_clear(&job->body);
	job_call(job, "DELETE", target, step_deleted);
}

static void list_files(struct provider_job *job, const char *after);

static void
step_listed(struct provider_job *job, const struct upstream_result *got)
{
	char last[PROVIDER_ID_MAX + 1] = "", name[64];
	struct reply_said said;

	snprintf(name, sizeof(name), "sluice-%s.jsonl", job->uid);
	reply_read(job, got, &said);
	/* One that has no lists keeps its strays. */
	if (said.reply == REPLY_OK)
		provider_list_strays(
		    got->body, name, job->file, &job->ids, last);
	if (said.reply == REPLY_AGAIN || said.reply == REPLY_DOWN) {
		if (job->failures >= PROVIDER_FAILURES_MAX)
			job_state(job, "cleaned");
		job_failed(job, said.wait_ms, said.why);
	} else if (last[0] != '\0') {
		list_files(job, last);
	} else {
		step_deleted(job, NULL);
	}
}

static void
list_files(struct provider_job *job, const char *after)
{
	char target[PROVIDER_TARGET_MAX];

	snprintf(target, sizeof(target),
	    "/v1/files?purpose=batch&limit=1000%s%s",
	    after[0] != '\0' ? "&after=" : "", after);
	buf_clear(&job->body);
	job_call(job, "GET", target, step_listed);
}

void
step_clean(struct provider_job *job)
{
	const char *const files[] = { job->file, job->output_file,
		job->error_file };

	for (size_t i = 0; i < NITEMS(files); i++)
		if (files[i][0] != '\0')
			buf_add(&job->ids, files[i], strlen(files[i]) + 1);
	/* An upload that nobody heard the answer of may be there. */
	if (job->uploads > 1 || (job->uploads > 0 && job->file[0] == '\0'))
		list_files(job, "");
	else
		step_deleted(job, NULL);
}
