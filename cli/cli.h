/*
 * cli - the command line of sluice: one table of commands, what was given to
 * the one that runs, and how a command ends.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdio.h>

#include <sluice/buf.h>
#include <sluice/slc.h>

/* A promise to scripts: these numbers never change. */
enum cli_exit {
	CLI_OK = 0,
	CLI_ERROR = 1,
	CLI_USAGE = 2,
	CLI_FAILED_LINES = 3,
	CLI_AUTH = 4,
	CLI_NOT_FOUND = 5,
	CLI_LIMIT = 6,
	CLI_DEADLINE = 7,
	CLI_CANCELLED = 8,
	CLI_AWAY = 75,
	CLI_INTERRUPTED = 130,
};

enum { CLI_OPTS_MAX = 32, CLI_GIVEN_MAX = 256 };

struct cli_opt {
	const char *name; /* the table ends with NULL */
	char letter;      /* 0: none */
	const char *arg;  /* NULL: a flag; "[X]": may be left out */
	const char *help;
};

struct cli;

struct cli_cmd {
	const char *group;
	const char *name;     /* "path add"; the table ends with NULL */
	const char *operands; /* for the usage line */
	int min, max;         /* operands; max -1: any number */
	const struct cli_opt *opts;
	const char *brief;
	const char *more; /* for --help: paragraphs, examples */
	enum cli_exit (*run)(struct cli *cli);
};

/* What was given, in order; strings are argv's. */
struct cli {
	const struct cli_cmd *cmd;
	struct {
		const char *name, *value;
		bool own; /* the command's: it may have the name of a global */
	} given[CLI_GIVEN_MAX];
	size_t ngiven;
	char **operand;
	int noperands;
	bool json, quiet;
};

extern const struct cli_cmd cli_cmds[];        /* commands.c */
extern const struct cli_cmd cli_caller_cmds[]; /* commands_callers.c */
extern const struct cli_opt cli_globals[];     /* args.c */

/*
 * Read options into cli: of the command and global ones, or before a command is
 * known, the global ones up to the first operand.  Returns the index of the
 * first operand, or -1 after saying what is wrong.
 */
int cli_args(struct cli *cli, int argc, char **argv);

/* The last value given for an option; "" for a flag, NULL when not given. */
const char *cli_get(const struct cli *cli, const char *name);
/* The same, of a global option, and of one that is the command's. */
const char *cli_global(const struct cli *cli, const char *name);
const char *cli_own(const struct cli *cli, const char *name);
/* The next one after *at, which starts as 0; NULL after the last. */
const char *cli_next(const struct cli *cli, const char *name, size_t *at);

/*
 * A number or a span ("10s") given for an option, within min..max; *out stays
 * as it is when it is not given.
 */
enum slc_rc cli_int(const struct cli *cli, const char *name, int64_t min,
    int64_t max, int64_t *out, struct slc_err *err);

/* "low", "normal", "high", "critical" or "1".."4" as 1..4; 0: none of them. */
int cli_priority(const char *text);

/* Say what is wrong with the call; returns CLI_USAGE. */
enum cli_exit cli_usage(const struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Say what went wrong; returns the exit code that belongs to it. */
enum cli_exit cli_fail(const struct cli *cli, const struct slc_err *err);

/* A message on stderr, control characters escaped; none with --quiet. */
void cli_note(const struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* help.c: what there is, for people. */
const struct cli_cmd *cli_cmd_at(size_t i); /* of all tables; NULL: no more */
void help_all(FILE *to);
void help_cmd(const struct cli_cmd *cmd, FILE *to);
/* The command that the words begin with, and how many it takes; or NULL. */
const struct cli_cmd *help_find(int n, char **words, int *used);
/* The words are no command: say which are near; returns CLI_USAGE. */
enum cli_exit help_unknown(int n, char **words);

/* clang-format off */
#define CLI_COMMANDS(X)                                                     \
	X(up) X(migrate) X(worker_list) X(help)                             \
	X(submit) X(retry) X(plan) X(list) X(show) X(watch) X(results)      \
	X(cancel)                                                           \
	X(pause) X(resume) X(reprioritise) X(deadline)                      \
	X(files_list) X(files_show) X(files_delete) X(files_content)        \
	X(path_add) X(path_edit) X(path_list) X(path_show) X(path_remove)   \
	X(pool_add) X(pool_edit) X(pool_list) X(pool_remove) X(apply)       \
	X(preset_list) X(preset_show) X(path_watch) X(usage)                \
	X(plan_add) X(plan_edit) X(plan_list) X(plan_show) X(plan_remove)   \
	X(account_create) X(account_edit) X(account_list) X(account_show)   \
	X(key_create) X(key_edit) X(key_list) X(key_show) X(key_revoke)     \
	X(limit_create) X(limit_edit) X(limit_list) X(limit_show)           \
	X(limit_delete) X(everybody_show) X(everybody_edit)                 \
	X(webhook_add) X(webhook_list) X(webhook_show) X(webhook_remove)    \
	X(webhook_test) X(webhook_secret)
/* clang-format on */
#define X(name) enum cli_exit cmd_##name(struct cli *cli);
CLI_COMMANDS(X)
#undef X

#endif
