#include <stddef.h>

#include "cli.h"

/* clang-format off */
#define END { NULL, 0, NULL, NULL }
#define ANY (-1)

#define OUTPUT(what) \
	{ "output", 'o', "FILE", what " [-: standard output]" }

static const struct cli_opt up_opts[] = {
	{ "listen", 0, "HOST:PORT", "where the API is [127.0.0.1:8080]" },
	{ "database", 0, "URL", "use this PostgreSQL, not a private one" },
	{ "max-file-bytes", 0, "SIZE", "largest upload [200m]" },
	{ "max-file-lines", 0, "N", "most lines of an upload [50000]" },
	{ "max-in-flight", 0, "N", "most calls open at once [256]" },
	END,
};

static const struct cli_opt migrate_opts[] = {
	{ "database", 0, "URL", "whose owner you are (else SLUICE_DATABASE)" },
	{ "check", 0, NULL, "only say what would be applied; 1 if anything" },
	END,
};

#define ROUTE_OPTS                                                            \
	{ "path", 0, "WORD", "auto, direct, cheap: which way it goes [auto]" }, \
	{ "no-escalate", 0, NULL, "never direct instead of cheap, even if it " \
	    "is late" },                                                      \
	{ "max-cost", 0, "MONEY", "no line is sent that could make it cost "   \
	    "more, as 1.50" },                                                \
	{ "details", 0, NULL, "each result tells its way, tokens and cost, in " \
	    "a member \"sluice\"" },                                           \
	{ "not-before", 0, "TIME", "nothing is sent earlier: 2h, or "          \
	    "2026-01-31T22:00Z" },                                            \
	{ "only-between", 0, "HOURS", "sent in these hours alone, as "         \
	    "'mon-fri 22:00-06:00 Europe/Berlin'" }

static const struct cli_opt submit_opts[] = {
	{ "endpoint", 0, "PATH", "such as /v1/chat/completions [line 1's url]" },
	{ "priority", 'p', "LEVEL", "low, normal, high, critical or 1..4 "
	    "[normal]" },
	{ "within", 0, "SPAN", "finish by then: 1m to 30d [24h]" },
	{ "require-feasible", 0, NULL, "refuse it if it cannot be done in time" },
	{ "max-tokens", 0, "N", "output cap for lines that have none; only "
	    "these are changed" },
	ROUTE_OPTS,
	{ "dedupe", 0, NULL, "send lines with the same body once, and answer each" },
	{ "metadata", 'm', "KEY=VALUE", "kept with the batch; up to 16 times" },
	{ "wait", 'w', NULL, "stay until the batch has ended" },
	{ "output", 'o', "FILE", "with --wait: results to FILE, failed lines to "
	    "FILE.errors.jsonl" },
	END,
};

static const struct cli_opt plan_opts[] = {
	{ "endpoint", 0, "PATH", "such as /v1/chat/completions [line 1's url]" },
	{ "priority", 'p', "LEVEL", "low, normal, high, critical or 1..4 "
	    "[normal]" },
	{ "within", 0, "SPAN", "finish by then: 1m to 30d [24h]" },
	{ "max-tokens", 0, "N", "output cap for lines that have none" },
	ROUTE_OPTS,
	END,
};

static const struct cli_opt page_opts[] = {
	{ "limit", 'n', "N", "how many" },
	{ "after", 0, "ID", "those that follow this one" },
	END,
};

static const struct cli_opt files_opts[] = {
	{ "limit", 'n', "N", "how many [100]" },
	{ "after", 0, "ID", "those that follow this one" },
	{ "purpose", 0, "WORD", "batch or batch_output only" },
	END,
};

static const struct cli_opt results_opts[] = {
	OUTPUT("where to"),
	{ "errors", 'e', NULL, "the lines that failed" },
	END,
};

static const struct cli_opt content_opts[] = { OUTPUT("where to"), END };

#define POOL_SETTINGS                                                         \
	{ "limit", 'l', "SPEC", "what the upstream allows; any number" },     \
	{ "headroom", 0, "SHARE", "stay below all these limits by that much,"  \
	    " as 0.17" },                                                     \
	{ "stream-cost", 0, "WORD", "a streamed answer is a request once, or " \
	    "each chunk" },                                                   \
	{ "reserve", 0, "SHARE", "of all these limits, kept for live calls" }
#define PATH_SETTINGS                                                         \
	{ "url", 0, "URL", "where the API is: https://HOST, or up to /v1" },   \
	{ "models", 0, "GLOB,...", "the models it serves" },                  \
	{ "pool", 0, "NAME", "the account it draws on [the path's name]" },   \
	{ "secret-file", 0, "FILE", "its API key; read by workers alone" },   \
	{ "ca-file", 0, "FILE", "authorities to trust [the system's]" },       \
	{ "kind", 0, "WORD", "direct, suffix or batches: how it is called "    \
	    "[direct, or suffix with --suffix]" },                             \
	{ "suffix", 0, "TEXT", "added to the model's name, as :batch: the "    \
	    "upstream's cheaper way" },                                        \
	POOL_SETTINGS,                                                        \
	{ "dialect", 0, "NAME", "how its answers speak of limits [auto]" },    \
	{ "charge", 0, "WORD", "what counts as tokens: declared, "             \
	    "declared-refunded, actual, input-only [actual]" },               \
	{ "price", 0, "SPEC", "what tokens cost by it; any number" },          \
	{ "attempts", 0, "N", "tries of a line, 1..20 [5]" },                 \
	{ "connect-timeout", 0, "SPAN", "[10s]" },                            \
	{ "idle-timeout", 0, "SPAN", "nothing received for so long [10m]" },  \
	{ "timeout", 0, "SPAN", "for a whole call [15m]" },                   \
	{ "answer-max", 0, "SIZE", "largest answer [8m]" },                   \
	{ "http2", 0, "[=no]", "HTTP/2, over TLS only" },                     \
	{ "poll", 0, "SPAN", "batches: how often one is asked for, at most "   \
	    "twice as long [30s]" },                                          \
	{ "linger", 0, "SPAN", "batches: how long lines wait for others to "   \
	    "fill one [10s]" },                                                \
	{ "combine", 0, "N", "up to N embeddings or prompts that are alike "   \
	    "share a call, 1..2048 [1]" }
#define EDIT { "no-limit", 0, "SPEC", "remove a limit" }

static const struct cli_opt pool_add_opts[] = { POOL_SETTINGS, END };
static const struct cli_opt pool_edit_opts[] = { POOL_SETTINGS, EDIT, END };
static const struct cli_opt path_add_opts[] = {
	{ "preset", 0, "NAME", "settings and limits of a known provider; what "
	    "else is given wins" },
	PATH_SETTINGS,
	{ "dry-run", 0, NULL, "only say what would be added" },
	END,
};
static const struct cli_opt path_edit_opts[] = {
	PATH_SETTINGS,
	EDIT,
	{ "no-price", 0, "MODEL[@HOURS]", "remove a price" },
	END,
};

static const struct cli_opt watch_opts[] = {
	{ "count", 'n', "N", "end after so many seconds" },
	END,
};

static const struct cli_opt apply_opts[] = {
	{ "file", 'f', "FILE", "what there is to be" },
	{ "dry-run", 0, NULL, "only say what would change" },
	{ "prune", 0, NULL, "remove what the file does not name" },
	END,
};

static const struct cli_opt usage_opts[] = {
	{ "by", 0, "WHAT,...", "account, key, model, path, kind, resource" },
	{ "per", 0, "SPAN", "minute, hour, day or all [all]" },
	{ "since", 0, "WHEN", "a span back from now as 7d, a day as "
	    "2026-11-01, Unix time [24h]" },
	{ "until", 0, "WHEN", "the same [now]" },
	{ "account", 'a', "NAME", "of it alone" },
	{ "key", 0, "ID", "of it alone" },
	{ "model", 0, "GLOB", "of those alone" },
	{ "path", 0, "NAME", "of it alone" },
	{ "resource", 0, "WHAT", "chat, images, audio, embeddings, moderations" },
	{ "mine", 0, NULL, "of your own account: needs no admin key" },
	{ "csv", 0, NULL, "as CSV, times in UTC" },
	{ "peak", 0, NULL, "most in a minute, hour, day, beside the limits" },
	{ "forecast", 0, NULL, "when limits are reached at this pace" },
	END,
};

#define SPECS                                                                 \
	"A limit is [MODEL:]WHAT/WINDOW=AMOUNT: requests, tokens, input_tokens or\n" \
	"output_tokens in a window of 1s to 31d, or concurrent=AMOUNT; amounts take\n" \
	"k, m and g.  MODEL is a glob; all it matches share one counter.\n" \
	"With --kind batches lines go through the upstream's own /v1/batches, and\n" \
	"enqueued_tokens=AMOUNT and enqueued_requests=AMOUNT say what may be there.\n"

#define PRICES                                                                \
	"A price is [MODEL[@HOURS]:]input=MONEY,cached=MONEY,output=MONEY for a million\n"  \
	"tokens, HOURS as in 'm@mon-fri 16:30-00:30 UTC:input=0.07';\n" \
	"cached input costs as input where it is not named.  Of several that match, the\n" \
	"one that names the model counts, else the one with the most letters.\n"

#define ENDS                                                                  \
	"Ends with 0 if all lines succeeded, 3 if some failed, 1 if the batch was\n" \
	"refused, 7 if it expired, 8 if it was cancelled.\n"

const struct cli_cmd cli_cmds[] = {
	{ "Run", "up", "", 0, 0, up_opts, "run all of Sluice on this machine",
	    "Starts a private PostgreSQL, sluiced and one sluice-worker, and keeps them\n"
	    "running until Ctrl-C.  All state is in one directory (--state, SLUICE_STATE,\n"
	    "else /var/lib/sluice for root, else ~/.local/state/sluice), where other\n"
	    "commands find the server and its admin key by themselves.\n"
	    "\n"
	    "With --database that PostgreSQL is used instead, by all three parts as the\n"
	    "one user it names.  To give each a role of its own, or to run several, use\n"
	    "sluice migrate and start sluiced and sluice-worker yourself.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice up\n"
	    "  sluice up --state /srv/sluice --listen 0.0.0.0:8080\n",
	    cmd_up },
	{ "Run", "migrate", "", 0, 0, migrate_opts,
	    "bring a database up to date",
	    "Applies what is missing, all or nothing; a second time does nothing.  Prints\n"
	    "what it applied.  A database newer than this program is refused.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice migrate --database postgresql://sluice@db.example/sluice\n"
	    "  sluice migrate --check --database 'host=/run/postgresql dbname=sluice'\n",
	    cmd_migrate },
	{ "Run", "worker list", "", 0, 0, NULL, "the workers, and what they do",
	    "Examples:\n"
	    "  sluice worker list\n",
	    cmd_worker_list },
	{ "Run", "help", "[COMMAND]", 0, 2, NULL, "what a command does",
	    "Examples:\n"
	    "  sluice help submit\n",
	    cmd_help },

	{ "Batches", "submit", "FILE|-", 1, 1, submit_opts,
	    "send a file of requests",
	    "Each line of FILE is a request: {\"custom_id\": ..., \"method\": \"POST\",\n"
	    "\"url\": \"/v1/chat/completions\", \"body\": {\"model\": ..., ...}}.\n"
	    "Prints the batch's id.\n"
	    "\n"
	    "With --wait it stays to the end; Ctrl-C leaves the batch running and says how\n"
	    "to watch it again.  " ENDS
	    "\n"
	    "Examples:\n"
	    "  sluice submit requests.jsonl\n"
	    "  sluice submit requests.jsonl --priority high --within 2h --wait -o out.jsonl\n"
	    "  generate | sluice submit - --metadata job=nightly\n",
	    cmd_submit },
	{ "Batches", "retry", "ID", 1, 1, submit_opts,
	    "send the lines that failed once more",
	    "Makes a batch of those lines of an ended batch that have no result, as they\n"
	    "stand in its input file; its metadata has retry_of.  Options are those of\n"
	    "submit, which are not taken over from the first batch.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice retry batch_0123456789abcdef0123456789abcdef --wait -o more.jsonl\n",
	    cmd_retry },
	{ "Batches", "plan", "FILE|-", 1, 1, plan_opts,
	    "what a file of requests would take and cost",
	    "Lines, tokens, and by each path the cost and the end; as it would be routed,\n"
	    "which limit binds, and how sure that is.  The file is sent, and removed again;\n"
	    "nothing is made of it.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice plan requests.jsonl --within 6h\n"
	    "  sluice plan requests.jsonl --path direct --json | jq .routed.cost\n",
	    cmd_plan },
	{ "Batches", "list", "", 0, 0, page_opts, "your batches, newest first",
	    "Examples:\n"
	    "  sluice list --limit 5\n"
	    "  sluice list --json | jq -r '.data[] | select(.status==\"failed\") | .id'\n",
	    cmd_list },
	{ "Batches", "show", "ID", 1, 1, NULL, "all about one batch",
	    "Examples:\n"
	    "  sluice show batch_0123456789abcdef0123456789abcdef\n",
	    cmd_show },
	{ "Batches", "watch", "ID...", 1, ANY, NULL, "wait for batches to end",
	    ENDS
	    "Of several batches the worst counts.  With --json every change is a line.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice watch $(sluice list --quiet --limit 3)\n",
	    cmd_watch },
	{ "Batches", "results", "ID", 1, 1, results_opts,
	    "the results of a batch, one per line",
	    "Of a batch that is not final: those so far.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice results batch_... -o out.jsonl\n"
	    "  sluice results batch_... --errors | jq .error\n",
	    cmd_results },
	{ "Batches", "cancel", "ID...", 1, ANY, NULL, "end batches early",
	    "Lines that are under way still end; the rest is not sent.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice cancel batch_...\n",
	    cmd_cancel },
	{ "Batches", "pause", "ID...", 1, ANY, NULL, "hand out no more of batches",
	    "Lines that are under way still end.  The deadline stays: a batch that is\n"
	    "paused expires as others do.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice pause batch_...\n",
	    cmd_pause },
	{ "Batches", "resume", "ID...", 1, ANY, NULL, "let paused batches go on",
	    "Examples:\n"
	    "  sluice resume batch_...\n",
	    cmd_resume },
	{ "Batches", "reprioritise", "ID... LEVEL", 2, ANY, NULL,
	    "change the priority of batches",
	    "LEVEL is low, normal, high, critical or 1..4, as far as the key may go.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice reprioritise batch_... high\n",
	    cmd_reprioritise },
	{ "Batches", "deadline", "ID... WHEN", 2, ANY, NULL,
	    "change when batches must be done",
	    "WHEN is a span from now or a Unix time.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice deadline batch_... 6h\n",
	    cmd_deadline },

	{ "Files", "files list", "", 0, 0, files_opts, "your files, newest first",
	    "Examples:\n"
	    "  sluice files list --purpose batch_output\n",
	    cmd_files_list },
	{ "Files", "files show", "ID", 1, 1, NULL, "all about one file",
	    "Examples:\n"
	    "  sluice files show file-...\n",
	    cmd_files_show },
	{ "Files", "files content", "ID", 1, 1, content_opts,
	    "the bytes of a file",
	    "Examples:\n"
	    "  sluice files content file-... -o requests.jsonl\n",
	    cmd_files_content },
	{ "Files", "files delete", "ID", 1, 1, NULL, "delete a file",
	    "A file that an unfinished batch needs cannot be deleted.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice files delete file-...\n",
	    cmd_files_delete },

	{ "Upstreams", "path add", "NAME", 1, 1, path_add_opts,
	    "add a way to an upstream",
	    SPECS PRICES
	    "\n"
	    "A preset (sluice preset list) expands into settings and limits here and now;\n"
	    "an option wins over its setting, a limit over its limit of the same model,\n"
	    "dimension and window.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice path add glm --url https://api.example --models 'glm-*' \\\n"
	    "      --secret-file glm.key --limit requests/1m=300 --limit tokens/1m=200k \\\n"
	    "      --limit 'glm-4:requests/1m=10' --limit concurrent=10 --headroom 0.1\n"
	    "  sluice path add relay --preset relay-default --url https://relay.example \\\n"
	    "      --models '*' --secret-file relay.key --limit requests/1m=200 --dry-run\n"
	    "  sluice path edit glm --price 'glm-4*:input=0.15,cached=0.075,output=0.60'\n",
	    cmd_path_add },
	{ "Upstreams", "path edit", "NAME", 1, 1, path_edit_opts,
	    "change a path",
	    "Only what is given changes; --limit gives one limit another amount.\n"
	    SPECS PRICES
	    "\n"
	    "Examples:\n"
	    "  sluice path edit glm --limit requests/1m=600 --no-limit tokens/1m\n",
	    cmd_path_edit },
	{ "Upstreams", "path list", "", 0, 0, NULL,
	    "the paths, their health and limits",
	    "Examples:\n"
	    "  sluice path list\n",
	    cmd_path_list },
	{ "Upstreams", "path show", "NAME", 1, 1, NULL,
	    "all about one path, and what of its limits is used",
	    "Its settings; each limit, how full it is and of what we may use, FOREIGN use\n"
	    "by others of the same account, the STEP that it went down for refusals; and\n"
	    "what was learned from its answers, and from which header.  Of kind batches also\n"
	    "the upstream's batches that lines of ours are in.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice path show glm\n"
	    "  sluice path show glm --json | jq .learned.readings\n",
	    cmd_path_show },
	{ "Upstreams", "path watch", "[NAME]", 0, 1, watch_opts,
	    "the limits and the sends of paths, live",
	    "Once a second: how full each limit is, which one holds the path back (>) and\n"
	    "until when, and the sends of the last minute under the rate of that limit.\n"
	    "In a pipe a line for each path and second; with --json a document for each\n"
	    "second.  Ctrl-C ends it, with status 130.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice path watch glm\n"
	    "  sluice path watch --count 60 >> paths.log\n"
	    "  sluice path watch glm --json | jq --unbuffered .now.binds\n",
	    cmd_path_watch },
	{ "Upstreams", "path remove", "NAME", 1, 1, NULL, "remove a path",
	    "Calls that are open end; lines not sent go another way, or wait.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice path remove glm\n",
	    cmd_path_remove },
	{ "Upstreams", "pool add", "NAME", 1, 1, pool_add_opts,
	    "add an account that paths share",
	    "Its limits hold for all its paths together.\n"
	    SPECS
	    "\n"
	    "Examples:\n"
	    "  sluice pool add openai --limit requests/1d=10k --limit tokens/1m=2m\n",
	    cmd_pool_add },
	{ "Upstreams", "pool edit", "NAME", 1, 1, pool_edit_opts,
	    "change the limits of a pool",
	    "Only what is given changes; --limit gives one limit another amount.\n"
	    SPECS
	    "\n"
	    "Examples:\n"
	    "  sluice pool edit openai --limit requests/1d=20k\n",
	    cmd_pool_edit },
	{ "Upstreams", "pool list", "", 0, 0, NULL, "the pools and their limits",
	    "Examples:\n"
	    "  sluice pool list\n",
	    cmd_pool_list },
	{ "Upstreams", "pool remove", "NAME", 1, 1, NULL,
	    "remove a pool that no path uses",
	    "Examples:\n"
	    "  sluice pool remove openai\n",
	    cmd_pool_remove },
	{ "Upstreams", "apply", "", 0, 0, apply_opts,
	    "make upstreams and callers as a file says",
	    "The settings have the names of the options of path add and pool add, plan\n"
	    "add, account edit and limit create; limit, key and model may stand several\n"
	    "times.  Prints what changed; a second time does nothing.  --prune removes\n"
	    "plans and limits only if the file has any section of callers.\n"
	    "\n"
	    "  [pool openai]\n"
	    "  limit = requests/1d=10k\n"
	    "\n"
	    "  [path gpt]\n"
	    "  pool = openai\n"
	    "  url = https://api.openai.com\n"
	    "  models = gpt-*, o*\n"
	    "  secret-file = /etc/sluice/openai.key\n"
	    "  limit = requests/1m=500     # and any number more\n"
	    "\n"
	    "  [plan pro]\n"
	    "  preset = priority-pro\n"
	    "\n"
	    "  [account research]\n"
	    "  plan = pro\n"
	    "  limit = requests/1h=5000:shape\n"
	    "\n"
	    "  [limit rate-limit-01]\n"
	    "  requests = 50/1d\n"
	    "  model = gpt-5\n"
	    "\n"
	    "  [everybody]\n"
	    "  limit = concurrent=500:all\n"
	    "\n"
	    "Examples:\n"
	    "  sluice apply -f upstreams.ini --dry-run --prune\n",
	    cmd_apply },

	{ "Upstreams", "preset list", "", 0, 0, NULL,
	    "settings and limits that are known of providers",
	    "LIMITS TO GIVE are those whose amounts nobody publishes.\n"
	    "\n"
	    "Examples:\n"
	    "  sluice preset list\n",
	    cmd_preset_list },
	{ "Upstreams", "preset show", "NAME", 1, 1, NULL,
	    "what a preset sets, from which source, as of when",
	    "Examples:\n"
	    "  sluice preset show relay-default\n",
	    cmd_preset_show },

	{ "Callers", "usage", "", 0, 0, usage_opts,
	    "who used what: requests, tokens, money",
	    "REFUSED are answers of 429 to callers; they are not requests.  Days and hours\n"
	    "are those of UTC.  Use is known by the minute for 2 days, then by the hour for\n"
	    "90, then by the day.  Money is reckoned as lines end, by the prices then.\n"
	    "(Here --key is whose use is shown; yours goes before the command, as in\n"
	    "sluice --key @FILE usage --mine, or into SLUICE_API_KEY.)\n"
	    "\n"
	    "Examples:\n"
	    "  sluice usage --by key --since 24h --per hour\n"
	    "  sluice usage --by account,model --since 2026-11-01 --csv > november.csv\n"
	    "  sluice usage --peak --since 14d --account research\n"
	    "  sluice usage --forecast\n",
	    cmd_usage },
	{ NULL, NULL, NULL, 0, 0, NULL, NULL, NULL, NULL },
};
/* clang-format on */
