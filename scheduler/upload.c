/*
 * upload - POST /v1/files: a multipart body, checked and stored as it streams.
 *
 * Pieces go multipart -> jsonl -> chunks -> database.  One call to the database
 * is out at a time; what waits for it is bounded by pausing the peer.  Nothing
 * is visible before file_publish() commits.
 */
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/utf8.h>

#include "api.h"
#include "ingest.h"
#include "multipart.h"

enum {
	UPLOAD_WAITING_MAX = 1
	    << 20, /* weight of chunks; then the peer waits */
	UPLOAD_CALL_WEIGHT = 1 << 20,   /* of chunks in one transaction */
	UPLOAD_FIELD_MAX = 256,         /* bytes of a form field */
	UPLOAD_OVERHEAD_MAX = 64 << 10, /* form-data around the file */
	UPLOAD_KEEP_MIN_S = 3600,
	UPLOAD_KEEP_MAX_S = 30 * 86400,
};

enum field {
	FIELD_FILE,
	FIELD_PURPOSE,
	FIELD_ANCHOR,
	FIELD_SECONDS,
	FIELD_OTHER
};

static const char *const field_names[] = { "file", "purpose",
	"expires_after[anchor]", "expires_after[seconds]" };

struct upload {
	struct call *call;
	struct multipart *form;
	enum field field;  /* of the part that is being read */
	const char *param; /* its name; NULL between parts, and of others */
	bool seen[FIELD_OTHER];
	struct buf value; /* of that field */
	struct ingest *ingest;
	EVP_MD_CTX *sha;
	char *name;
	struct buf key_text; /* the peer may be gone when it is needed */
	const char *key;
	int64_t keep_s;
	int64_t file; /* 0: not begun yet */
	char day[11];
	bool beginning, sending, ended, broken;
};

static void upload_step(struct upload *u);

/* Ends: nobody refers to the upload any more, and the call may go. */
static void
upload_free(struct upload *u)
{
	struct call *call = u->call;

	call->state = NULL;
	multipart_free(u->form);
	ingest_free(u->ingest);
	EVP_MD_CTX_free(u->sha);
	buf_fini(&u->value);
	buf_fini(&u->key_text);
	free(u->name);
	free(u);
	call_drop(call);
}

static void
upload_on_abandoned(struct db_result *res, void *arg)
{
	(void)res; /* the sweeper finds it anyway */
	(void)arg;
}

/* Not to be finished: the database is told, and what waits is dropped. */
static void
upload_break(struct upload *u)
{
	u->broken = true;
	if (u->beginning || u->sending)
		return; /* upload_step() comes back here */
	if (u->file > 0)
		db_run(u->call->api->db, upload_on_abandoned, NULL,
		    STMT_FILE_ABANDON, u->call->account, u->file);
	upload_free(u);
}

/* The form ---------------------------------------------------------------- */

static enum slc_rc
upload_on_part(
    void *ctx, const struct multipart_part *part, struct slc_err *err)
{
	struct upload *u = ctx;

	u->field = FIELD_OTHER;
	for (int f = 0; f < FIELD_OTHER; f++)
		if (slice_eq(part->name, field_names[f]))
			u->field = (enum field)f;
	buf_clear(&u->value);
	u->param = NULL;
	if (u->field == FIELD_OTHER)
		return SLC_OK; /* ignored, as OpenAI does */
	u->param = field_names[u->field];
	if (u->seen[u->field])
		return slc_fail(err, SLC_EINPUT, "The form has '%s' twice.",
		    field_names[u->field]);
	u->seen[u->field] = true;
	if (u->field != FIELD_FILE)
		return SLC_OK;
	if (part->filename.n > SLC_FILE_NAME_MAX)
		return slc_fail(err, SLC_EINPUT,
		    "The file's name has %zu bytes; %d are allowed.",
		    part->filename.n, SLC_FILE_NAME_MAX);
	if (!utf8_ok(part->filename.p, part->filename.n))
		return slc_fail(
		    err, SLC_EINPUT, "The file's name must be valid UTF-8.");
	u->name = part->filename.n > 0
	    ? xstrndup(part->filename.p, part->filename.n)
	    : xstrdup("upload.jsonl");
	return SLC_OK;
}

static enum slc_rc
upload_on_data(void *ctx, struct slice piece, struct slc_err *err)
{
	struct upload *u = ctx;

	if (u->field == FIELD_OTHER)
		return SLC_OK;
	if (u->field != FIELD_FILE) {
		if (u->value.n + piece.n > UPLOAD_FIELD_MAX)
			return slc_fail(err, SLC_EINPUT,
			    "The form's '%s' has more than %d bytes.",
			    field_names[u->field], UPLOAD_FIELD_MAX);
		buf_add(&u->value, piece.p, piece.n);
		return SLC_OK;
	}
	if (ingest_bytes(u->ingest) + (int64_t)piece.n >
	    u->call->api->conf.max_file_bytes)
		return slc_fail(err, SLC_ETOOBIG,
		    "The file has more than %lld bytes.",
		    (long long)u->call->api->conf.max_file_bytes);
	EVP_DigestUpdate(u->sha, piece.p, piece.n);
	return ingest_feed(u->ingest, piece, err);
}

static enum slc_rc
upload_on_part_end(void *ctx, struct slc_err *err)
{
	struct upload *u = ctx;
	struct slice v = buf_slice(&u->value);
	enum slc_rc rc = SLC_OK;

	switch (u->field) {
	case FIELD_FILE:
		rc = ingest_end(u->ingest, err);
		break;
	case FIELD_PURPOSE:
		if (!slice_eq(v, "batch"))
			rc = slc_fail(err, SLC_EINPUT,
			    "Invalid value for 'purpose': '%.*s'. Supported: "
			    "'batch'.",
			    (int)v.n, v.p);
		break;
	case FIELD_ANCHOR:
		if (!slice_eq(v, "created_at"))
			rc = slc_fail(err, SLC_EINPUT,
			    "'expires_after[anchor]' must be 'created_at'.");
		break;
	case FIELD_SECONDS:
		if (!slice_int(v, UPLOAD_KEEP_MAX_S, &u->keep_s) ||
		    u->keep_s < UPLOAD_KEEP_MIN_S)
			rc = slc_fail(err, SLC_EINPUT,
			    "'expires_after[seconds]' must be from %d to %d.",
			    UPLOAD_KEEP_MIN_S, UPLOAD_KEEP_MAX_S);
		break;
	case FIELD_OTHER:
		break;
	}
	if (rc == SLC_OK)
		u->param = NULL;
	return rc;
}

static const struct multipart_handler form_handler = {
	.on_part = upload_on_part,
	.on_data = upload_on_data,
	.on_part_end = upload_on_part_end,
};

/* To the database ------------------------------------------------------- */

static void
upload_on_published(struct db_result *res, void *arg)
{
	struct upload *u = arg;

	if (db_rc(res) == SLC_OK)
		api_json(u->call, 200, db_slice(res, 0, 0, 0));
	else
		api_db_error(u->call, res);
	upload_free(u);
}

static void
upload_publish(struct upload *u)
{
	struct ingest_total total;
	unsigned char sha[SHA256_DIGEST_LENGTH], hash[SHA256_DIGEST_LENGTH];
	unsigned n = sizeof(sha);
	EVP_MD_CTX *ctx;

	EVP_DigestFinal_ex(u->sha, sha, &n);
	/* What makes two uploads the same request. */
	ctx = EVP_MD_CTX_new();
	EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
	EVP_DigestUpdate(ctx, sha, sizeof(sha));
	EVP_DigestUpdate(ctx, &u->keep_s, sizeof(u->keep_s));
	EVP_DigestUpdate(ctx, u->name, strlen(u->name));
	EVP_DigestFinal_ex(ctx, hash, &n);
	EVP_MD_CTX_free(ctx);
	ingest_total(u->ingest, &total);
	u->sending = true;
	db_run(u->call->api->db, upload_on_published, u, STMT_FILE_PUBLISH,
	    u->call->account, u->file, total.bytes, total.lines,
	    (struct slice){ (const char *)sha, sizeof(sha) }, total.endpoint,
	    total.models, total.nmodels, total.model_lines, total.nmodels,
	    total.faults, u->keep_s, u->key,
	    (struct slice){ (const char *)hash, sizeof(hash) });
}

static void
upload_on_sent(struct db_result *res, void *arg)
{
	struct upload *u = arg;

	u->sending = false;
	if (db_rc(res) != SLC_OK) {
		api_db_error(u->call, res);
		u->broken = true;
	}
	upload_step(u);
}

static void
upload_send(struct upload *u)
{
	struct db_call *call = db_call(u->call->api->db, upload_on_sent, u);
	const struct ingest_chunk *c;
	size_t weight = 0;

	while (weight < UPLOAD_CALL_WEIGHT &&
	    (c = ingest_next(u->ingest)) != NULL) {
		size_t n = c->lines;

		db_add(call, STMT_FILE_CHUNK, u->file, u->day, c->first_byte,
		    (int64_t)c->first_line, buf_slice(&c->bytes), c->line_end,
		    n, c->id_at, n, c->id_len, n, c->body_at, n, c->body_len, n,
		    c->model, n, c->model_at, n, c->model_len, n, c->cap, n,
		    c->combine, c->combines ? n : 0);
		weight += ingest_weight(c);
		ingest_done(u->ingest);
	}
	u->sending = true;
	db_send(call);
}

static void
upload_on_begun(struct db_result *res, void *arg)
{
	struct upload *u = arg;
	struct slice day;

	u->beginning = false;
	if (db_rc(res) != SLC_OK) {
		api_db_error(u->call, res);
		u->broken = true;
	} else {
		u->file = db_int(res, 0, 0, 0);
		day = db_slice(res, 0, 0, 2);
		memcpy(u->day, day.p, sizeof(u->day) - 1);
	}
	upload_step(u);
}

/* Whatever can be done now. */
static void
upload_step(struct upload *u)
{
	struct call *call = u->call;

	if (u->broken) {
		upload_break(u);
		return;
	}
	if (u->file == 0 && !u->beginning && u->name != NULL) {
		u->beginning = true;
		db_run(call->api->db, upload_on_begun, u, STMT_FILE_BEGIN,
		    call->account, u->name);
	}
	if (u->file > 0 && !u->sending) {
		if (ingest_waiting(u->ingest) > 0) {
			upload_send(u);
		} else if (u->ended) {
			upload_publish(u);
			return;
		}
	}
	if (call->req == NULL)
		return;
	if (ingest_waiting(u->ingest) > UPLOAD_WAITING_MAX)
		http_pause(call->req);
	else
		http_resume(call->req);
}

/* From the peer --------------------------------------------------------- */

static void
upload_refuse(struct upload *u, const struct slc_err *err)
{
	api_error(u->call, slc_status(err->rc),
	    err->rc == SLC_ETOOBIG ? "file_too_large" : "invalid_request",
	    slc_status(err->rc) < 500 ? u->param : NULL, "%s", err->text);
	upload_break(u);
}

static void
upload_on_piece(struct call *call, struct slice piece)
{
	struct upload *u = call->state;
	struct slc_err err = { 0 };

	if (u == NULL || u->broken)
		return;
	if (multipart_feed(u->form, piece, &err) != SLC_OK)
		upload_refuse(u, &err);
	else
		upload_step(u);
}

static void
upload_on_end(struct call *call)
{
	struct upload *u = call->state;
	struct slc_err err = { 0 };

	if (u == NULL || u->broken)
		return;
	if (multipart_end(u->form, &err) != SLC_OK) {
		upload_refuse(u, &err);
	} else if (!u->seen[FIELD_FILE] || !u->seen[FIELD_PURPOSE]) {
		api_error(call, 400, "missing_required_parameter",
		    u->seen[FIELD_FILE] ? "purpose" : "file",
		    "Missing required parameter: '%s'.",
		    u->seen[FIELD_FILE] ? "purpose" : "file");
		upload_break(u);
	} else if (u->seen[FIELD_ANCHOR] != u->seen[FIELD_SECONDS]) {
		const char *missing = u->seen[FIELD_ANCHOR]
		    ? field_names[FIELD_SECONDS]
		    : field_names[FIELD_ANCHOR];

		api_error(call, 400, "missing_required_parameter", missing,
		    "Missing required parameter: '%s'.", missing);
		upload_break(u);
	} else {
		u->ended = true;
		upload_step(u);
	}
}

static void
upload_on_gone(struct call *call)
{
	struct upload *u = call->state;

	/* Whole already: it is published, answered or not. */
	if (u != NULL && !u->ended && !u->broken)
		upload_break(u);
}

void
api_files_upload(struct call *call)
{
	int64_t length = http_body_length(call->req);
	struct upload *u;
	struct slc_err err = { 0 };
	struct slice type = http_header(call->req, "content-type");

	if (type.n < 19 ||
	    !slice_ieq((struct slice){ type.p, 19 }, "multipart/form-data")) {
		api_error(call, 415, "unsupported_media_type", NULL,
		    "Send the file as a form: Content-Type: "
		    "multipart/form-data, "
		    "with the parts 'file' and 'purpose'.");
		return;
	}
	if (length > call->api->conf.max_file_bytes + UPLOAD_OVERHEAD_MAX) {
		api_error(call, 413, "file_too_large", NULL,
		    "The file has more than %lld bytes.",
		    (long long)call->api->conf.max_file_bytes);
		return;
	}
	u = xcalloc(1, sizeof(*u));
	if (!api_idempotency_key(call, &u->key_text, &u->key)) {
		free(u);
		return;
	}
	if (multipart_new(&u->form, type, &form_handler, u, &err) != SLC_OK) {
		api_error(call, 400, "invalid_request", NULL, "%s", err.text);
		buf_fini(&u->key_text);
		free(u);
		return;
	}
	u->call = call;
	call->refs++;
	u->keep_s = UPLOAD_KEEP_MAX_S;
	u->ingest = ingest_new(call->api->conf.max_file_lines);
	u->sha = EVP_MD_CTX_new();
	EVP_DigestInit_ex(u->sha, EVP_sha256(), NULL);
	call->state = u;
	call->on_piece = upload_on_piece;
	call->on_end = upload_on_end;
	call->on_gone = upload_on_gone;
	http_resume(call->req);
}
