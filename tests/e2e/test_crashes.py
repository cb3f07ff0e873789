"""kill -9 of every program, and of the database: exactly one result a line."""
import random
import resource
import signal
import subprocess
import threading
import unittest

from e2e import harness
from e2e.harness import (Answering, Postgres, Sluice, Upstream, line, lines,
                         program, until)


class Crashes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pg = Postgres("pg_crash", durable=True)
        cls.pg.sql("postgres", "create database template_sluice")
        subprocess.run([program("sluice"), "migrate", "--database",
                        cls.pg.dsn("template_sluice", "sluice")], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        cls.pg.p.stop(signal.SIGINT)

    def check(self, s, up, b, n):
        """One result a line, none invented, sends recorded, nothing left."""
        done = s.wait(b, 120)
        self.assertEqual(done["status"], "completed")
        got = s.results(b)
        self.assertEqual(set(got), {f"r-{i}" for i in range(n)})
        self.assertEqual(done["request_counts"],
                         {"total": n, "completed": n, "failed": 0})
        for table in ("run", "retry", "batch_lane", "unplaced"):
            self.assertEqual(s.sql(f"select count(*) from sluice.{table}"), "0",
                             table)
        stats = up.stats()
        recorded = int(s.sql("select sum(attempts) from "
                             f"sluice.batch_result('{b}')"))
        self.assertLessEqual(stats["arrivals"], recorded)
        self.assertEqual(stats["refused"], 0)
        for limit in stats["limits"]:
            self.assertLessEqual(limit["max_in_window"], limit["amount"])

    def test_programs_and_database_crash_while_a_batch_runs(self):
        n, rng = 700, random.Random(5)
        up = Upstream("--latency", "50-400", "--limit", "requests/10s=300",
                      "--limit", "concurrent=20")
        s = Sluice(schedulers=2, workers=2, pg=self.pg)
        s.path(up, limits=[("requests", 10, 300), ("concurrent", 0, 20)],
               whole_ms=2000)
        b = s.submit(lines(n))

        def progress():
            return int(s.sql("select coalesce(max(p.first_line + p.lines - 1), 0) "
                             "from sluice.place p join sluice.batch b "
                             "on b.output_id = p.file_id"))
        for step in range(10):
            before = progress()
            if before > n - 60:
                break
            kind = ("worker", "scheduler", "database")[step % 3]
            if kind == "worker":
                i = rng.randrange(2)
                s.workers[i].kill()
                s.workers[i] = s.start_worker()
            elif kind == "scheduler":
                i = rng.randrange(2)
                s.schedulers[i].kill()
                s.schedulers[i] = s.start_scheduler()
            else:
                self.pg.stop_immediate()
                self.pg.start()
            until(lambda: progress() > before + 5, 60, f"progress after {kind}")
        s.port = s.schedulers[0].port
        self.check(s, up, b, n)
        s.stop()
        up.stop()

    def test_a_paused_worker_is_fenced(self):
        """It wakes long after its lease: its lines were done by another."""
        n = 200
        up = Upstream("--latency", "100")
        s = Sluice(workers=2, pg=self.pg)
        s.path(up, limits=[("requests", 60, 1200)])
        b = s.submit(lines(n))
        until(lambda: s.show(b)["request_counts"]["completed"] > 5)
        s.workers[0].send(signal.SIGSTOP)
        until(lambda: s.sql("select count(*) from sluice.worker where state = "
                            "'dead'") == "1", 40, "lease over")
        s.workers[0].send(signal.SIGCONT)
        self.check(s, up, b, n)
        until(lambda: s.sql("select count(*) from sluice.worker where state = "
                            "'live'") == "2", 30, "registered again")
        s.stop()
        up.stop()

    def test_a_stopped_worker_finishes_and_gives_back(self):
        n = 300
        up = Upstream("--latency", "700")
        s = Sluice(workers=2, pg=self.pg)
        s.path(up, limits=[("requests", 60, 3000)])
        b = s.submit(lines(n))
        until(lambda: up.stats()["running"] > 10)
        self.assertEqual(s.workers[0].stop(), 0)
        self.check(s, up, b, n)
        self.assertEqual(up.stats()["resends"], 0)
        s.stop()
        up.stop()

    def test_calls_that_do_not_end_are_given_up_at_the_drain_limit(self):
        up = Upstream("--latency", "60000")
        s = Sluice(worker_options=["--drain", "1s"], pg=self.pg)
        s.path(up)
        s.submit(lines(5))
        until(lambda: up.stats()["running"] == 5)
        self.assertEqual(s.workers[0].stop(seconds=10), 0)
        self.assertEqual(s.sql("select count(*), min(sends) from sluice.retry"),
                         "5|1")
        s.stop()
        up.stop()

    def test_a_deposed_dispatcher_can_do_nothing(self):
        s = Sluice(schedulers=1, workers=0, pg=self.pg)
        epoch = until(lambda: int(s.sql(
            "select epoch from sluice.dispatch_lease")))
        s.sql("update sluice.dispatch_lease set epoch = epoch + 1, "
              "holder = 'other', until = now() + interval '5 s'")
        self.assertIsNone(self.pg.sql(
            s.db, f"select sluice.dispatch_commit({epoch}, '{{}}')",
            check=False))
        until(lambda: "deposed=1" in s.schedulers[0].text(), 10)
        until(lambda: int(s.sql("select epoch from sluice.dispatch_lease")) >
              epoch + 1, 20, "leads again")
        s.stop()

    def answer_under_a_lock(self, status, attempts):
        """An answer that comes while tables are locked beyond lock_timeout."""
        asked, locked, free = (threading.Event() for _ in range(3))

        def answer(body, headers):
            asked.set()
            locked.wait(20)
            return (200 if free.is_set() else status), b'{"id":"x"}'
        up = Answering(answer)
        s = Sluice(workers=0, pg=self.pg)
        self.pg.sql("postgres", f"alter role sluice_worker in database {s.db} "
                                "set lock_timeout = '300ms'")
        s.workers.append(s.start_worker())
        s.path(up, attempts=attempts)
        b = s.submit(lines(1))
        self.assertTrue(asked.wait(20))
        lock = subprocess.Popen(
            ["psql", "-XAtq", "-d", self.pg.dsn(s.db, "sluice"), "-c",
             "begin; lock table sluice.chunk, sluice.retry in share mode",
             "-c", r"\echo locked", "-c", "select pg_sleep(3); commit"],
            stdout=subprocess.PIPE)
        self.assertEqual(lock.stdout.readline(), b"locked\n")
        locked.set()
        lock.wait()
        lock.stdout.close()
        free.set()
        d = s.wait(b, 30)
        got = s.results(b)
        self.assertIn("55P03", s.workers[0].text())
        self.assertTrue(s.workers[0].alive())
        s.stop()
        up.stop()
        self.assertEqual(d["request_counts"],
                         {"total": 1, "completed": 1, "failed": 0})
        self.assertEqual(got["r-0"]["response"]["status_code"], 200)

    def test_an_answer_outlives_a_lock_on_the_tables(self):
        self.answer_under_a_lock(200, 1)

    def test_a_line_that_goes_again_outlives_a_lock_on_the_tables(self):
        self.answer_under_a_lock(500, 3)

    def test_what_the_database_refuses_fails_by_itself(self):
        """One line of many breaks the commit; the others' answers are kept."""
        up = Answering(lambda body, headers: (
            (500 if b"again" in body and up.arrived(body) == 1 else 200),
            b'{"id":"%s"}' % (b"poison" if b"poison" in body else b"x")))
        counts = {}

        def arrived(body):
            counts[body] = counts.get(body, 0) + 1
            return counts[body]
        up.arrived = arrived
        s = Sluice(pg=self.pg)
        s.sql("""
            create function public.refuse() returns trigger language plpgsql as $$
            begin raise exception using errcode = '22000'; end $$;
            create trigger poison before insert on sluice.chunk for each row
            when (new.answers is not null and position('poison'::bytea in new.bytes) > 0)
            execute function public.refuse();
            create trigger why before insert on sluice.retry for each row
            when (new.why <> '') execute function public.refuse()""")
        s.path(up)
        b = s.submit(line("q", "poison") + "\n" + lines(40) +
                     line("p", "poison") + "\n" + line("a", "again") + "\n")
        d = s.wait(b, 60)
        got = s.results(b)
        s.stop()
        up.stop()
        self.assertEqual(d["request_counts"],
                         {"total": 43, "completed": 41, "failed": 2})
        self.assertEqual(got["p"]["error"]["code"], "internal_error")
        self.assertEqual(len({x["id"] for x in got.values()}), 43)

    def test_what_breaks_the_connection_fails_by_itself(self):
        up = Answering(lambda body, headers: (
            200, b'{"id":"%s"}' % (b"poison" if b"poison" in body else b"x")))
        s = Sluice(pg=self.pg)
        s.sql("""
            create function public.crash() returns trigger language plpgsql
            security definer as $$
            begin perform pg_terminate_backend(pg_backend_pid()); end $$;
            create trigger poison before insert on sluice.chunk for each row
            when (new.answers is not null and
                  position('poison'::bytea in new.bytes) > 0)
            execute function public.crash()""")
        s.path(up)
        b = s.submit(line("p", "poison") + "\n" + lines(6))
        d = s.wait(b, 60)
        got = s.results(b)
        s.stop()
        up.stop()
        self.assertEqual(d["request_counts"],
                         {"total": 7, "completed": 6, "failed": 1})
        self.assertEqual(got["p"]["error"]["code"], "internal_error")

    def test_open_files_are_as_many_as_may_be(self):
        def limited(soft, hard):
            return {"preexec_fn": lambda: resource.setrlimit(
                resource.RLIMIT_NOFILE, (soft, hard))}
        s = Sluice(workers=0, pg=self.pg)
        started = []
        for start, option in ((s.start_scheduler, "--max-connections"),
                              (s.start_worker, "--max-in-flight")):
            p = start(**limited(100, 5000))
            until(lambda: " leads " in p.text() or "listening" in p.text() or
                  "started" in p.text())
            with open(f"/proc/{p.p.pid}/limits") as f:
                limit = [x for x in f if x.startswith("Max open files")]
            self.assertEqual(limit[0].split()[3:5], ["5000", "5000"])
            self.assertNotIn("nofile", p.text())
            few = start(**limited(100, 100))
            until(lambda: option in few.text())
            self.assertIn("limit=100 ", few.text())
            started += [p, few]
        with self.assertRaisesRegex(AssertionError, "ulimit"):
            s.start_scheduler(**limited(60, 60))
        up = Upstream("--latency", "100-300")
        s.path(up)
        b = s.submit(lines(100))
        self.check(s, up, b, 100)
        for p in started:
            self.assertEqual(p.stop(), 0)
        s.stop()
        up.stop()

    def test_a_worker_stops_though_the_database_stays_away(self):
        s = Sluice(pg=self.pg, worker_options=("--drain", "1s"))
        worker = s.workers.pop()
        until(lambda: "worker.started" in worker.text(), 20, "worker")
        self.pg.stop_immediate()
        try:
            until(lambda: "db.lost" in worker.text(), 20, "database lost")
            worker.send(signal.SIGTERM)
            until(lambda: not worker.alive(), 40, "worker gone")
        finally:
            self.pg.start()
            s.stop()

    def test_without_a_database_nothing_is_accepted(self):
        s = Sluice(workers=0, pg=self.pg)
        self.pg.stop_immediate()
        a = s.upload(lines(1))
        self.assertEqual((a.status, a.error["code"]),
                         (503, "database_unavailable"))
        self.assertEqual(s.get("/readyz", key=None).status, 503)
        self.assertEqual(s.get("/healthz", key=None).status, 200)
        log = s.schedulers[0].text()
        self.assertEqual(log.count(" db.lost "), 1, log)
        self.pg.start()
        until(lambda: s.get("/readyz", key=None).status == 200)
        self.assertEqual(s.upload(lines(1)).status, 200)
        s.stop()

    def test_cancel_while_lines_fail_and_come_back(self):
        """A line that must go again after the cancel is ended, not lost."""
        up = Upstream("--latency", "100-600", "--fault", "500=0.5")
        s = Sluice(pg=self.pg)
        s.path(up, attempts=20)
        b = s.submit(lines(400))
        until(lambda: s.show(b)["request_counts"]["completed"] > 3)
        s.call("POST", f"/v1/batches/{b}/cancel")
        done = s.wait(b, 60)
        self.assertEqual(done["status"], "cancelled")
        self.assertEqual(len(s.results(b)), 400)
        last = s.show(b)["cancelled_at"]
        arrivals = up.stats()["arrivals"]
        until(lambda: harness.time.time() > last + 2)
        self.assertEqual(up.stats()["arrivals"], arrivals)
        s.stop()
        up.stop()


if __name__ == "__main__":
    unittest.main()
