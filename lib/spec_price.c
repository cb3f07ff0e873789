#include <sluice/spec.h>

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MICROS = 1000000, PLACES = 6, QUOTE_MAX = 40 };

#define QUOTE(s) (int)((s).n > QUOTE_MAX ? QUOTE_MAX : (s).n), (s).p

static struct slice
before_first(struct slice text, char c, struct slice *after)
{
	const char *at = text.n > 0 ? memchr(text.p, c, text.n) : NULL;

	*after = (struct slice){ NULL, 0 };
	if (at == NULL)
		return text;
	*after = (struct slice){ at + 1, text.n - (size_t)(at + 1 - text.p) };
	return (struct slice){ text.p, (size_t)(at - text.p) };
}

/* Digits behind the point, as millionths. */
static bool
parse_places(struct slice text, int64_t *out)
{
	char digits[PLACES + 1] = "000000";

	if (text.n == 0 || text.n > PLACES)
		return false;
	memcpy(digits, text.p, text.n);
	return slice_int((struct slice){ digits, PLACES }, MICROS - 1, out);
}

enum slc_rc
spec_money(struct slice text, int64_t max, int64_t *out, struct slc_err *err)
{
	int64_t units, places = 0;
	struct slice after, before = before_first(text, '.', &after);

	if (slice_int(before, INT64_MAX / MICROS - 1, &units) &&
	    (after.p == NULL || parse_places(after, &places)) &&
	    units * MICROS + places <= max) {
		*out = units * MICROS + places;
		return SLC_OK;
	}
	return slc_fail(err, SLC_EINPUT,
	    "\"%.*s\" is not an amount of money up to %" PRId64
	    " with at most %d places, as 0.15",
	    QUOTE(text), max / MICROS, PLACES);
}

void
spec_money_text(int64_t micros, char out[32])
{
	int n = snprintf(out, 32, "%" PRId64 ".%06" PRId64, micros / MICROS,
	    micros % MICROS);

	/* Two places at least, as money is written. */
	while (out[n - 1] == '0' && out[n - 3] != '.')
		out[--n] = '\0';
}

static enum slc_rc
parse_kind(
    struct slice one, struct spec_price *out, bool *given, struct slc_err *err)
{
	static const char *const names[] = { "input", "cached", "output" };
	int64_t *fields[] = { &out->input, &out->cached, &out->output };
	struct slice value, name = before_first(one, '=', &value);

	for (size_t i = 0; i < NITEMS(names); i++) {
		if (!slice_eq(name, names[i]) || value.p == NULL)
			continue;
		if (given[i])
			return slc_fail(
			    err, SLC_EINPUT, "%s is given twice", names[i]);
		given[i] = true;
		return spec_money(value, SPEC_PRICE_MAX, fields[i], err);
	}
	return slc_fail(err, SLC_EINPUT,
	    "\"%.*s\" is no price: write input=0.15,cached=0.075,output=0.60",
	    QUOTE(one));
}

/* A clock's time and a hyphen: what no model's name has. */
static bool
is_hours(const char *p, const char *end)
{
	for (; end - p >= 6; p++)
		if (isdigit((unsigned char)p[0]) &&
		    isdigit((unsigned char)p[1]) && p[2] == ':' &&
		    isdigit((unsigned char)p[3]) &&
		    isdigit((unsigned char)p[4]) && p[5] == '-')
			return true;
	return false;
}

/* What stands behind the last @ of the model, if that are hours. */
static enum slc_rc
take_hours(struct slice *model, struct spec_price *out, struct slc_err *err)
{
	const char *at = memrchr(model->p, '@', model->n);
	const char *end = model->p + model->n;

	if (at == NULL || !is_hours(at + 1, end))
		return SLC_OK;
	if (end - at - 1 > SPEC_HOURS_MAX)
		return slc_fail(err, SLC_EINPUT, "hours have at most %d bytes",
		    SPEC_HOURS_MAX);
	memcpy(out->hours, at + 1, (size_t)(end - at - 1));
	model->n = (size_t)(at - model->p);
	if (model->n == 0)
		*model = (struct slice)SLICE("*");
	return SLC_OK;
}

enum slc_rc
spec_price(const char *text, struct spec_price *out, struct slc_err *err)
{
	struct slice rest = slice_str(text), model = SLICE("*");
	const char *colon = strrchr(text, ':');
	bool given[3] = { false };
	enum slc_rc rc = SLC_OK;

	*out = (struct spec_price){ .cached = -1 };
	if (colon != NULL) {
		model = (struct slice){ text, (size_t)(colon - text) };
		rest = slice_str(colon + 1);
		rc = take_hours(&model, out, err);
	}
	if (rc != SLC_OK)
		return rc;
	if (model.n == 0 || model.n > SPEC_MODEL_MAX)
		return slc_fail(err, SLC_EINPUT,
		    "the model before \":\" takes 1 to %d bytes, as in "
		    "gpt-4:input=2.50,output=10",
		    SPEC_MODEL_MAX);
	memcpy(out->model, model.p, model.n);
	while (rc == SLC_OK && rest.p != NULL) {
		struct slice one = before_first(rest, ',', &rest);

		rc = parse_kind(one, out, given, err);
	}
	return rc;
}
