/*
 * batch_options - options of `sluice submit` and `sluice plan` that say which
 * way a batch goes, when and for how much.
 */
#ifndef CLI_BATCH_OPTIONS_H
#define CLI_BATCH_OPTIONS_H

#include <jansson.h>

#include "cli.h"

/* Put what was given into own, the `sluice` object of a batch.  CLI_USAGE: said
 * what is wrong. */
enum cli_exit batch_options(struct cli *cli, json_t *own);

#endif
