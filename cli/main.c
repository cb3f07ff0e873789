/*
 * sluice - the command line: finds the command, reads its options, runs it.
 */
#include <curl/curl.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include <sluice/conf.h>

#include "cli.h"

/* Characters, not dates and numbers: those have to look the same everywhere. */
static void
init_locale(void)
{
	setlocale(LC_CTYPE, "");
	/* Nobody set one, which says nothing about the terminal. */
	if (strcmp(nl_langinfo(CODESET), "ANSI_X3.4-1968") == 0)
		setlocale(LC_CTYPE, "C.UTF-8");
}

static enum cli_exit
run(struct cli *cli, int argc, char **argv)
{
	int first = cli_args(cli, argc, argv);

	if (first < 0) {
		fprintf(stderr, "see sluice help %s\n", cli->cmd->name);
		return CLI_USAGE;
	}
	if (cli_get(cli, "help") != NULL) {
		help_cmd(cli->cmd, stdout);
		return CLI_OK;
	}
	cli->operand = argv + first;
	cli->noperands = argc - first;
	if (cli->noperands < cli->cmd->min)
		return cli_usage(cli, "%s is missing", cli->cmd->operands);
	if (cli->cmd->max >= 0 && cli->noperands > cli->cmd->max)
		return cli_usage(
		    cli, "\"%s\" is one too many", cli->operand[cli->cmd->max]);
	return cli->cmd->run(cli);
}

int
main(int argc, char **argv)
{
	struct cli cli = { 0 };
	int first, used;
	enum cli_exit code;
	char name[64];

	init_locale();
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		printf("sluice %s\n", CONF_VERSION);
		return CLI_OK;
	}
	first = cli_args(&cli, argc, argv);
	if (first < 0)
		return CLI_USAGE;
	if (cli_get(&cli, "help") != NULL || first == argc) {
		help_all(first == argc && cli.ngiven == 0 ? stderr : stdout);
		return cli_get(&cli, "help") != NULL ? CLI_OK : CLI_USAGE;
	}
	cli.cmd = help_find(argc - first, argv + first, &used);
	if (cli.cmd == NULL)
		return help_unknown(argc - first, argv + first);
	/* The last word of the command takes the place of the program's name,
	 * which getopt puts before its complaints. */
	snprintf(name, sizeof(name), "sluice %s", cli.cmd->name);
	argv[first + used - 1] = name;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	code = run(&cli, argc - first - used + 1, argv + first + used - 1);
	curl_global_cleanup();
	if (fflush(stdout) != 0 || ferror(stdout))
		return code == CLI_OK ? CLI_ERROR : code;
	return code;
}
