/*
 * path_frame - how paths stand just now, as a screenful or as a line.
 */
#ifndef CLI_PATH_FRAME_H
#define CLI_PATH_FRAME_H

#include "client.h"

struct path_frame {
	int width, height; /* of the terminal */
	bool ascii;
	const char *trouble; /* shown above all; NULL: none */
};

/*
 * A path or a list of them: lines that end in a newline, height of them at
 * most.  What does not fit in width is for the terminal to cut.
 */
void
path_frame(const json_t *shown, const struct path_frame *frame, struct buf *to);

/* "main health=up sends=10 ... requests/1m=595/600", without a newline. */
void path_frame_line(const json_t *path, struct buf *to);

#endif
