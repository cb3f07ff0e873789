#include <sluice/queue.h>

const struct queue_stmt queue_stmts[STMT_COUNT] = {
#define X(name, types, text) [name] = { types, text },
	QUEUE_STATEMENTS(X)
#undef X
};
