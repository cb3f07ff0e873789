#include "paths.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sluice/glob.h>
#include <sluice/log.h>

#include "secret.h"

void
paths_init(struct paths *p)
{
	*p = (struct paths){ 0 };
}

void
paths_fini(struct paths *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct path *path = p->list[i];

		secret_wipe(&path->secret);
		buf_fini(&path->secret);
		upstream_headers_drop(path->headers);
		lists_fini(&path->lists);
		free(path->held_model);
		free(path->name);
		free(path->url);
		free(path->ca_file);
		free(path->dialect);
		free(path->suffix);
		free(path->secret_file);
		free(path);
	}
	for (size_t i = 0; i < p->nseats; i++) {
		free(p->seats[i]->model);
		free(p->seats[i]);
	}
	free(p->list);
	free(p->seats);
	*p = (struct paths){ 0 };
}

struct path *
paths_find(struct paths *p, int32_t id)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i]->id == id)
			return p->list[i];
	return NULL;
}

/* Secrets -------------------------------------------------------------- */

/* One line of printable characters; nothing that could end a header. */
static const char *
secret_fault(struct buf *s)
{
	while (s->n > 0 && (s->p[s->n - 1] == '\n' || s->p[s->n - 1] == '\r'))
		s->n--;
	if (s->n == 0)
		return "is empty";
	for (size_t i = 0; i < s->n; i++)
		if (s->p[i] <= 0x20 || s->p[i] == 0x7f)
			return "must hold one line without spaces";
	return NULL;
}

static void make_headers(struct path *path);

static void
read_secret(struct path *path)
{
	const char *fault = secret_read(
	    path->secret_file, &path->secret, &path->secret_mtime_ns);
	char before[sizeof(path->trouble)];

	memcpy(before, path->trouble, sizeof(before));
	path->trouble[0] = '\0';
	if (fault == NULL)
		fault = secret_fault(&path->secret);
	if (fault != NULL)
		secret_wipe(&path->secret);
	make_headers(path);
	if (fault == NULL)
		return;
	snprintf(path->trouble, sizeof(path->trouble), "secret file %.100s: %s",
	    path->secret_file, fault);
	if (strcmp(before, path->trouble) != 0)
		log_error("path.secret", "path=%s why=\"%s\"", path->name,
		    path->trouble);
}

void
paths_refresh(struct paths *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct path *path = p->list[i];
		struct stat st;

		if (path->secret_file == NULL || path->gone)
			continue;
		if (path->trouble[0] != '\0') {
			if (stat(path->secret_file, &st) == 0)
				read_secret(path);
		} else if (stat(path->secret_file, &st) == 0 &&
		    (int64_t)st.st_mtim.tv_sec * 1000000000 +
			    st.st_mtim.tv_nsec !=
			path->secret_mtime_ns) {
			log_info(
			    "path.secret", "path=%s read=again", path->name);
			read_secret(path);
		}
	}
}

void
path_told(struct path *path, bool ok, bool down, const char *why)
{
	if (down && !path->said_down)
		log_warn("path.down", "path=%s why=\"%s\"", path->name, why);
	else if (ok && !down && path->said_down)
		log_info("path.up", "path=%s", path->name);
	else
		return;
	path->said_down = down;
}

struct upstream_headers *
paths_headers(const struct path *path, const char *content_type)
{
	const char *list[4] = { NULL, "Accept: application/json" };
	struct upstream_headers *headers;
	struct buf authorization = { 0 }, type = { 0 };

	buf_addf(&type, "Content-Type: %s", content_type);
	list[0] = buf_cstr(&type);
	if (path->secret.n > 0) {
		buf_addf(&authorization, "Authorization: Bearer %.*s",
		    (int)path->secret.n, path->secret.p);
		list[2] = buf_cstr(&authorization);
	}
	headers = upstream_headers_new(list);
	secret_wipe(&authorization);
	buf_fini(&authorization);
	buf_fini(&type);
	return headers;
}

/* What every call carries; to be made anew when the secret changes. */
static void
make_headers(struct path *path)
{
	upstream_headers_drop(path->headers);
	path->headers = paths_headers(path, "application/json");
}

/* Configuration -------------------------------------------------------- */

static int64_t
get_int(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static void
set_text(char **into, const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	free(*into);
	*into = s == NULL ? NULL : xstrdup(s);
}

static void
path_read(struct paths *p, const json_t *o)
{
	struct path *path = paths_find(p, (int32_t)get_int(o, "id"));
	const char *kind;
	char *before;

	if (path == NULL) {
		path = xcalloc(1, sizeof(*path));
		path->id = (int32_t)get_int(o, "id");
		path->ready_last = &path->ready;
		p->list = xrealloc(p->list, (p->n + 1) * sizeof(path));
		p->list[p->n++] = path;
	}
	path->gone = false;
	path->pool = (int32_t)get_int(o, "pool");
	set_text(&path->name, o, "name");
	set_text(&path->url, o, "url");
	set_text(&path->ca_file, o, "ca_file");
	set_text(&path->dialect, o, "dialect");
	set_text(&path->suffix, o, "suffix");
	path->http2 = json_is_true(json_object_get(o, "http2"));
	kind = json_string_value(json_object_get(o, "kind"));
	path->batches = kind != NULL && strcmp(kind, "batches") == 0;
	path->poll_ms = get_int(o, "poll_ms");
	path->attempts = (int)get_int(o, "attempts");
	path->connect_ms = get_int(o, "connect_ms");
	path->idle_ms = get_int(o, "idle_ms");
	path->whole_ms = get_int(o, "whole_ms");
	path->answer_max = (size_t)get_int(o, "answer_max");
	before = path->secret_file;
	path->secret_file = NULL;
	set_text(&path->secret_file, o, "secret_file");
	if (path->secret_file == NULL) {
		secret_wipe(&path->secret);
		path->trouble[0] = '\0';
		make_headers(path);
	} else if (before == NULL || strcmp(before, path->secret_file) != 0) {
		read_secret(path);
	}
	free(before);
}

static void
seats_read(struct paths *p, const json_t *o)
{
	int32_t id = (int32_t)get_int(o, "id");
	struct seats *s = NULL;

	for (size_t i = 0; i < p->nseats; i++)
		if (p->seats[i]->id == id)
			s = p->seats[i];
	if (s == NULL) {
		s = xcalloc(1, sizeof(*s));
		s->id = id;
		p->seats = xrealloc(p->seats, (p->nseats + 1) * sizeof(s));
		p->seats[p->nseats++] = s;
	}
	s->gone = false;
	s->pool = (int32_t)get_int(o, "pool");
	s->path = (int32_t)get_int(o, "path");
	set_text(&s->model, o, "model");
}

enum slc_rc
paths_read(struct paths *p, struct slice text, struct slc_err *err)
{
	json_error_t why;
	json_t *doc = json_loadb(text.p, text.n, 0, &why), *v;
	size_t i;

	if (doc == NULL)
		return slc_fail(err, SLC_EIO, "configuration: %s", why.text);
	for (i = 0; i < p->n; i++)
		p->list[i]->gone = true;
	for (i = 0; i < p->nseats; i++) {
		p->seats[i]->gone = true;
		p->seats[i]->used = 0;
	}
	json_array_foreach(json_object_get(doc, "paths"), i, v) path_read(p, v);
	json_array_foreach(json_object_get(doc, "limits"), i, v)
	    seats_read(p, v);
	p->revision = get_int(doc, "revision");
	json_decref(doc);
	return SLC_OK;
}

/* Seats ---------------------------------------------------------------- */

void
paths_targets(struct paths *p, struct slice text)
{
	json_t *doc = json_loadb(text.p, text.n, 0, NULL), *v;
	size_t i;

	for (i = 0; i < p->nseats; i++)
		p->seats[i]->target = 0;
	json_array_foreach(json_object_get(doc, "seats"), i,
	    v) for (size_t k = 0; k < p->nseats;
		    k++) if (p->seats[k]->id == get_int(v, "limit")) p->seats[k]
	    ->target = (int32_t)get_int(v, "target");
	json_decref(doc);
}

static bool
seats_cover(const struct seats *s, const struct path *path, const char *model)
{
	return !s->gone && s->pool == path->pool &&
	    (s->path == 0 || s->path == path->id) &&
	    glob_match(s->model, model);
}

static void
seats_use(struct paths *p, const struct path *path, const char *model, int by)
{
	for (size_t i = 0; i < p->nseats; i++)
		if (seats_cover(p->seats[i], path, model))
			p->seats[i]->used += by;
}

bool
paths_sit(struct paths *p, const struct path *path, const char *model)
{
	for (size_t i = 0; i < p->nseats; i++)
		if (seats_cover(p->seats[i], path, model) &&
		    p->seats[i]->used >= p->seats[i]->target)
			return false;
	seats_use(p, path, model, 1);
	return true;
}

void
paths_rise(struct paths *p, const struct path *path, const char *model)
{
	seats_use(p, path, model, -1);
}

void
paths_keep(struct paths *p, const struct path *path, const char *model)
{
	seats_use(p, path, model, 1);
}

int32_t
paths_share(const struct paths *p, const struct path *path)
{
	int32_t share = INT32_MAX;

	for (size_t i = 0; i < p->nseats; i++)
		if (strcmp(p->seats[i]->model, "*") == 0 &&
		    seats_cover(p->seats[i], path, "") &&
		    p->seats[i]->target < share)
			share = p->seats[i]->target;
	return share;
}

void
paths_url(const char *base, const char *endpoint, struct buf *out)
{
	const char *host = strstr(base, "://");
	size_t n = strlen(base);
	const char *slash;

	while (n > 0 && base[n - 1] == '/')
		n--;
	slash = host == NULL
	    ? NULL
	    : memchr(host + 3, '/',
		  n > (size_t)(host + 3 - base) ? n - (size_t)(host + 3 - base)
						: 0);
	if (slash != NULL && strncmp(endpoint, "/v1/", 4) == 0)
		endpoint += 3;
	buf_add(out, base, n);
	buf_adds(out, endpoint);
}
