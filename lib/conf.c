#include <sluice/conf.h>

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/buf.h>
#include <sluice/log.h>
#include <sluice/spec.h>

enum { CONF_EXIT_USAGE = 2, CONF_OPT_FIRST = 256 };

/* Files --------------------------------------------------------------------*/

struct reader {
	FILE *f;
	int line;
	bool too_long;
	char section[CONF_FILE_SECTION_MAX + 1];
	conf_on_pair on_pair;
	void *arg;
	struct slc_err *err;
	bool refused;
};

static void
section_begin(struct reader *r, struct slice name)
{
	if (name.n > CONF_FILE_SECTION_MAX) {
		slc_fail(r->err, SLC_EINPUT,
		    "a section's name has %d bytes at most",
		    CONF_FILE_SECTION_MAX);
		r->refused = true;
		return;
	}
	memcpy(r->section, name.p, name.n);
	r->section[name.n] = '\0';
	r->refused =
	    !r->on_pair(r->arg, r->line, r->section, NULL, NULL, r->err);
}

/*
 * inih tells its handler neither the line nor more than 49 bytes of the
 * section, and reads on after an error; what it is fed is under our control.
 */
static char *
reader_line(char *to, int size, void *stream)
{
	struct reader *r = stream;
	const char *open, *shut;
	size_t n;

	if (r->refused || fgets(to, size, r->f) == NULL)
		return NULL;
	r->line++;
	n = strlen(to);
	if (n + 1 == (size_t)size && to[n - 1] != '\n') {
		r->too_long = true;
		return NULL;
	}
	open = to + strspn(to, " \t");
	if (*open == '[' && (shut = strchr(open, ']')) != NULL)
		section_begin(
		    r, (struct slice){ open + 1, (size_t)(shut - open - 1) });
	return r->refused ? NULL : to;
}

static int
reader_on_pair(
    void *arg, const char *section, const char *name, const char *value)
{
	struct reader *r = arg;

	(void)section;
	r->refused =
	    !r->on_pair(r->arg, r->line, r->section, name, value, r->err);
	return !r->refused;
}

enum slc_rc
conf_file(
    const char *path, conf_on_pair on_pair, void *arg, struct slc_err *err)
{
	static char comments[] = "#;";
	struct slc_err why = { 0 };
	struct reader r = { .on_pair = on_pair, .arg = arg, .err = &why };
	enum slc_rc rc = SLC_OK;
	int bad;

	r.f = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
	if (r.f == NULL)
		return slc_fail(err, SLC_EIO, "%s: %s", path, strerror(errno));
	ini_use_stack = false;
	ini_max_line = ini_initial_alloc = CONF_FILE_LINE_MAX + 2;
	/* An indented line is a line, not more of the one before. */
	ini_allow_multiline = false;
	ini_inline_comment_prefixes = comments;
	ini_stop_on_first_error = true;
	bad = ini_parse_stream(reader_line, &r, reader_on_pair, &r);
	if (r.too_long)
		rc = slc_fail(err, SLC_EINPUT, "%s:%d: over %d bytes", path,
		    r.line, CONF_FILE_LINE_MAX);
	else if (r.refused)
		rc = slc_fail(
		    err, SLC_EINPUT, "%s:%d: %s", path, r.line, why.text);
	else if (bad > 0)
		rc = slc_fail(err, SLC_EINPUT,
		    "%s:%d: neither [section] nor name = value", path, bad);
	else if (bad < 0 || ferror(r.f))
		rc = slc_fail(err, SLC_EIO, "%s: %s", path, strerror(errno));
	if (r.f != stdin)
		fclose(r.f);
	return rc;
}

/* Settings -----------------------------------------------------------------*/

static const char *const log_levels[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

static bool
parse_int(struct slice text, int64_t *out)
{
	bool negative = text.n > 0 && text.p[0] == '-';

	if (negative)
		text = (struct slice){ text.p + 1, text.n - 1 };
	if (!slice_int(text, INT64_MAX, out))
		return false;
	*out = negative ? -*out : *out;
	return true;
}

/* Give the setting its value, or say in err what would be right. */
static bool
item_set(const struct conf_item *item, const char *text, struct slc_err *err)
{
	struct slice s = slice_str(text);
	int64_t v = 0;

	switch (item->kind) {
	case CONF_TEXT:
		*(const char **)item->into = text;
		return true;
	case CONF_INT:
		if (parse_int(s, &v) && v >= item->min && v <= item->max)
			break;
		slc_fail(err, SLC_EINPUT,
		    "\"%.40s\" is not a number from %" PRId64 " to %" PRId64,
		    text, item->min, item->max);
		return false;
	case CONF_BYTES:
		if (spec_bytes(s, item->max, &v, err) != SLC_OK)
			return false;
		if (v >= item->min)
			break;
		slc_fail(err, SLC_EINPUT,
		    "\"%.40s\" is below %" PRId64 " bytes", text, item->min);
		return false;
	case CONF_SPAN:
		if (spec_window(s, item->min, item->max, &v, err) != SLC_OK)
			return false;
		break;
	case CONF_LOGLEVEL:
		while (
		    v < (int)NITEMS(log_levels) && !slice_eq(s, log_levels[v]))
			v++;
		if (v < (int)NITEMS(log_levels))
			break;
		slc_fail(err, SLC_EINPUT,
		    "\"%.40s\" is none of error, warn, info, debug", text);
		return false;
	}
	*(int64_t *)item->into = v;
	return true;
}

static void
variable_name(const char *item, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "SLUICE_%s", item);

	assert(n < size);
	for (size_t i = 0; i < n; i++)
		out[i] = out[i] == '-' ? '_' : (char)toupper(out[i]);
}

struct file_values {
	const struct conf_item *items;
	size_t n;
	char **texts;
};

/* Values are checked as they are read, so that an error names the line. */
static bool
file_on_pair(void *arg, int line, const char *section, const char *name,
    const char *value, struct slc_err *err)
{
	struct file_values *f = arg;
	struct slc_err why;

	(void)line;
	if (name == NULL) {
		slc_fail(err, SLC_EINPUT, "no sections here: [%.40s]", section);
		return false;
	}
	for (size_t i = 0; i < f->n; i++) {
		if (strcmp(f->items[i].name, name) != 0)
			continue;
		if (f->texts[i] != NULL) {
			slc_fail(err, SLC_EINPUT, "%s stands twice", name);
			return false;
		}
		f->texts[i] = xstrdup(value);
		if (item_set(&f->items[i], f->texts[i], &why))
			return true;
		slc_fail(err, SLC_EINPUT, "%s: %s", name, why.text);
		return false;
	}
	slc_fail(err, SLC_EINPUT, "no such setting: %.60s", name);
	return false;
}

static void
help(const char *program, const char *about, const struct conf_item *items,
    size_t n)
{
	char var[64];

	printf("%s\n\nusage: %s [--NAME VALUE]...\n\n", about, program);
	for (size_t i = 0; i < n; i++) {
		variable_name(items[i].name, var, sizeof(var));
		printf("  --%-18s %s", items[i].name, items[i].help);
		if (items[i].value != NULL)
			printf(" [%s]", items[i].value);
		printf("\n  %20s (%s)\n", "", var);
	}
	printf("  --%-18s the same settings as NAME = VALUE lines\n"
	       "  %20s (SLUICE_CONFIG)\n"
	       "  --%-18s this text\n  --%-18s %s %s\n",
	    "config FILE", "", "help", "version", program, CONF_VERSION);
}

static void
refuse(const char *program, const char *where, const char *why)
{
	fprintf(stderr, "%s: %s: %s\n", program, where, why);
	exit(CONF_EXIT_USAGE);
}

/* What the command line gives; NULL where it is silent. */
static void
read_flags(const char *program, const char *about,
    const struct conf_item *items, size_t n, int argc, char **argv,
    const char **flags, const char **config)
{
	struct option options[CONF_ITEMS_MAX + 4] = { 0 };
	int c;

	for (size_t i = 0; i < n; i++)
		options[i] = (struct option){ items[i].name, required_argument,
			NULL, CONF_OPT_FIRST + (int)i };
	options[n] = (struct option){ "config", required_argument, NULL, 'c' };
	options[n + 1] = (struct option){ "help", no_argument, NULL, 'h' };
	options[n + 2] = (struct option){ "version", no_argument, NULL, 'v' };
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c >= CONF_OPT_FIRST) {
			flags[c - CONF_OPT_FIRST] = optarg;
		} else if (c == 'c') {
			*config = optarg;
		} else if (c == 'h') {
			help(program, about, items, n);
			exit(0);
		} else if (c == 'v') {
			printf("%s %s\n", program, CONF_VERSION);
			exit(0);
		} else {
			exit(CONF_EXIT_USAGE);
		}
	}
	if (optind < argc)
		refuse(program, argv[optind], "not a setting; see --help");
}

void
conf_load(const char *program, const char *about, const struct conf_item *items,
    size_t n, int argc, char **argv)
{
	const char *flags[CONF_ITEMS_MAX] = { 0 };
	char *texts[CONF_ITEMS_MAX] = { 0 };
	struct file_values file = { items, n, texts };
	const char *config = getenv("SLUICE_CONFIG");
	struct slc_err err;

	assert(n <= CONF_ITEMS_MAX);
	read_flags(program, about, items, n, argc, argv, flags, &config);
	if (config != NULL &&
	    conf_file(config, file_on_pair, &file, &err) != SLC_OK) {
		fprintf(stderr, "%s: %s\n", program, err.text);
		exit(CONF_EXIT_USAGE);
	}
	for (size_t i = 0; i < n; i++) {
		char flag[64], var[64];
		const char *where = flag, *text = flags[i];

		snprintf(flag, sizeof(flag), "--%s", items[i].name);
		variable_name(items[i].name, var, sizeof(var));
		if (text == NULL) {
			text = getenv(var);
			where = var;
		}
		/* SLUICE_X= is how one unsets it in a unit file. */
		if (text != NULL && where == var && *text == '\0')
			text = NULL;
		if (text == NULL && texts[i] == NULL)
			text = items[i].value;
		if (text != NULL && !item_set(&items[i], text, &err))
			refuse(program, where, err.text);
		if (items[i].kind != CONF_TEXT || text != NULL)
			free(texts[i]);
	}
}
