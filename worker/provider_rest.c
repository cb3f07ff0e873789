#include "provider_own.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sluice/log.h>

void
step_settle_rest(struct provider_job *job, const struct step_rest *rest)
{
	json_t *o = json_object();

	json_object_set_new(o, "counts", json_boolean(rest->counts));
	json_object_set_new(o, "sent", json_boolean(rest->sent));
	json_object_set_new(o, "attempts", json_integer(job->path->attempts));
	json_object_set_new(o, "code", json_string(rest->code));
	json_object_set_new(job->doc, "rest", o);
	job_state(job, "settled");
	job_text(job, "why", rest->why);
	json_object_set(o, "why", json_object_get(job->doc, "why"));
	log_info("provider.settled",
	    "id=%" PRId64 " batch=%s status=%s why=\"%s\"", job->id, job->batch,
	    job->status, rest->why);
	job_end(job, 0);
}

void
step_give_back(struct provider_job *job, const char *why, bool down)
{
	if (down)
		job_seen_down(job, why);
	step_settle_rest(
	    job, &(struct step_rest){ .code = "outcome_unknown", .why = why });
}

void
step_give_back_cancelled(struct provider_job *job)
{
	snprintf(job->status, sizeof(job->status), "cancelled");
	job_text(job, "status", "cancelled");
	step_give_back(job, "cancelled before it was created", false);
}

void
step_settle_over(struct provider_job *job, const char *why)
{
	json_t *seen = json_object(), *over = json_object();

	json_object_set_new(over, "lines", json_integer(job->lines));
	json_object_set_new(over, "tokens", json_integer(job->tokens));
	json_object_set_new(
	    over, "wait_ms", json_integer(2 * job->path->poll_ms));
	json_object_set_new(seen, "path", json_integer(job->path->id));
	json_object_set_new(seen, "model", json_string(job->model));
	json_object_set_new(seen, "ok", json_integer(1));
	json_object_set_new(seen, "over", over);
	json_object_set_new(job->doc, "seen", seen);
	/* Also where the call itself said so. */
	json_object_set_new(
	    job->doc, "faults", json_pack("{ss}", "fault", "over"));
	step_give_back(job, why, false);
}

static void
settle_failed(struct provider_job *job)
{
	const char *fault =
	    json_string_value(json_object_get(job->faults, "fault"));
	const char *why =
	    json_string_value(json_object_get(job->faults, "why"));

	if (why == NULL || why[0] == '\0')
		why = "the upstream's batch failed";
	/* Its other lines were not looked at. */
	if (json_is_array(job->faults))
		step_settle_rest(job,
		    &(struct step_rest){ .code = "outcome_unknown",
			.why = "the upstream refused other lines of its "
			       "batch" });
	else if (fault != NULL && strcmp(fault, "over") == 0)
		step_settle_over(job, why);
	else if (fault != NULL && strcmp(fault, "money") == 0)
		step_give_back(job, why, true);
	else
		step_settle_rest(job,
		    &(struct step_rest){ .counts = true,
			.code = "upstream_batch_failed",
			.why = why });
}

void
step_settle(struct provider_job *job)
{
	if (strcmp(job->status, "failed") == 0)
		settle_failed(job);
	else if (strcmp(job->status, "expired") == 0)
		step_settle_rest(job,
		    &(struct step_rest){ .code = "outcome_unknown",
			.why = "the upstream's batch expired before it" });
	else if (strcmp(job->status, "cancelled") == 0)
		step_settle_rest(job,
		    &(struct step_rest){ .code = "outcome_unknown",
			.why = "the upstream's batch was cancelled before "
			       "it" });
	else
		step_settle_rest(job,
		    &(struct step_rest){ .counts = true,
			.sent = true,
			.code = "outcome_unknown",
			.why = "the upstream's batch ended without a result "
			       "for it" });
}
