#include "db_call.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>

#include "db_value.h"

size_t
db_call_count(const struct db_call *call)
{
	return call->uses.n / sizeof(struct stmt_use);
}

void
db_call_free(struct db_call *call)
{
	buf_fini(&call->bytes);
	buf_fini(&call->uses);
	free(call);
}

struct db_call *
db_call(struct db *db, db_done done, void *arg)
{
	struct db_call *call = xcalloc(1, sizeof(*call));

	call->db = db;
	call->done = done;
	call->arg = arg;
	return call;
}

/* s, or nothing when the statement that starts at start gets too long. */
static struct slice
fit(struct db_call *call, size_t start, struct slice s)
{
	if (call->bytes.n - start + s.n <= DB_STATEMENT_BYTES)
		return s;
	call->too_long = true;
	return (struct slice){ 0 };
}

void
db_add(struct db_call *call, enum stmt stmt, ...)
{
	struct stmt_use use = { .stmt = stmt };
	const char *types = queue_stmts[stmt].types;
	size_t start = call->bytes.n;
	struct slice s;
	va_list ap;

	assert(db_call_count(call) < DB_STATEMENTS_MAX);
	va_start(ap, stmt);
	for (const char *t = types; *t != '\0'; t++) {
		int i = use.nparams++;
		struct db_value v = { .bytes = &call->bytes };

		assert(i < DB_PARAMS_MAX);
		use.params[i].at = call->bytes.n;
		switch (*t) {
		case 'i':
			db_put_int(&v, va_arg(ap, int64_t));
			break;
		case 'f':
			db_put_double(&v, va_arg(ap, double));
			break;
		case 't':
			db_put_bool(&v, va_arg(ap, int));
			break;
		case 's':
		case 'd':
		case 'u':
			s = slice_str(va_arg(ap, const char *));
			db_put_text(&v, fit(call, start, s));
			break;
		case 'S':
			s = va_arg(ap, struct slice);
			db_put_text(&v, fit(call, start, s));
			break;
		case 'b':
			s = va_arg(ap, struct slice);
			db_put_bytea(&v, fit(call, start, s));
			break;
		case 'a': {
			const int32_t *p = va_arg(ap, const int32_t *);

			db_put_int4s(&v, p, va_arg(ap, size_t));
			break;
		}
		case 'h': {
			const int16_t *p = va_arg(ap, const int16_t *);

			db_put_int2s(&v, p, va_arg(ap, size_t));
			break;
		}
		case 'l': {
			const int64_t *p = va_arg(ap, const int64_t *);

			db_put_int8s(&v, p, va_arg(ap, size_t));
			break;
		}
		case 'x': {
			const struct slice *p =
			    va_arg(ap, const struct slice *);

			db_put_texts(&v, p, va_arg(ap, size_t));
			break;
		}
		default:
			assert(!"a type letter of queue.h");
		}
		use.params[i].n =
		    v.null ? -1 : (int)(call->bytes.n - use.params[i].at);
		use.params[i].format = v.format;
		use.params[i].type = v.type;
		buf_addc(&call->bytes, '\0'); /* libpq wants text terminated */
	}
	va_end(ap);
	buf_add(&call->uses, &use, sizeof(use));
}
