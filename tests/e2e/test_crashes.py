"""kill -9 of every program, and of the database: exactly one result a line."""
import random
import signal
import subprocess
import unittest

from e2e import harness
from e2e.harness import Postgres, Sluice, Upstream, lines, program, until


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

    def test_without_a_database_nothing_is_accepted(self):
        s = Sluice(workers=0, pg=self.pg)
        self.pg.stop_immediate()
        a = s.upload(lines(1))
        self.assertEqual((a.status, a.error["code"]),
                         (503, "database_unavailable"))
        self.assertEqual(s.get("/readyz", key=None).status, 503)
        self.assertEqual(s.get("/healthz", key=None).status, 200)
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
