/*
 * view - objects of the server as tables: which member stands where is a table
 * itself.
 */
#ifndef CLI_VIEW_H
#define CLI_VIEW_H

#include "client.h"

enum view_kind {
	VIEW_TEXT,
	VIEW_COUNT,
	VIEW_NUMBER,   /* a share, a factor */
	VIEW_SIZE,     /* bytes */
	VIEW_MS,       /* milliseconds, as a span */
	VIEW_TIME,     /* Unix seconds */
	VIEW_PRIORITY, /* 1..4 */
	VIEW_WORDS,    /* an array of strings, with commas between */
	VIEW_LIMITS,   /* an array of limits, in their short form */
	VIEW_RULES,    /* the same of limits before callers */
	VIEW_SPAN,     /* seconds, as a span */
};

struct view_col {
	const char *title;
	const char *member; /* as js.h has it */
	enum view_kind kind;
};

/* A line for each object of a list; or, of one object, a line a member. */
enum view_shape { VIEW_LIST, VIEW_OBJECT };

struct view {
	enum view_shape shape;
	const struct view_col *cols; /* the first is what --quiet prints */
	size_t ncols;
};

#define VIEW(shape, cols)                 \
	{                                 \
		shape, cols, NITEMS(cols) \
	}

void
view_print(const struct cli *cli, const struct view *view, const json_t *doc);

/*
 * Call the server and print what it answers, as JSON or as the view has it;
 * view NULL: only JSON is printed.  body is taken over.
 */
enum cli_exit view_call(struct cli *cli, const char *method, const char *path,
    json_t *body, const struct view *view);

/* The same with the id in the path, which is made safe. */
enum cli_exit view_call_id(struct cli *cli, const char *method,
    const char *prefix, const char *id, const struct view *view);

/* GET the one that the operand names, and below it a list of its own, each
 * first made ready (NULL: nothing is to be done), as a table. */
enum cli_exit
view_show_with(struct cli *cli, const char *prefix, const struct view *view,
    const char *member, void (*each)(json_t *item), const struct view *below);

/* "gpt-4:requests/1m=300" */
void view_limit(const json_t *limit, struct buf *to);

#endif
