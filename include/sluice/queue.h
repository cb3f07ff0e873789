/*
 * queue - the statements: each is one line that calls a function of sql/.
 *
 * The letters are the types of its parameters (db.h).
 */
#ifndef SLUICE_QUEUE_H
#define SLUICE_QUEUE_H

/* clang-format off */
#define QUEUE_STATEMENTS(X)                                                   \
	X(STMT_SCHEMA, "", "select count(*), max(name) from sluice.migration")\
	/* sluiced: callers */                                                \
	X(STMT_AUTH, "b", "select * from sluice.auth($1)")                    \
	X(STMT_FILE_BEGIN, "is", "select * from sluice.file_begin($1, $2)")   \
	X(STMT_FILE_CHUNK, "idiibaaaaahaaaa",                                 \
	    "select sluice.file_chunk($1, $2, $3, $4, $5, $6, $7, $8, $9,"    \
	    " $10, $11, $12, $13, $14, $15)")                                 \
	X(STMT_FILE_PUBLISH, "iiiibsxasisb",                                  \
	    "select sluice.file_publish($1, $2, $3, $4, $5, $6, $7, $8, $9,"  \
	    " $10, $11, $12)")                                                     \
	X(STMT_FILE_ABANDON, "ii", "select sluice.file_abandon($1, $2)")      \
	X(STMT_FILE_GET, "iu", "select sluice.file_get($1, $2)")              \
	X(STMT_FILE_LIST, "isuit",                                            \
	    "select sluice.file_list($1, $2, $3, $4, $5)")                    \
	X(STMT_FILE_READ, "iuii",                                             \
	    "select * from sluice.file_read($1, $2, $3, $4)")                 \
	X(STMT_FILE_DELETE, "iu", "select sluice.file_delete($1, $2)")        \
	X(STMT_BATCH_CREATE, "iiussisisbs",                                   \
	    "select sluice.batch_create($1, $2, $3, $4, $5, $6, $7, $8, $9,"  \
	    " $10, $11)")                                                     \
	X(STMT_BATCH_GET, "iu", "select sluice.batch_get($1, $2)")            \
	X(STMT_BATCH_LIST, "iui", "select sluice.batch_list($1, $2, $3)")     \
	X(STMT_BATCH_EDIT, "ius", "select sluice.batch_edit($1, $2, $3)")     \
	X(STMT_BATCH_CANCEL, "iu", "select sluice.batch_cancel($1, $2)")      \
	/* sluiced: the door */                                               \
	X(STMT_DOOR_OPEN, "si", "select sluice.door_open($1, $2)")            \
	X(STMT_DOOR_BEAT, "ii", "select sluice.door_beat($1, $2)")            \
	X(STMT_DOOR_CLOSE, "i", "select sluice.door_close($1)")               \
	X(STMT_DOOR_LIMITS, "iiss",                                           \
	    "select sluice.door_limits($1, $2, $3, $4)")                      \
	X(STMT_ADMIT, "iiaxlahxhllxxllhhaaall",                               \
	    "select * from sluice.admit($1, $2, $3, $4, $5, $6, $7, $8, $9,"  \
	    " $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,"    \
	    " p_as_of => $22)")                                               \
	X(STMT_REFUSED, "iisis",                                              \
	    "select sluice.usage_add($1, $2, 0, $3, 'live', 0, 0, $4, 0, 0, " \
	    "0, 0, $5)")                                                      \
	/* sluiced: live calls */                                            \
	X(STMT_ADMISSION_DROP, "i", "select sluice.admission_drop($1)")       \
	X(STMT_CACHE_GET, "ib", "select * from sluice.cache_get($1, $2)")     \
	X(STMT_CACHE_PUT, "ibsb",                                             \
	    "select sluice.cache_put($1, $2, $3, $4)")                        \
	X(STMT_CACHE_USED, "iiss",                                            \
	    "select sluice.usage_add($1, $2, 0, $3, 'live', 1, 0, 0, 0, 0, "  \
	    "0, 0, $4)")                                                      \
	X(STMT_LIVE_OTHER, "is", "select * from sluice.live_other($1, $2)")   \
	X(STMT_MODEL_LIST, "", "select sluice.model_list()")                  \
	X(STMT_MODEL_GET, "s", "select sluice.model_get($1)")                 \
	/* sluiced: the operator */                                           \
	X(STMT_PLAN_LIST, "", "select sluice.plan_list()")                    \
	X(STMT_PLAN_GET, "s", "select sluice.plan_get($1)")                   \
	X(STMT_PLAN_CREATE, "s", "select sluice.plan_create($1)")             \
	X(STMT_PLAN_EDIT, "ss", "select sluice.plan_edit($1, $2)")            \
	X(STMT_PLAN_REMOVE, "s", "select sluice.plan_remove($1)")             \
	X(STMT_ACCOUNT_LIST, "", "select sluice.account_list()")              \
	X(STMT_ACCOUNT_GET, "s", "select sluice.account_get($1)")             \
	X(STMT_ACCOUNT_CREATE, "s", "select sluice.account_create($1)")       \
	X(STMT_ACCOUNT_EDIT, "ss", "select sluice.account_edit($1, $2)")      \
	X(STMT_KEY_LIST, "", "select sluice.key_list()")                      \
	X(STMT_KEY_GET, "s", "select sluice.key_get($1)")                     \
	X(STMT_KEY_CREATE, "ssbsxs",                                          \
	    "select sluice.key_create($1, $2, $3, $4, $5, $6)")               \
	X(STMT_KEY_EDIT, "ss", "select sluice.key_edit($1, $2)")              \
	X(STMT_KEY_REVOKE, "st", "select sluice.key_revoke($1, $2)")          \
	X(STMT_NAMED_LIST, "", "select sluice.named_list()")                  \
	X(STMT_NAMED_GET, "s", "select sluice.named_get($1)")                 \
	X(STMT_NAMED_CREATE, "s", "select sluice.named_create($1)")           \
	X(STMT_NAMED_EDIT, "ss", "select sluice.named_edit($1, $2)")          \
	X(STMT_NAMED_DELETE, "s", "select sluice.named_delete($1)")           \
	X(STMT_EVERYBODY_GET, "", "select sluice.everybody_get()")            \
	X(STMT_EVERYBODY_EDIT, "s", "select sluice.everybody_edit($1)")       \
	X(STMT_WEBHOOK_LIST, "", "select sluice.webhook_list()")              \
	X(STMT_WEBHOOK_GET, "s", "select sluice.webhook_get($1)")             \
	X(STMT_WEBHOOK_CREATE, "si", "select sluice.webhook_create($1, $2)")  \
	X(STMT_WEBHOOK_REMOVE, "s", "select sluice.webhook_remove($1)")       \
	X(STMT_WEBHOOK_TEST, "s", "select sluice.webhook_test($1)")           \
	X(STMT_WORKER_LIST, "", "select sluice.worker_list()")                \
	X(STMT_PATH_LIST, "", "select sluice.path_list()")                    \
	X(STMT_PATH_GET, "s", "select sluice.path_get($1)")                   \
	X(STMT_POOL_LIST, "", "select sluice.pool_list()")                    \
	X(STMT_CONFIG_APPLY, "stt",                                           \
	    "select sluice.config_apply($1, $2, $3)")                         \
	X(STMT_USAGE_GET, "is", "select sluice.usage_get($1, $2)")            \
	X(STMT_USAGE_PEAK, "is", "select sluice.usage_peak($1, $2)")          \
	X(STMT_USAGE_FORECAST, "is",                                          \
	    "select sluice.usage_forecast($1, $2)")                           \
	/* sluiced: the dispatcher */                                         \
	X(STMT_LEASE_TAKE, "si", "select sluice.lease_take($1, $2)")          \
	X(STMT_LEASE_GIVE, "i", "select sluice.lease_give($1)")               \
	X(STMT_DISPATCH_CONFIG, "", "select sluice.dispatch_config()")        \
	X(STMT_DISPATCH_CELLS, "", "select * from sluice.dispatch_cells()")   \
	X(STMT_DISPATCH_POLL, "iiii",                                         \
	    "select sluice.dispatch_poll($1, $2, $3, $4)")                    \
	X(STMT_SHAPES_LIVE, "", "select * from sluice.shapes_live()")         \
	X(STMT_DISPATCH_LANES, "is",                                          \
	    "select * from sluice.dispatch_lanes($1, $2)")                    \
	X(STMT_LIVE_OPEN, "", "select * from sluice.live_open()")             \
	X(STMT_LANE_LINES, "iii",                                             \
	    "select * from sluice.lane_lines($1, $2, $3)")                    \
	X(STMT_LANE_RETRIES, "iii",                                           \
	    "select * from sluice.lane_retries($1, $2, $3)")                  \
	X(STMT_DISPATCH_COMMIT, "is", "select sluice.dispatch_commit($1, $2)")\
	X(STMT_REAP, "i", "select * from sluice.reap($1)")                    \
	X(STMT_PUBLISH, "ii", "select * from sluice.publish($1, $2)")         \
	X(STMT_BATCHES_END, "ii", "select sluice.batches_end($1, $2)")        \
	X(STMT_SWEEP, "i", "select * from sluice.sweep($1)")                  \
	/* sluice-worker */                                                   \
	X(STMT_WORKER_START, "sii",                                           \
	    "select sluice.worker_start($1, $2, $3)")                         \
	X(STMT_WORKER_BEAT, "iiits",                                          \
	    "select sluice.worker_beat($1, $2, $3, $4, $5)")                  \
	X(STMT_WORKER_STOP, "it", "select sluice.worker_stop($1, $2)")        \
	X(STMT_WORKER_LIVE, "iss", "select sluice.worker_live($1, $2, $3)")   \
	/* tokens: -1 when not known */                                       \
	X(STMT_LIVE_SETTLE, "iiiiiiiiit",                                     \
	    "select sluice.live_settle($1, $2, $3, nullif($4, -1),"           \
	    " nullif($5, -1), nullif($6, -1), nullif($7, -1), $8, $9, $10)")  \
	X(STMT_LIVE_LATE, "ii", "select sluice.live_late($1, $2)")            \
	X(STMT_LIVE_SEEN, "s", "select sluice.live_seen($1)")                 \
	X(STMT_WORKER_CONFIG, "", "select sluice.worker_config()")            \
	X(STMT_TAKE_RUNS, "isii",                                             \
	    "select * from sluice.take_runs($1, $2, $3, $4)")                 \
	X(STMT_RUNS_KEEP, "iis", "select sluice.runs_keep($1, $2, $3)")       \
	X(STMT_RUN_CHUNK, "di", "select * from sluice.run_chunk($1, $2)")     \
	X(STMT_SETTLE_RUNS, "isss",                                           \
	    "select sluice.settle_runs($1, $2, $3, $4)")                      \
	X(STMT_HOOKS_TAKE, "ii",                                              \
	    "select * from sluice.hooks_take($1, $2)")                        \
	X(STMT_HOOK_SETTLE, "iiisi",                                          \
	    "select sluice.hook_settle($1, $2, $3, $4, $5)")                  \
	X(STMT_RUNS_OPEN, "is", "select * from sluice.runs_open($1, $2)")     \
	X(STMT_SETTLE_CHUNK, "itbaahahaaiilah",                               \
	    "select sluice.settle_chunk($1, $2, $3, $4, $5, $6, $7, $8, $9,"  \
	    " $10, $11, $12, $13, $14, $15)")                                 \
	X(STMT_SETTLE_USAGE, "s", "select sluice.settle_usage($1)")           \
	X(STMT_CACHE_KEEP, "ibba",                                            \
	    "select sluice.cache_keep($1, $2, $3, $4)")                       \
	/* sluice-worker: upstreams' own batches */                           \
	X(STMT_PROVIDER_PACK, "", "select sluice.provider_pack()")            \
	X(STMT_PROVIDER_NEXT, "ii",                                           \
	    "select * from sluice.provider_next($1, $2)")                     \
	X(STMT_PROVIDER_LINES, "iiit",                                        \
	    "select * from sluice.provider_lines($1, $2, $3, $4)")            \
	X(STMT_PROVIDER_SETTLE, "iiisss",                                     \
	    "select sluice.provider_settle($1, $2, $3, $4, $5, $6)")          \
	X(STMT_PROVIDER_OPEN, "iiis",                                         \
	    "select * from sluice.provider_open($1, $2, $3, $4)")             \
	X(STMT_PROVIDER_STEP, "iiis",                                         \
	    "select sluice.provider_step($1, $2, $3, $4)")
/* clang-format on */

enum stmt {
#define X(name, types, text) name,
	QUEUE_STATEMENTS(X)
#undef X
	    STMT_COUNT
};

struct queue_stmt {
	const char *types;
	const char *text;
};

extern const struct queue_stmt queue_stmts[STMT_COUNT];

#endif
