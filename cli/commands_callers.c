#include <stddef.h>

#include "cli.h"

/* clang-format off */
#define END { NULL, 0, NULL, NULL }

#define LIMIT { "limit", 'l', "SPEC", "what they may do; any number" }
#define NO_LIMIT { "no-limit", 0, "SPEC", "remove a limit" }
#define MAX_PRIORITY \
	{ "max-priority", 0, "LEVEL", "low to critical, or 1..4; none: the plan's" }
#define PLAN { "plan", 0, "NAME", "the limits it has; none: no plan" }

static const struct cli_opt plan_add_opts[] = {
	{ "preset", 0, "NAME", "the tier of a known provider; what else is given "
	    "wins" },
	{ "dialect", 0, "NAME", "how answers speak of limits: account, priority, "
	    "chunks, relay, ietf [openai]" },
	{ "max-priority", 0, "LEVEL", "low to critical, or 1..4 [critical]" },
	LIMIT,
	END,
};
static const struct cli_opt plan_edit_opts[] = {
	{ "dialect", 0, "NAME", "how answers speak of limits" },
	{ "max-priority", 0, "LEVEL", "low to critical, or 1..4" },
	LIMIT, NO_LIMIT, END,
};

static const struct cli_opt account_create_opts[] = {
	PLAN, MAX_PRIORITY,
	{ "weight", 0, "N", "its share of upstreams beside others, 1..1000 [1]" },
	{ "cache", 0, "[=no]", "answer equal requests and lines from a cache" },
	LIMIT, END,
};
static const struct cli_opt account_edit_opts[] = {
	PLAN, MAX_PRIORITY,
	{ "weight", 0, "N", "its share of upstreams beside others, 1..1000" },
	{ "cache", 0, "[=no]", "answer equal requests and lines from a cache" },
	LIMIT, NO_LIMIT, END,
};

#define EXPIRES \
	{ "expires", 0, "WHEN", "90d from now, 2027-01-31 (UTC), never" }
static const struct cli_opt key_create_opts[] = {
	{ "account", 'a', "NAME", "whose key it is" },
	{ "name", 'n', "TEXT", "to know it by [key]" },
	{ "scope", 's', "SCOPE", "batch, live, read or admin; any number "
	    "[batch live read]" },
	EXPIRES, PLAN, MAX_PRIORITY, LIMIT, END,
};
static const struct cli_opt key_edit_opts[] = {
	{ "name", 'n', "TEXT", "to know it by" },
	{ "scope", 's', "SCOPE", "these instead; any number" },
	EXPIRES, PLAN, MAX_PRIORITY, LIMIT, NO_LIMIT, END,
};
static const struct cli_opt key_revoke_opts[] = {
	{ "cancel-batches", 0, NULL, "end its batches; else they pause" },
	END,
};

#define NAMED                                                               \
	{ "requests", 0, "N/PERIOD", "as 50/1d" },                          \
	{ "tokens", 0, "N/PERIOD", "input and output, as 1m/1d" },          \
	{ "key", 0, "KEY", "attach it to a key (id or name); any number" }, \
	{ "model", 0, "NAME", "attach it to a model; any number" },         \
	{ "algorithm", 0, "WORD", "how the period runs: fixed, sliding, "   \
	    "anchored, bucket [fixed]" },                                   \
	{ "zone", 0, "ZONE", "whose midnight a fixed day begins at [UTC]" }
static const struct cli_opt limit_create_opts[] = { NAMED, END };
static const struct cli_opt limit_edit_opts[] = {
	NAMED,
	{ "no-requests", 0, NULL, "remove the threshold of requests" },
	{ "no-tokens", 0, NULL, "remove the threshold of tokens" },
	{ "no-key", 0, "KEY", "detach it from a key" },
	{ "no-model", 0, "NAME", "detach it from a model" },
	END,
};
static const struct cli_opt limit_delete_opts[] = {
	{ "yes", 'y', NULL, "do not ask" },
	END,
};
static const struct cli_opt everybody_opts[] = { LIMIT, NO_LIMIT, END };

static const struct cli_opt webhook_add_opts[] = {
	{ "account", 'a', "NAME", "whose batches" },
	{ "secret-file", 0, "FILE", "what signs; read by workers alone" },
	{ "event", 'e', "WORD", "completed, failed, expired, cancelled; any number "
	    "[all]" },
	END,
};

#define SPECS                                                                 \
	"A limit is [MODEL:]WHAT/WINDOW=AMOUNT[:WORD]...  WHAT is requests, tokens,\n" \
	"input_tokens, output_tokens or money in a window of 1s to 31d; or, without a\n" \
	"window, concurrent, enqueued_requests or enqueued_tokens (of batches that are\n" \
	"not done).  Amounts take k, m and g; money is in units, as 12.50.  Words:\n"  \
	"  sliding fixed fixed@ZONE anchored bucket   how the window runs: the last\n"  \
	"      seconds, the calendar, from the first request on, steadily refilled\n"   \
	"      [sliding; fixed when longer than 1h]\n"                                  \
	"  key account all            whose counter it is [key; of an account: account]\n" \
	"  live batch both            which calls it is for [live]\n"                   \
	"  shape                      batches are spread under it, and never refused\n" \
	"  chunk                      each chunk of a streamed answer is a request\n"   \
	"  chat embeddings moderations images audio   these calls alone\n"              \
	"  each-model each-resource   a counter for each, not one for all\n"

const struct cli_cmd cli_caller_cmds[] = {
	{ "Callers", "plan add", "NAME", 1, 1, plan_add_opts,
	    "add a plan (a tier) of limits",
	    "Accounts and keys that have the plan have its limits; their own win over the\n"
	    "plan's of the same what, window and model.\n"
	    SPECS
	    "\n"
	    "Examples:\n"
	    "  sluice plan add acme --preset priority-pro\n"
	    "  sluice plan add starter --limit requests/1m=60 --limit tokens/1d=1m\n"
	    "  sluice plan add enterprise --dialect account \\\n"
	    "      --limit requests/1h=5000:shape:account --max-priority high\n",
	    cmd_plan_add },
	{ "Callers", "plan edit", "NAME", 1, 1, plan_edit_opts, "change a plan",
	    "Only what is given changes, and at once, in the window that runs.\n"
	    SPECS
	    "\n"
	    "Examples:\n"
	    "  sluice plan edit starter --limit requests/1m=120 --no-limit tokens/1d\n",
	    cmd_plan_edit },
	{ "Callers", "plan list", "", 0, 0, NULL, "the plans, and whose they are",
	    "Examples:\n"
	    "  sluice plan list\n",
	    cmd_plan_list },
	{ "Callers", "plan show", "NAME", 1, 1, NULL, "all about one plan",
	    "Examples:\n"
	    "  sluice plan show acme --json | jq .limits\n",
	    cmd_plan_show },
	{ "Callers", "plan remove", "NAME", 1, 1, NULL,
	    "remove a plan that nobody has",
	    "Examples:\n"
	    "  sluice plan remove starter\n",
	    cmd_plan_remove },

	{ "Callers", "account create", "NAME", 1, 1, account_create_opts,
	    "add an account",
	    "Files, batches and results belong to an account, and no other sees them.\n"
	    SPECS
	    "\n"
	    "Examples:\n"
	    "  sluice account create research --plan acme\n",
	    cmd_account_create },
	{ "Callers", "account edit", "NAME", 1, 1, account_edit_opts,
	    "change an account",
	    "Only what is given changes.\n"
	    SPECS
	    "\n"
	    "Examples:\n"
	    "  sluice account edit research --plan pro --max-priority high\n"
	    "  sluice account edit research --limit requests/1h=5000:shape \\\n"
	    "      --limit enqueued_requests=100k\n",
	    cmd_account_edit },
	{ "Callers", "account list", "", 0, 0, NULL, "the accounts",
	    "Examples:\n"
	    "  sluice account list\n",
	    cmd_account_list },
	{ "Callers", "account show", "NAME", 1, 1, NULL, "all about one account",
	    "Examples:\n"
	    "  sluice account show research\n",
	    cmd_account_show },

	{ "Callers", "key create", "", 0, 0, key_create_opts,
	    "make a key for an account",
	    "Prints the key, which is not kept and cannot be shown again.\n"
	    SPECS
	    "\n"
	    "Examples:\n"
	    "  sluice key create --account research --name ci --scope batch > ci.key\n"
	    "  sluice key create -a research -n trial --expires 30d --max-priority low\n",
	    cmd_key_create },
	{ "Callers", "key edit", "KEY", 1, 1, key_edit_opts, "change a key",
	    "KEY is an id, or the name of one key in use.  Only what is given changes.\n"
	    SPECS
	    "\n"
	    "Examples:\n"
	    "  sluice key edit key_7 --expires never --limit requests/1m=300\n",
	    cmd_key_edit },
	{ "Callers", "key list", "", 0, 0, NULL, "all keys, by their last letters",
	    "Examples:\n"
	    "  sluice key list\n",
	    cmd_key_list },
	{ "Callers", "key show", "KEY", 1, 1, NULL,
	    "all about one key, and what of its limits is used",
	    "Each limit that the key meets, where it comes from, and how full it is now.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice key show ci\n",
	    cmd_key_show },
	{ "Callers", "key revoke", "KEY", 1, 1, key_revoke_opts,
	    "make a key useless at once",
	    "Its batches pause for good: what is under way ends, the rest is not sent, and\n"
	    "their results stay.  With --cancel-batches they end as cancelled.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice key revoke key_7 --cancel-batches\n",
	    cmd_key_revoke },

	{ "Callers", "limit create", "NAME", 1, 1, limit_create_opts,
	    "make a named limit",
	    "It holds for each key and each model it is attached to, counted apart: for a\n"
	    "key, all it asks for; for a model, all that anybody asks of it.  A call is\n"
	    "refused as soon as one of its thresholds is reached.  NAME is 5 to 100 of\n"
	    "a-z, 0-9 and -.  (Here --key is not yours: that goes before the command, as in\n"
	    "sluice --key @FILE limit create ..., or into SLUICE_API_KEY.)\n"
	    "\n"
	    "Examples:\n"
	    "  sluice limit create rate-limit-01 --requests 50/1d --tokens 1m/1d \\\n"
	    "      --key mee-agent --model gpt-5 --zone Europe/Berlin\n",
	    cmd_limit_create },
	{ "Callers", "limit edit", "NAME", 1, 1, limit_edit_opts,
	    "change a named limit",
	    "Only what is given changes, and at once, in the period that runs.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice limit edit rate-limit-01 --requests 80/1d --no-tokens --key key_9\n",
	    cmd_limit_edit },
	{ "Callers", "limit list", "", 0, 0, NULL,
	    "the named limits, and what is used",
	    "Examples:\n"
	    "  sluice limit list\n",
	    cmd_limit_list },
	{ "Callers", "limit show", "NAME", 1, 1, NULL,
	    "all about one, and what each key and model has used",
	    "Examples:\n"
	    "  sluice limit show rate-limit-01\n",
	    cmd_limit_show },
	{ "Callers", "limit delete", "NAME", 1, 1, limit_delete_opts,
	    "delete a named limit",
	    "Asks first, unless --yes.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice limit delete rate-limit-01 --yes\n",
	    cmd_limit_delete },

	{ "Callers", "everybody show", "", 0, 0, NULL,
	    "the limits that hold for all callers",
	    "Examples:\n"
	    "  sluice everybody show\n",
	    cmd_everybody_show },
	{ "Callers", "everybody edit", "", 0, 0, everybody_opts,
	    "change what holds for all callers",
	    "Counted for all together, unless a word says for each key or account.\n"
	    SPECS
	    "\n"
	    "Examples:\n"
	    "  sluice everybody edit --limit concurrent=500 --limit requests/1m=600:key\n",
	    cmd_everybody_edit },

	{ "Callers", "webhook add", "URL", 1, 1, webhook_add_opts,
	    "tell somebody when batches of an account have ended",
	    "A POST of JSON with the type batch.completed, .failed, .expired or .cancelled\n"
	    "and the batch's id and counts, signed by the Standard Webhooks scheme.  Until\n"
	    "the answer is 2xx it comes again, for three days; the same event may come\n"
	    "twice, with the same webhook-id.  410 ends it.  URL is https at a public\n"
	    "address, port 443, unless the worker's --webhook-nets, --webhook-ports and\n"
	    "--webhook-schemes say otherwise (SLUICE_WEBHOOK_NETS, ... of sluice up).  FILE\n"
	    "holds the secret, up to four while receivers change to a new one, a line each.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice webhook secret > /etc/sluice/hook.key && chmod 600 /etc/sluice/hook.key\n"
	    "  sluice webhook add https://ci.example.com/done --account research \\\n"
	    "      --secret-file /etc/sluice/hook.key --event completed --event failed\n",
	    cmd_webhook_add },
	{ "Callers", "webhook list", "", 0, 0, NULL, "the webhooks",
	    "Examples:\n"
	    "  sluice webhook list\n",
	    cmd_webhook_list },
	{ "Callers", "webhook show", "WEBHOOK", 1, 1, NULL,
	    "all about one, and what came of its last events",
	    "Examples:\n"
	    "  sluice webhook show webhook_3\n",
	    cmd_webhook_show },
	{ "Callers", "webhook test", "WEBHOOK", 1, 1, NULL,
	    "send a test event, and say what came of it",
	    "One try of the type webhook.test; exit code 1 when it was not delivered.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice webhook test webhook_3\n",
	    cmd_webhook_test },
	{ "Callers", "webhook remove", "WEBHOOK", 1, 1, NULL, "tell it nothing more",
	    "What it has not been told it will not be.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice webhook remove webhook_3\n",
	    cmd_webhook_remove },
	{ "Callers", "webhook secret", "", 0, 0, NULL, "make up a secret and print it",
	    "Nothing is kept: into a file that workers read, and to the receiver.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice webhook secret > hook.key\n",
	    cmd_webhook_secret },
	{ NULL, NULL, NULL, 0, 0, NULL, NULL, NULL, NULL },
};
/* clang-format on */
