/*
 * What db says of itself, without a database.
 */
#include <string.h>
#include <sys/mman.h>

#include <sluice/db.h>

#include "../unit/unit.h"

static struct {
	struct db *db;
	int calls;
	bool data_error, away;
} t;

static void
on_done(struct db_result *res, void *arg)
{
	(void)arg;
	t.calls++;
	t.data_error = db_is_class(res, "54");
	t.away = db_rc(res) == SLC_EDB;
	db_close(t.db, NULL, NULL);
}

/* A statement with a text of n bytes, and nobody to send it to. */
static void
run(size_t n)
{
	struct db_opts opts = { .dsn = "host=/nonexistent dbname=none",
		.program = "test",
		.connections = 1,
		.wait_ms = 300 };
	/* Never looked at: none of it takes memory. */
	char *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uv_loop_t loop;

	CU_ASSERT_FATAL(p != MAP_FAILED);
	p[0] = 'x';
	memset(&t, 0, sizeof(t));
	uv_loop_init(&loop);
	t.db = db_open(&loop, &opts);
	db_run(t.db, on_done, NULL, STMT_AUTH, (struct slice){ p, n });
	CU_ASSERT_EQUAL(t.calls, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
	CU_ASSERT_EQUAL(t.calls, 1);
	munmap(p, n);
}

static void
a_statement_too_long_fails_and_is_not_sent(void)
{
	run(1);
	CU_ASSERT(t.away && !t.data_error);
	run((size_t)3 << 30);
	CU_ASSERT(t.data_error && !t.away);
}

UNIT_MAIN("db", UNIT(a_statement_too_long_fails_and_is_not_sent))
