#include <stdlib.h>

#include <jansson.h>

#include "answer.h"
#include "upstream.h"

static void
reply_pretty(struct conn *c, struct reply *r, struct text *body)
{
	json_t *json = json_loadb(body->p, body->n, 0, NULL);
	struct text lines = { 0 };
	char *dump = json_dumps(json, JSON_INDENT(2) | JSON_PRESERVE_ORDER);

	if (dump != NULL)
		text_adds(&lines, dump);
	r->body = &lines;
	conn_reply(c, r);
	free(lines.p);
	free(dump);
	json_decref(json);
}

int
fault_reply(
    struct conn *c, const struct fault *f, struct reply *r, struct text *body)
{
	const struct fault_kind *kind = f->kind;

	switch (kind->act) {
	case ACT_ERROR:
	case ACT_ERROR_200:
		r->status = kind->status;
		r->retry_after_s = f->extra;
		text_clear(body);
		answer_error(body, kind->message, kind->type, kind->code);
		break;
	case ACT_CUT_BEFORE:
		conn_close(c);
		return 0;
	case ACT_RESET:
		conn_reset(c);
		return 0;
	case ACT_CUT_MID:
		r->cut_at = body->n / 2;
		break;
	case ACT_GARBAGE:
		r->type = "text/html";
		text_clear(body);
		text_adds(body,
		    "<html><head><title>Welcome</title></head>"
		    "<body><h1>It works!</h1></body></html>\n");
		break;
	case ACT_EMPTY:
		r->body = NULL;
		break;
	case ACT_PRETTY:
		reply_pretty(c, r, body);
		return r->status;
	default:
		break; /* the fault is in the body that is already there */
	}
	conn_reply(c, r);
	return r->status;
}
