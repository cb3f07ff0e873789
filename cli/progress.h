/*
 * progress - how far it is, on stderr.
 *
 * On a terminal one line that is written over; elsewhere a line every few
 * seconds, none for what is quickly done.  Nothing with --quiet.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "cli.h"

struct progress {
	bool terminal, off, drawn;
	int64_t next_ms;
};

void progress_begin(struct progress *p, const struct cli *cli);
/* Time for another progress_show()? */
bool progress_due(const struct progress *p);
void progress_show(struct progress *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void progress_end(struct progress *p); /* leaves no trace on a terminal */
/* "[#####.....]" */
const char *progress_bar(int64_t done, int64_t total, char to[32]);

/* Milliseconds of a clock that never steps. */
int64_t progress_now(void);

#endif
