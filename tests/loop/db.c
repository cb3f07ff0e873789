/*
 * What db says of itself, without a database.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

static void
the_log_says_once_that_it_is_away(void)
{
	int64_t quiet_until_ms = 0;
	struct db_opts opts = { .dsn = "host=/nonexistent dbname=none",
		.program = "test",
		.connections = 3,
		.wait_ms = 300,
		.quiet_until_ms = &quiet_until_ms };
	struct db *other;
	char said[4096];
	uv_loop_t loop;
	FILE *to = tmpfile();
	int keep = dup(STDERR_FILENO);

	memset(&t, 0, sizeof(t));
	uv_loop_init(&loop);
	fflush(stderr);
	dup2(fileno(to), STDERR_FILENO);
	other = db_open(&loop, &opts);
	t.db = db_open(&loop, &opts);
	db_run(t.db, on_done, NULL, STMT_AUTH, (struct slice){ "x", 1 });
	while (t.calls == 0)
		uv_run(&loop, UV_RUN_ONCE);
	db_close(other, NULL, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
	fflush(stderr);
	dup2(keep, STDERR_FILENO);
	close(keep);
	rewind(to);
	said[fread(said, 1, sizeof(said) - 1, to)] = '\0';
	fclose(to);
	CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(said, " db.lost why=\"connection"));
	CU_ASSERT_PTR_NULL(strstr(strstr(said, "db.lost") + 1, "db.lost"));
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "\\\"/nonexistent/"));
}

UNIT_MAIN("db", UNIT(a_statement_too_long_fails_and_is_not_sent),
    UNIT(the_log_says_once_that_it_is_away))
