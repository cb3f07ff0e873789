"""Lines through an upstream's own /v1/files + /v1/batches (paths of kind batches)."""
import re
import unittest

from e2e.harness import Sluice, line, lines, serial, until
from e2e.provider import Provider
from e2e.cli import sluice


class Batches(unittest.TestCase):
    """One Sluice; each test has a provider, a path and a model of its own."""

    @classmethod
    def setUpClass(cls):
        cls.s = Sluice()

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()

    def start(self, limits=(), more=None, **options):
        self.up = Provider(**options)
        self.addCleanup(self.up.p.kill)
        self.name = serial("cheap")
        self.up.path(self.s, self.name, limits=limits, models=[self.name],
                     **(more or {}))
        return self.s

    def line(self, custom_id, content):
        return line(custom_id, content, model=self.name) + "\n"

    def lines(self, n):
        return lines(n, model=self.name)

    def shown(self):
        return self.s.get(f"/admin/v1/paths/{self.name}").json

    def kill_worker(self):
        """As a crash; the database finds out at once."""
        self.s.workers.pop().kill()
        self.s.sql("update sluice.worker set lease_until = now() "
                   "where state <> 'dead'")
        self.s.workers.append(self.s.start_worker())

    def completed(self, b, n, seconds=60):
        done = self.s.wait(b, seconds)
        self.assertEqual(done["status"], "completed", done)
        got = self.s.results(b)
        self.assertEqual(len(got), n)
        return got

    def once(self, paid):
        """Each line was paid for, and none twice."""
        stats = self.up.stats()
        self.assertEqual((stats["paid"], stats["paid_twice"]), (paid, 0), stats)
        return stats

    def test_a_batch_there_is_a_batch_here(self):
        s = self.start()
        b = s.submit(self.lines(300))
        got = self.completed(b, 300)
        done = s.show(b)
        self.assertEqual(done["request_counts"],
                         {"total": 300, "completed": 300, "failed": 0})
        for i in (0, 7, 299):
            r = got[f"r-{i}"]["response"]
            self.assertEqual(r["status_code"], 200)
            self.assertTrue(r["request_id"].startswith("req_"))
            self.assertIn(f"re: hello {i}'", str(r["body"]["choices"]))
        a = s.get(f"/v1/files/{done['output_file_id']}/content")
        self.assertIn(b'"exact": 12345678901234567890', a.body)
        self.assertGreater(done["usage"]["input_tokens"], 300)
        until(lambda: self.up.stats()["files"] == 0, what="no files are left")
        self.assertEqual(self.up.stats()["created"], 1)

    def test_each_line_fails_as_by_itself(self):
        s = self.start(answers={"bad": [400], "busy": [429, 200],
                                "slow": [0, 200], "ill": [500, 200],
                                "never": [503]}, more={"attempts": 2})
        plan = ["good", "bad", "busy", "slow", "ill", "never"]
        b = s.submit("".join(self.line(x, x) for x in plan))
        got = self.completed(b, 6)
        self.assertEqual({x: got[x]["response"]["status_code"] for x in plan},
                         {"good": 200, "bad": 400, "busy": 200, "slow": 200,
                          "ill": 200, "never": 503})
        self.assertEqual(s.sql(f"""select string_agg(custom_id || attempts, ' '
            order by custom_id) from sluice.batch_result('{b}')"""),
            "bad1 busy2 good1 ill2 never2 slow2")
        self.once(4)

    def test_what_the_upstream_did_not_come_to_goes_again(self):
        s = self.start(expire=[0.7], fail=["server_error", "bad_line:3"])
        b = s.submit(self.lines(100))
        got = self.completed(b, 100)
        bad = [x for x in got.values() if x["error"]]
        self.assertEqual([x["error"]["code"] for x in bad], ["bad_line"])
        self.assertEqual(sorted(set(s.sql(
            f"select attempts from sluice.batch_result('{b}')").split())), ["1"])
        self.once(99)
        self.assertEqual([x[0] for x in self.up.stats()["batches"].values()],
                         ["failed", "failed", "expired", "completed"])

    def test_no_more_is_enqueued_than_may_be(self):
        s = self.start([("enqueued_tokens", 8000)], enqueued=8000, work_s=0.3)
        b = s.submit("".join(self.line(f"r-{i}", f"{i:04}" + "x" * 336)
                             for i in range(200)))
        until(lambda: (self.shown().get("now", {}).get("binds") or {}).get(
            "limit") == "enqueued_tokens", 20, "the queue is full")
        self.assertEqual(s.show(b)["sluice"]["waiting"]["amount"], 8000)
        self.completed(b, 200)
        stats = self.once(200)
        self.assertEqual(stats["over"], 0)
        self.assertGreater(stats["enqueued_max"], 4000)

    def test_a_limit_that_nobody_told_is_found(self):
        for told in ([], [("enqueued_tokens", 100000)]):
            with self.subTest(told):
                self.find_limit(told)

    def find_limit(self, told):
        s = self.start(told, enqueued=4500, work_s=0.1, more={"poll_ms": 100})
        b = s.submit("".join(self.line(f"r-{i}", f"{i:04}" + "x" * 336)
                             for i in range(60)))
        self.completed(b, 60)
        self.assertGreater(self.once(60)["over"], 0)
        self.assertEqual(s.sql(
            f"select max(attempts) from sluice.batch_result('{b}')"), "1")

    def test_trouble_with_calls_costs_nothing(self):
        s = self.start(answer={"upload": [503, 429], "create": [500, 400],
                               "list": [502], "poll": [500, 429],
                               "content": [500], "delete": [500]},
                       cut=1, see_files_s=0.5)
        b = s.submit(self.lines(60))
        self.completed(b, 60)
        self.once(60)
        until(lambda: self.up.stats()["files"] == 0, what="no files are left")
        self.assertEqual(self.up.stats()["duplicates"], 0)

    def test_a_secret_that_is_refused_holds_the_lines(self):
        s = self.start(answer={"upload": [401]})
        b = s.submit(self.lines(5))
        until(lambda: self.shown()["health"] == "down",
              what="the path is down")
        self.completed(b, 5)
        self.assertEqual(self.shown()["health"], "up")
        self.once(5)

    def test_a_worker_dies_at_any_step(self):
        s = self.start(expire=[0.7], work_s=0.3)
        b = s.submit(self.lines(200))
        for n, kind in enumerate(("upload", "create", "poll", "content",
                                  "delete"), 1):
            self.up.control(lose={kind: 1})
            until(lambda: self.up.stats()["lost"] == n, 20, f"{kind} is lost")
            self.kill_worker()
        self.completed(b, 200)
        stats = self.once(200)
        self.assertEqual(stats["duplicates"], 0)
        self.assertEqual(stats["created"], 2)
        until(lambda: self.up.stats()["files"] == 0, what="no files are left")

    def test_cancelled_here_is_cancelled_there(self):
        s = self.start(work_s=30, cancel_s=1)
        b = s.submit(self.lines(300))
        until(lambda: any(x[2] > 5 for x in self.up.stats()["batches"].values()),
              what="some lines are done")
        seen = s.show(b)["sluice"]["upstream"]
        self.assertEqual([(x["lines"], x["state"], x["path"]) for x in seen],
                         [(300, "running", self.name)])
        there = seen[0]["batch"]
        self.assertIn(there, self.up.stats()["batches"])
        self.assertIn(f"300 lines in the upstream's batch {there}, running since",
                      self.run_ok("show", b))
        self.assertRegex(self.run_ok("path", "show", self.name),
                         rf"{there}\t{self.name}\trunning\t300\t\d+\t")
        a = s.call("POST", f"/v1/batches/{b}/cancel")
        self.assertEqual(a.json["status"], "cancelling")
        done = s.wait(b, 30)
        self.assertEqual(done["status"], "cancelled")
        got = s.results(b)
        self.assertEqual(len(got), 300)
        paid = self.up.stats()["paid"]
        self.assertEqual(done["request_counts"]["completed"], paid)
        self.assertGreater(paid, 5)
        self.assertEqual({x["error"]["code"] for x in got.values() if x["error"]},
                         {"batch_cancelled"})

    def run_ok(self, *args):
        p = sluice(*args, url=f"http://127.0.0.1:{self.s.port}")
        self.assertEqual(p.returncode, 0, p.stderr)
        return p.stdout

    def test_a_path_is_made_by_hand(self):
        s = self.start()
        self.run_ok("path", "add", "mine", "--kind", "batches", "--url",
                    self.up.url, "--models", "mine-*", "--secret-file",
                    self.up.secret, "--poll", "1s", "--linger", "0s", "--limit",
                    "enqueued_tokens=2m", "--limit", "mine-1:enqueued_requests=9k")
        text = self.run_ok("path", "show", "mine")
        for want in (r"kind\s+batches", r"poll\s+1s", r"enqueued_tokens\t.*2000000",
                     r"mine-1:enqueued_requests\t.*9000"):
            self.assertTrue(re.search(want, text), (want, text))
        self.run_ok("path", "edit", "mine", "--limit", "enqueued_tokens=3m",
                    "--no-limit", "mine-1:enqueued_requests")
        made = s.get("/admin/v1/paths/mine").json
        self.assertEqual((made["poll_ms"], made["linger_ms"]), (1000, 0))
        self.assertEqual([(x["dimension"], x["amount"]) for x in made["limits"]],
                         [("enqueued_tokens", 3000000)])
        self.completed(s.submit(lines(3, model="mine-2")), 3)

    def test_what_is_not_there_yet_needs_no_cancelling(self):
        s = self.start(more={"linger_ms": 600000})
        b = s.submit(self.lines(30))
        until(lambda: self.shown().get("now", {}).get("out") == 30,
              what="the lines are handed out")
        s.call("POST", f"/v1/batches/{b}/cancel")
        self.assertEqual(s.wait(b, 20)["status"], "cancelled")
        self.assertEqual(self.up.stats()["uploaded"], 0)
