#include "client.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <sluice/conf.h>

#include "state.h"

enum {
	CLIENT_CONNECT_MS = 10000,
	CLIENT_CALL_MS = 60000,
	CLIENT_STALL_S = 300, /* a transfer that moves nothing */
	CLIENT_ANSWER_MAX = 64 << 20,
	CLIENT_RETRY_MS = 500,
	CLIENT_RETRY_MAX_MS = 8000,
	CLIENT_RESUMES_MAX = 5,
	CLIENT_KEY_BYTES = 16,
};

/* One request on its way. */
struct transfer {
	struct client *c;
	struct curl_slist *headers;
	curl_mime *mime;
	FILE *to;        /* of a download */
	int64_t written; /* into it, by all attempts */
	bool ranged;     /* asked for the rest only */
	int write_errno;
};

static enum slc_rc
status_rc(long status)
{
	static const struct {
		long status;
		enum slc_rc rc;
	} known[] = {
		{ 401, SLC_EAUTH },
		{ 403, SLC_EAUTH },
		{ 404, SLC_ENOTFOUND },
		{ 409, SLC_ECONFLICT },
		{ 413, SLC_ETOOBIG },
		{ 429, SLC_EQUOTA },
		{ 502, SLC_EDB },
		{ 503, SLC_EDB },
		{ 504, SLC_EDB },
	};

	if (status >= 200 && status < 300)
		return SLC_OK;
	for (size_t i = 0; i < NITEMS(known); i++)
		if (known[i].status == status)
			return known[i].rc;
	return status >= 500 ? SLC_EIO : SLC_EINPUT;
}

/* The message of OpenAI's error envelope, or what else can be said. */
static enum slc_rc
fail_status(const struct client *c, struct slc_err *err)
{
	json_t *doc = json_loadb(c->body.p, c->body.n, 0, NULL);
	const char *text = json_string_value(
	    json_object_get(json_object_get(doc, "error"), "message"));
	enum slc_rc rc = status_rc(c->status);

	if (text != NULL)
		slc_fail(err, rc, "%s", text);
	else
		slc_fail(err, rc, "%.100s answered with HTTP status %ld%s",
		    c->url.p, c->status,
		    c->status == 404 ? "; is it a Sluice server?" : "");
	json_decref(doc);
	return rc;
}

static enum slc_rc
fail_curl(const struct client *c, CURLcode code, const char *detail,
    struct slc_err *err)
{
	static const CURLcode away[] = { CURLE_COULDNT_RESOLVE_HOST,
		CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT,
		CURLE_OPERATION_TIMEDOUT, CURLE_GOT_NOTHING, CURLE_SEND_ERROR,
		CURLE_RECV_ERROR, CURLE_PARTIAL_FILE };
	enum slc_rc rc = SLC_EIO;

	for (size_t i = 0; i < NITEMS(away); i++)
		if (code == away[i])
			rc = SLC_EDB;
	return slc_fail(err, rc, "cannot reach %.100s: %s", c->url.p,
	    detail[0] != '\0' ? detail : curl_easy_strerror(code));
}

/* A proxy is for the way out, never for our own machine. */
static bool
is_loopback(const char *url)
{
	CURLU *u = curl_url();
	char *host = NULL;
	bool is = false;

	if (u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK)
		is = strcmp(host, "localhost") == 0 ||
		    strcmp(host, "[::1]") == 0 || strncmp(host, "127.", 4) == 0;
	curl_free(host);
	curl_url_cleanup(u);
	return is;
}

static size_t
client_on_bytes(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	long status = 0;

	assert(size == 1);
	curl_easy_getinfo(t->c->curl, CURLINFO_RESPONSE_CODE, &status);
	if (t->to == NULL || status_rc(status) != SLC_OK) {
		if (t->c->body.n + n > CLIENT_ANSWER_MAX)
			return 0;
		buf_add(&t->c->body, p, n);
		return n;
	}
	/* Who ignores the range would send the beginning a second time. */
	if (t->ranged && status != 206)
		return 0;
	if (fwrite(p, 1, n, t->to) != n) {
		t->write_errno = errno;
		return 0;
	}
	t->written += (int64_t)n;
	return n;
}

static void
add_header(struct transfer *t, const char *name, const char *value)
{
	struct buf line = { 0 };

	buf_addf(&line, "%s: %s", name, value);
	t->headers = curl_slist_append(t->headers, buf_cstr(&line));
	if (t->headers == NULL)
		abort();
	explicit_bzero(line.p, line.n);
	buf_fini(&line);
}

static void
transfer_begin(
    struct transfer *t, struct client *c, const char *method, const char *path)
{
	struct buf bearer = { 0 }, url = { 0 };

	*t = (struct transfer){ .c = c };
	buf_addf(&bearer, "Bearer %.*s", (int)c->key.n, c->key.p);
	if (c->key.n > 0)
		add_header(t, "Authorization", buf_cstr(&bearer));
	buf_addf(&url, "%.*s%s", (int)c->url.n, c->url.p, path);
	curl_easy_reset(c->curl);
	curl_easy_setopt(c->curl, CURLOPT_URL, buf_cstr(&url));
	curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(
	    c->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CLIENT_CONNECT_MS);
	curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)CLIENT_CALL_MS);
	curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "sluice/" CONF_VERSION);
	curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, client_on_bytes);
	curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, t);
	if (is_loopback(buf_cstr(&url)))
		curl_easy_setopt(c->curl, CURLOPT_PROXY, "");
	explicit_bzero(bearer.p, bearer.n);
	buf_fini(&bearer);
	buf_fini(&url);
}

static void
transfer_end(struct transfer *t)
{
	curl_slist_free_all(t->headers);
	curl_mime_free(t->mime);
}

/* Files take as long as they take, as long as something moves. */
static void
transfer_long(struct transfer *t)
{
	curl_easy_setopt(t->c->curl, CURLOPT_TIMEOUT_MS, 0L);
	curl_easy_setopt(t->c->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(
	    t->c->curl, CURLOPT_LOW_SPEED_TIME, (long)CLIENT_STALL_S);
}

static enum slc_rc
transfer_run(struct transfer *t, struct slc_err *err)
{
	char detail[CURL_ERROR_SIZE] = "";
	struct client *c = t->c;
	CURLcode code;

	buf_clear(&c->body);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, t->headers);
	curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, detail);
	code = curl_easy_perform(c->curl);
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &c->status);
	/* curl has held the signal off; a filter ends by it, silently. */
	if (t->write_errno == EPIPE) {
		signal(SIGPIPE, SIG_DFL);
		raise(SIGPIPE);
	}
	if (t->write_errno != 0)
		return slc_fail(
		    err, SLC_EIO, "cannot write: %s", strerror(t->write_errno));
	/* An answer that came before all was sent still says why. */
	if (c->status >= 400 && c->body.n > 0)
		return fail_status(c, err);
	if (code != CURLE_OK)
		return fail_curl(c, code, detail, err);
	return c->status >= 300 ? fail_status(c, err) : SLC_OK;
}

/* Wait before attempt number try, counted from 1; says so. */
static void
back_off(const struct client *c, int try, const struct slc_err *why)
{
	int64_t ms = (int64_t)CLIENT_RETRY_MS << (try - 1);
	struct timespec t;

	ms = ms > CLIENT_RETRY_MAX_MS ? CLIENT_RETRY_MAX_MS : ms;
	t = (struct timespec){ ms / 1000, ms % 1000 * 1000000 };
	cli_note(c->cli, "%s (trying again)", why->text);
	nanosleep(&t, NULL);
}

static enum slc_rc
read_answer(const struct client *c, json_t **out, struct slc_err *err)
{
	json_t *doc;

	if (out == NULL)
		return SLC_OK;
	doc = json_loadb(c->body.p, c->body.n, 0, NULL);
	if (!json_is_object(doc)) {
		json_decref(doc);
		return slc_fail(err, SLC_EIO,
		    "%.100s did not answer with a JSON object; is it a Sluice "
		    "server?",
		    c->url.p);
	}
	*out = doc;
	return SLC_OK;
}

/*
 * The same for all tries of one POST, another for every other; without one a
 * call is not repeated.
 */
static void
new_key(const struct client *c, const char *method,
    char out[2 * CLIENT_KEY_BYTES + 1])
{
	unsigned char raw[CLIENT_KEY_BYTES];

	out[0] = '\0';
	if (c->tries <= 1 || strcmp(method, "POST") != 0)
		return;
	if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
		abort();
	for (size_t i = 0; i < sizeof(raw); i++)
		snprintf(out + 2 * i, 3, "%02x", raw[i]);
}

enum slc_rc
client_call(struct client *c, const char *method, const char *path,
    const json_t *body, json_t **out, struct slc_err *err)
{
	char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
	char key[2 * CLIENT_KEY_BYTES + 1];
	enum slc_rc rc;

	new_key(c, method, key);
	for (int try = 1;; try++) {
		struct transfer t;

		transfer_begin(&t, c, method, path);
		if (key[0] != '\0')
			add_header(&t, "Idempotency-Key", key);
		if (text != NULL) {
			add_header(&t, "Content-Type", "application/json");
			curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, text);
		} else if (strcmp(method, "POST") == 0) {
			curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, "");
		}
		rc = transfer_run(&t, err);
		transfer_end(&t);
		if (rc != SLC_EDB || key[0] == '\0' || try >= c->tries)
			break;
		back_off(c, try, err);
	}
	free(text);
	return rc == SLC_OK ? read_answer(c, out, err) : rc;
}

static size_t
client_on_read(char *to, size_t size, size_t n, void *arg)
{
	const struct client_source *source = arg;
	size_t got = source->read(source->arg, to, size * n);

	return source->trouble(source->arg) != NULL ? CURL_READFUNC_ABORT : got;
}

static enum slc_rc
upload_once(struct client *c, const struct client_source *source,
    const char *key, struct slc_err *err)
{
	struct transfer t;
	curl_mimepart *part;
	enum slc_rc rc;

	transfer_begin(&t, c, "POST", "/v1/files");
	transfer_long(&t);
	if (key[0] != '\0')
		add_header(&t, "Idempotency-Key", key);
	t.mime = curl_mime_init(c->curl);
	part = curl_mime_addpart(t.mime);
	curl_mime_name(part, "purpose");
	curl_mime_data(part, "batch", CURL_ZERO_TERMINATED);
	part = curl_mime_addpart(t.mime);
	curl_mime_name(part, "file");
	curl_mime_filename(part, source->name);
	curl_mime_type(part, "application/jsonl");
	curl_mime_data_cb(part, source->size, client_on_read, NULL, NULL,
	    (void *)(uintptr_t)source);
	curl_easy_setopt(c->curl, CURLOPT_MIMEPOST, t.mime);
	rc = transfer_run(&t, err);
	if (source->trouble(source->arg) != NULL)
		rc = slc_fail(err, SLC_EIO, "%s: %s", source->name,
		    source->trouble(source->arg));
	transfer_end(&t);
	return rc;
}

enum slc_rc
client_upload(struct client *c, const struct client_source *source,
    json_t **out, struct slc_err *err)
{
	char key[2 * CLIENT_KEY_BYTES + 1];
	enum slc_rc rc;

	new_key(c, "POST", key);
	for (int try = 1;; try++) {
		rc = upload_once(c, source, key, err);
		if (rc != SLC_EDB || try >= c->tries ||
		    !source->rewind(source->arg))
			break;
		back_off(c, try, err);
	}
	return rc == SLC_OK ? read_answer(c, out, err) : rc;
}

enum slc_rc
client_download(
    struct client *c, const char *path, FILE *to, struct slc_err *err)
{
	int64_t written = 0;
	enum slc_rc rc;

	for (int try = 1;; try++) {
		struct transfer t;

		transfer_begin(&t, c, "GET", path);
		transfer_long(&t);
		t.to = to;
		t.ranged = written > 0;
		curl_easy_setopt(
		    c->curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)written);
		rc = transfer_run(&t, err);
		written += t.written;
		transfer_end(&t);
		if (rc != SLC_EDB || written == 0 || try > CLIENT_RESUMES_MAX)
			break;
		back_off(c, try, err);
	}
	if (rc == SLC_OK && fflush(to) != 0)
		rc =
		    slc_fail(err, SLC_EIO, "cannot write: %s", strerror(errno));
	return rc;
}

const char *
client_path(
    const char *prefix, const char *id, const char *suffix, struct buf *to)
{
	char *safe = curl_easy_escape(NULL, id, 0);

	if (safe == NULL)
		abort();
	buf_clear(to);
	buf_addf(to, "%s%s%s", prefix, safe, suffix);
	curl_free(safe);
	return buf_cstr(to);
}

void
client_open_url(struct client *c, const struct cli *cli, const char *url)
{
	*c = (struct client){ .cli = cli, .tries = 1 };
	buf_adds(&c->url, url);
	buf_cstr(&c->url);
	c->curl = curl_easy_init();
	if (c->curl == NULL)
		abort();
}

enum slc_rc
client_open(struct client *c, const struct cli *cli, struct slc_err *err)
{
	struct buf url = { 0 }, key = { 0 };
	enum slc_rc rc = state_server(cli, &url, &key, err);

	client_open_url(c, cli, buf_cstr(&url));
	c->key = key;
	buf_fini(&url);
	return rc;
}

void
client_close(struct client *c)
{
	curl_easy_cleanup(c->curl);
	if (c->key.p != NULL)
		explicit_bzero(c->key.p, c->key.cap);
	buf_fini(&c->key);
	buf_fini(&c->url);
	buf_fini(&c->body);
}
