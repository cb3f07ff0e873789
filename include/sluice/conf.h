/*
 * conf - settings of a program: from --flags, then SLUICE_* variables, then an
 * INI file (--config), then their defaults.  One table gives all four, and
 * --help.
 */
#ifndef SLUICE_CONF_H
#define SLUICE_CONF_H

#include <sluice/slc.h>

#define CONF_VERSION "0.1.0" /* of Sluice */

enum {
	CONF_ITEMS_MAX = 64,
	CONF_FILE_LINE_MAX = 8000, /* bytes */
	CONF_FILE_SECTION_MAX = 127,
};

enum conf_kind {
	CONF_TEXT,     /* const char **, NULL when not set; never freed */
	CONF_INT,      /* int64_t *, within min..max */
	CONF_BYTES,    /* int64_t *, "200m" */
	CONF_SPAN,     /* int64_t * seconds, "10m" */
	CONF_LOGLEVEL, /* int64_t *, enum log_level */
};

struct conf_item {
	const char *name; /* "max-file-bytes": --max-file-bytes,
			     SLUICE_MAX_FILE_BYTES, max-file-bytes = */
	enum conf_kind kind;
	const char *value; /* default, as one would write it; may be NULL */
	int64_t min, max;
	void *into;
	const char *help;
};

/*
 * Fill the settings.  Prints --help or --version and exits 0; prints what is
 * wrong and exits 2.  about: a few lines at the top of --help.  n is at most
 * CONF_ITEMS_MAX.
 */
void conf_load(const char *program, const char *about,
    const struct conf_item *items, size_t n, int argc, char **argv);

/*
 * A section that begins (name and value NULL), or one "name = value" of it;
 * false with err->text filled stops the reading.
 */
typedef bool (*conf_on_pair)(void *arg, int line, const char *section,
    const char *name, const char *value, struct slc_err *err);

/*
 * Read an INI file: [section], name = value, # or ; before a comment.  An error
 * names the file and the line.
 */
enum slc_rc conf_file(
    const char *path, conf_on_pair on_pair, void *arg, struct slc_err *err);

#endif
