/*
 * up - the whole system on one machine: what its parts share.
 *
 * up.c has the state directory and the command, up_database.c brings the
 * database up to date, up_programs.c starts sluiced and the worker.
 */
#ifndef CLI_UP_H
#define CLI_UP_H

#include "cluster.h"
#include "supervise.h"

enum { UP_POLL_MS = 20, UP_WARDS_MAX = 3, UP_ARGS_MAX = 16 };

/* sluiced or sluice-worker: how to start it, as long as it runs. */
struct up_program {
	char *program, *log;
	struct buf dsn; /* SLUICE_DATABASE=... */
	const char **env;
	const char *argv[UP_ARGS_MAX];
	size_t argc;
};

struct up {
	const struct cli *cli;
	char *dir; /* the state directory, absolute */
	int lock;
	char listen[128]; /* with the port that was found, once it is known */
	char *port_file;
	struct buf url;
	struct cluster cluster; /* all zero with --database */
	struct buf api_dsn, worker_dsn;
	struct up_program api, worker;
	struct ward wards[UP_WARDS_MAX];
	size_t nwards;
};

void up_sleep_ms(int64_t ms);

/* dir/name, the caller's; a log that has grown too long is kept as .old. */
char *up_log(const struct up *up, const char *name);

/* A child ended that should not have: err gets its own last words. */
enum slc_rc
up_fail_ended(const struct ward *w, const char *how, struct slc_err *err);

/* Start the private database unless one is given, migrate it, make the key. */
enum slc_rc up_database(struct up *up, struct slc_err *err);

/* Start sluiced, wait until it is ready, start the worker. */
enum slc_rc up_programs(struct up *up, struct slc_err *err);
void up_programs_fini(struct up *up);

#endif
