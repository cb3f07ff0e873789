"""Who goes first, over real sockets; pauses, priorities, deadlines."""
import os
import subprocess
import time
import unittest

from e2e.harness import (KEY, OTHER_KEY, Sluice, Upstream, folder, lines,
                         program, until)


class Order(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.up = Upstream()
        cls.s = Sluice(schedulers=2, workers=2)
        cls.s.path(cls.up, limits=[("requests", 60, 600)])

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()
        cls.up.stop()

    def cli(self, *args, code=0):
        p = subprocess.run(
            [program("sluice"), *args], capture_output=True, text=True,
            env=dict(os.environ, SLUICE_URL=f"http://127.0.0.1:{self.s.port}",
                     SLUICE_API_KEY=KEY, SLUICE_STATE=folder()))
        self.assertEqual(p.returncode, code, p.stderr)
        return p

    def done(self, batch):
        return self.s.show(batch)["request_counts"]["completed"]

    def tearDown(self):
        for b in self.s.get("/v1/batches").json["data"]:
            self.s.call("POST", f"/v1/batches/{b['id']}/cancel")
        for b in self.s.get("/v1/batches", key=OTHER_KEY).json["data"]:
            self.s.call("POST", f"/v1/batches/{b['id']}/cancel", key=OTHER_KEY)
        until(lambda: self.s.sql("select count(*) from sluice.batch_lane") == "0",
              60)

    def test_a_critical_line_waits_for_the_horizon_and_two_slots(self):
        """It takes a look to let it in and one to read it besides."""
        bulk = self.s.submit(lines(2000), sluice={"priority": "high"})
        until(lambda: self.done(bulk) > 20)
        waited = []
        for _ in range(4):
            input_id = self.s.upload(lines(1, model="m2")).json["id"]
            began = time.time()
            b = self.s.batch(input_id, sluice={"priority": "critical"}).json["id"]
            self.s.wait(b, 20)
            # The answer's line has come out: flush, place, our polls.
            waited.append(time.time() - began)
        # Horizon and two slots (0.1 s) after the looks that let it in and read
        # it; 0.5 s for its answer, and how it comes to its file.
        self.assertLess(sorted(waited)[1], 0.5 + 0.2 + 0.3 + 0.5, waited)
        self.assertLess(self.done(bulk), 300)

    def test_accounts_share_and_one_that_comes_late_has_its_share_at_once(self):
        first = [self.s.submit(lines(600)) for _ in range(3)]
        until(lambda: self.done(first[0]) > 20)
        up = self.s.upload(lines(600), key=OTHER_KEY)
        b = self.s.batch(up.json["id"], key=OTHER_KEY).json["id"]

        def count(key_batches):
            return sum(self.s.get(f"/v1/batches/{x}", key=k)
                       .json["request_counts"]["completed"]
                       for k, x in key_batches)

        mine, others = [(KEY, x) for x in first], [(OTHER_KEY, b)]
        until(lambda: count(others) > 5, 20)
        before = count(mine), count(others)
        until(lambda: count(others) - before[1] >= 40, 30)
        got = count(mine) - before[0], count(others) - before[1]
        self.assertAlmostEqual(got[0] / got[1], 1, delta=0.2, msg=got)
        # In order of their coming, not all at once.
        self.assertEqual(self.done(first[2]), 0)

    def test_what_is_paused_goes_nowhere_until_it_goes_on(self):
        b = self.s.submit(lines(100))
        until(lambda: self.done(b) > 5)
        said = self.cli("pause", b).stderr
        self.assertIn("paused", said)
        until(lambda: self.s.sql("select count(*) from sluice.run") == "0")
        done = self.done(b)
        self.assertIn("paused: sluice resume", self.cli("show", b).stdout)
        # Another goes on meanwhile.
        self.assertEqual(self.s.wait(self.s.submit(lines(30)), 20)["status"],
                         "completed")
        self.assertLessEqual(self.done(b), done + 10)
        done = self.done(b)
        restarts = self.restarts()
        for _ in range(5):
            self.cli("resume", b)
            self.cli("pause", b)
        self.cli("resume", b)
        ended = self.s.wait(b, 30)
        self.assertEqual(ended["request_counts"],
                         {"total": 100, "completed": 100, "failed": 0})
        self.assertGreaterEqual(done, 5)
        self.assertEqual(self.restarts(), restarts)

    def restarts(self):
        return [x for p in self.s.schedulers for x in p.text().splitlines()
                if "dispatch.restart" in x]

    def test_a_paused_batch_expires(self):
        b = self.s.submit(lines(3), sluice={"paused": True})
        until(lambda: self.s.show(b)["status"] == "in_progress")
        self.s.sql("update sluice.batch set deadline = now() + interval '1 s' "
                   "where state = 'in_progress'")
        ended = self.s.wait(b, 20)
        self.assertEqual(ended["status"], "expired")
        self.assertEqual({r["error"]["code"] for r in
                          self.s.results(b).values()}, {"batch_expired"})

    def test_priorities_and_deadlines_change(self):
        slow = self.s.submit(lines(300), sluice={"priority": 2})
        late = self.s.submit(lines(40), sluice={"priority": 2})
        until(lambda: self.done(slow) > 5)
        self.cli("reprioritise", late, "critical")
        self.assertEqual(self.s.wait(late, 30)["sluice"]["priority"], 4)
        self.assertLess(self.done(slow), 200)
        said = self.cli("deadline", slow, "1m").stderr
        self.assertNotIn("warning", said)
        bad = self.cli("reprioritise", slow, "urgent", code=2)
        self.assertIn("none of low", bad.stderr)
        self.s.sql("update sluice.api_key set max_priority = 2")
        until(lambda: self.s.call(
            "POST", f"/v1/batches/{slow}",
            json_body={"sluice": {"priority": "high"}}).status == 400)
        self.s.sql("update sluice.api_key set max_priority = null")
        refused = self.s.call("POST", f"/v1/batches/{slow}",
                              json_body={"sluice": {"deadline": "x"}})
        self.assertEqual((refused.status, refused.error["param"]),
                         (400, "sluice.deadline"))

    def test_what_cannot_be_done_in_time_is_said_or_refused(self):
        name = os.path.join(folder(), "many.jsonl")
        with open(name, "w") as f:
            f.write(lines(3000))
        p = self.cli("submit", name, "--within", "2m")
        self.assertRegex(p.stderr, r"warning: not in time: 5m00s needed, "
                         r"(2m|1m59s) left; 11\d\d of 3000 lines by then "
                         r"\(requests/1m of path sim\)")
        p = self.cli("submit", name, "--within", "2m", "--require-feasible",
                     code=1)
        self.assertIn("cannot be done in time", p.stderr)
        shown = self.s.get("/v1/batches").json["data"]
        self.assertEqual(len([b for b in shown
                              if b["status"] == "in_progress"]), 1)
        until(lambda: "in danger, will miss it" in self.cli(
            "show", shown[0]["id"]).stdout)

    def test_a_limit_that_shapes_spreads_an_accounts_batches(self):
        account = {"limits": [{"dimension": "requests", "window_s": 10,
                               "amount": 20, "action": "shape"}]}
        edited = self.s.call("POST", "/admin/v1/accounts/default",
                             json_body=account)
        self.assertEqual(edited.status, 200, edited.body)
        first = len(self.up.sends())
        mine = [self.s.submit(lines(30, model="spread")) for _ in range(2)]
        up = self.s.upload(lines(150, model="free"), key=OTHER_KEY)
        b = self.s.batch(up.json["id"], key=OTHER_KEY).json["id"]
        until(lambda: "requests/10s of account default" in
              self.cli("show", mine[1]).stdout)
        until(lambda: self.s.get(f"/v1/batches/{b}", key=OTHER_KEY)
              .json["status"] == "completed", 30)
        until(lambda: self.done(mine[0]) == 30, 30)
        sends = [x for x in self.up.sends()[first:]]
        spread = [x["t"] for x in sends if x["model"] == "spread"]
        free = [x["t"] for x in sends if x["model"] == "free"]
        for t in spread:
            self.assertLessEqual(len([x for x in spread if t <= x <= t + 10]), 20)
            self.assertLessEqual(len([x for x in spread if t <= x <= t + 2.5]), 7)
        # 60 - 12 a window of ten seconds are for the other.
        self.assertLess(max(free) - min(free), 22)
        self.assertGreater(len([x for x in spread if x < max(free)]), 20)
        # Without it, all goes at once.
        self.s.call("POST", "/admin/v1/accounts/default", json_body={"limits": []})
        self.assertEqual(self.s.wait(mine[1], 20)["status"], "completed")
