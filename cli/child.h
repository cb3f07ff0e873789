/*
 * child - programs that `sluice up` starts and that must not outlive it.
 *
 * A child has a session of its own, so that Ctrl-C reaches us alone, none of
 * our open files, and gets a signal when we die, however that happens.
 */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <sys/types.h>

#include "cli.h"

/* Somebody without rights to be instead of root. */
struct child_user {
	char name[64];
	uid_t uid;
	gid_t gid;
};

struct child_spec {
	const char *const *argv; /* argv[0] with a slash: the file, else PATH */
	const char *const *env;  /* NULL: ours */
	const struct child_user *user; /* NULL: stay who we are */
	const char *log;               /* a file that stdout and stderr go to */
	const char *input; /* a short text on stdin; NULL: nothing */
	int death_signal;  /* what it gets when we die */
};

/* Start it; 0 is never a pid.  SLC_EIO also when the program is not there. */
enum slc_rc
child_start(const struct child_spec *spec, pid_t *pid, struct slc_err *err);

/* Start it and wait for its end: anything but exit 0 is an error. */
enum slc_rc child_run(const struct child_spec *spec, struct slc_err *err);

/* Has it ended?  If so, how, in words for people. */
bool child_ended(pid_t pid, char how[64]);

/* Where a log ends now; 0 when there is none. */
off_t child_log_end(const char *log);

/* What a program wrote to its log since then as it gave up; "" for nothing. */
void child_last_words(const char *log, off_t from, struct buf *to);

/*
 * Can the user enter dir?  If not, err names the folder that is closed to him.
 */
enum slc_rc child_reaches(
    const struct child_user *user, const char *dir, struct slc_err *err);

#endif
