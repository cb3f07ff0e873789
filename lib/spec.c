#include <sluice/spec.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SPEC_QUOTE_MAX = 40 }; /* of a wrong text in a message */

struct unit {
	char letter;
	int64_t factor;
};

static const struct unit times[] = {
	{ 'd', 86400 },
	{ 'h', 3600 },
	{ 'm', 60 },
	{ 's', 1 },
};
static const struct unit thousands[] = {
	{ 'k', 1000 },
	{ 'm', 1000000 },
	{ 'g', 1000000000 },
};
static const struct unit binary[] = {
	{ 'k', 1 << 10 },
	{ 'm', 1 << 20 },
	{ 'g', 1 << 30 },
};

/* With those last that have no window. */
static const char *const dimensions[] = {
	"requests",
	"tokens",
	"input_tokens",
	"output_tokens",
	"concurrent",
	"enqueued_requests",
	"enqueued_tokens",
};
enum { WITH_WINDOW = 4 };

const char *const spec_charges[] = { "declared", "declared-refunded", "actual",
	"input-only", NULL };
const char *const spec_stream_costs[] = { "once", "chunk", NULL };
const char *const spec_kinds[] = { "direct", "suffix", "batches", NULL };

/* For "%.*s": the start of a text, enough of it to be recognised. */
#define QUOTE(s) (int)((s).n > SPEC_QUOTE_MAX ? SPEC_QUOTE_MAX : (s).n), (s).p

/* Digits and one unit; without a letter the factor is bare, 0: not allowed. */
static bool
parse_count(struct slice text, const struct unit *units, size_t nunits,
    int64_t bare, int64_t *out)
{
	int64_t factor = bare;

	for (size_t i = 0; i < nunits && text.n > 0; i++)
		if ((text.p[text.n - 1] | 0x20) == units[i].letter) {
			factor = units[i].factor;
			text.n--;
			break;
		}
	return factor > 0 && slice_int(text, INT64_MAX, out) &&
	    !__builtin_mul_overflow(*out, factor, out);
}

enum slc_rc
spec_window(struct slice text, int64_t min_s, int64_t max_s, int64_t *out,
    struct slc_err *err)
{
	char min[32], max[32];

	if (!parse_count(text, times, NITEMS(times), 0, out))
		return slc_fail(err, SLC_EINPUT,
		    "\"%.*s\" is not a time: write 90s, 15m, 24h or 7d",
		    QUOTE(text));
	if (*out >= min_s && *out <= max_s)
		return SLC_OK;
	spec_window_text(min_s, min);
	spec_window_text(max_s, max);
	return slc_fail(err, SLC_EINPUT, "\"%.*s\" is not within %s to %s",
	    QUOTE(text), min, max);
}

enum slc_rc
spec_amount(struct slice text, int64_t max, int64_t *out, struct slc_err *err)
{
	if (!parse_count(text, thousands, NITEMS(thousands), 1, out) ||
	    *out < 1 || *out > max)
		return slc_fail(err, SLC_EINPUT,
		    "\"%.*s\" is not a number of 1 to %" PRId64
		    " (k, m, g: thousands)",
		    QUOTE(text), max);
	return SLC_OK;
}

enum slc_rc
spec_bytes(struct slice text, int64_t max, int64_t *out, struct slc_err *err)
{
	if (!parse_count(text, binary, NITEMS(binary), 1, out))
		return slc_fail(err, SLC_EINPUT,
		    "\"%.*s\" is not a size: write 200m, 64k, 1g or bytes",
		    QUOTE(text));
	if (*out < 1 || *out > max)
		return slc_fail(err, SLC_EINPUT,
		    "\"%.*s\" is not within 1 to %" PRId64 " bytes",
		    QUOTE(text), max);
	return SLC_OK;
}

enum slc_rc
spec_word(const char *text, const char *first, const char *const *words,
    struct slc_err *err)
{
	struct buf list = { 0 };
	enum slc_rc rc = SLC_OK;
	size_t i = 0;

	if (first != NULL && strcmp(text, first) == 0)
		return SLC_OK;
	while (words[i] != NULL && strcmp(text, words[i]) != 0)
		i++;
	if (words[i] != NULL)
		return SLC_OK;
	if (first != NULL)
		buf_adds(&list, first);
	for (i = 0; words[i] != NULL; i++)
		buf_addf(&list, "%s%s", list.n > 0 ? ", " : "", words[i]);
	rc = slc_fail(err, SLC_EINPUT, "\"%.*s\" is not one of %s",
	    QUOTE(slice_str(text)), buf_cstr(&list));
	buf_fini(&list);
	return rc;
}

void
spec_window_text(int64_t s, char out[32])
{
	size_t i = 0;

	while (i < NITEMS(times) - 1 && (s == 0 || s % times[i].factor != 0))
		i++;
	snprintf(
	    out, 32, "%" PRId64 "%c", s / times[i].factor, times[i].letter);
}

/* The part of text before or after its last c; text itself without one. */
static struct slice
before_last(struct slice text, char c, struct slice *after)
{
	const char *at = memrchr(text.p, c, text.n);

	*after = (struct slice){ NULL, 0 };
	if (at == NULL)
		return text;
	*after = (struct slice){ at + 1, text.n - (size_t)(at + 1 - text.p) };
	return (struct slice){ text.p, (size_t)(at - text.p) };
}

static enum slc_rc
parse_dimension(struct slice name, struct slice window, struct spec_limit *out,
    struct slc_err *err)
{
	struct slc_err why;
	int64_t window_s = 0;
	size_t i = 0;

	while (i < NITEMS(dimensions) && !slice_eq(name, dimensions[i]))
		i++;
	if (i == NITEMS(dimensions))
		return slc_fail(err, SLC_EINPUT,
		    "\"%.*s\" cannot be limited: use requests, tokens, "
		    "input_tokens, output_tokens, concurrent, "
		    "enqueued_requests or enqueued_tokens",
		    QUOTE(name));
	out->dimension = dimensions[i];
	if (i >= WITH_WINDOW && window.p != NULL)
		return slc_fail(err, SLC_EINPUT,
		    "%s has no window: write %s=10", dimensions[i],
		    dimensions[i]);
	if (i < WITH_WINDOW && window.p == NULL)
		return slc_fail(err, SLC_EINPUT,
		    "%s needs a window: write %s/1m=300", dimensions[i],
		    dimensions[i]);
	if (i < WITH_WINDOW &&
	    spec_window(window, 1, SPEC_LIMIT_WINDOW_MAX_S, &window_s, &why) !=
		SLC_OK)
		return slc_fail(err, SLC_EINPUT, "window %s", why.text);
	out->window_s = (int32_t)window_s;
	return SLC_OK;
}

enum slc_rc
spec_limit(const char *text, struct spec_limit *out, struct slc_err *err)
{
	struct slice amount, what, window, name, model = SLICE("*");

	*out = (struct spec_limit){ 0 };
	what = before_last(slice_str(text), '=', &amount);
	if (amount.p == NULL)
		return slc_fail(err, SLC_EINPUT,
		    "\"%.*s\" has no amount: write requests/1m=300, "
		    "concurrent=10 or gpt-4:tokens/1h=2m",
		    QUOTE(what));
	if (!parse_count(
		amount, thousands, NITEMS(thousands), 1, &out->amount) ||
	    out->amount < 1 || out->amount > SPEC_AMOUNT_MAX)
		return slc_fail(err, SLC_EINPUT,
		    "amount \"%.*s\": write 1 to 1000g, with k, m or g for "
		    "thousands, as in requests/1m=300",
		    QUOTE(amount));
	if (memrchr(what.p, ':', what.n) != NULL)
		model = before_last(what, ':', &what);
	if (model.n == 0 || model.n > SPEC_MODEL_MAX)
		return slc_fail(err, SLC_EINPUT,
		    "the model before \":\" takes 1 to %d bytes, as in "
		    "gpt-4:requests/1m=10",
		    SPEC_MODEL_MAX);
	memcpy(out->model, model.p, model.n);
	name = before_last(what, '/', &window);
	return parse_dimension(name, window, out, err);
}

enum slc_rc
spec_suffix(const char *text, struct slc_err *err)
{
	size_t n = strspn(text,
	    ":@/+._-0123456789abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	if (text[n] == '\0' && n >= 1 && n <= SPEC_SUFFIX_MAX)
		return SLC_OK;
	return slc_fail(err, SLC_EINPUT,
	    "\"%.80s\" is no suffix of a model's name: 1 to %d letters, "
	    "digits and : @ / + . _ -, as in \":batch\"",
	    text, SPEC_SUFFIX_MAX);
}
