/*
 * cluster - a private PostgreSQL in the state directory: unix socket only, run
 * by somebody without rights, never by root.
 */
#ifndef CLI_CLUSTER_H
#define CLI_CLUSTER_H

#include "child.h"

enum { CLUSTER_ARGS_MAX = 32 };

struct cluster {
	const struct cli *cli;
	char *dir;        /* the state directory, absolute */
	char *data, *run; /* dir/pg; where the socket is */
	char *bin;        /* /usr/lib/postgresql/15/bin */
	char *log;
	struct child_user user; /* who runs it */
	pid_t before;           /* of the last postmaster, for the next */
	struct buf args;        /* of postgres, each with its NUL */
	const char *argv[CLUSTER_ARGS_MAX];
	char env_before[48];
	const char *env[4];
};

/*
 * Find PostgreSQL and who runs it, make the data directory the first time, see
 * a postmaster off that a killed `up` has left, write what it must obey.
 */
enum slc_rc cluster_prepare(struct cluster *c, const struct cli *cli,
    const char *dir, struct slc_err *err);
void cluster_fini(struct cluster *c);

/* How to start it.  Called again before each start. */
void cluster_spec(struct cluster *c, struct child_spec *spec);

/* Does the postmaster with that pid take connections? */
bool cluster_ready(const struct cluster *c, pid_t pid);

/* libpq's keywords for a role. */
void cluster_dsn(const struct cluster *c, const char *role, struct buf *to);

#endif
