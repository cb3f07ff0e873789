"""What the pacer does that can only be seen end to end."""
import hashlib
import json
import os
import subprocess
import time
import unittest

from e2e.harness import (KEY, Answering, Sluice, Upstream, folder, line, lines,
                         program, until)

OK = json.dumps({"object": "chat.completion", "choices": [], "usage": {
    "prompt_tokens": 5, "completion_tokens": 1}}).encode()


class Budgets(unittest.TestCase):
    def test_what_is_said_of_a_deadline_comes_true(self):
        up = Upstream("--limit", "requests/10m=60")
        s = Sluice()
        s.path(up, limits=[("requests", 600, 60), ("requests", 60, 600)])
        many, few = (s.upload(lines(n)).json["id"] for n in (40, 30))

        def due(seconds, **own):
            return {"deadline": int(time.time()) + seconds, **own}

        def plan(own):
            return s.batch(many, sluice={"dry_run": True, **own}).json["routed"]
        self.assertAlmostEqual(plan({})["need_s"], 401, delta=2)
        self.assertTrue(plan(due(36))["hurried"])
        self.assertFalse(plan(due(3))["in_time"])
        name = os.path.join(folder(), "forty.jsonl")
        with open(name, "w") as f:
            f.write(lines(40))
        said = subprocess.run(
            [program("sluice"), "plan", name, "--within", "1m"], check=True,
            capture_output=True, text=True, env=dict(
                os.environ, SLUICE_URL=f"http://127.0.0.1:{s.port}",
                SLUICE_API_KEY=KEY)).stdout
        self.assertIn("requests/10m of path sim binds, and is spent faster for the "
                      "deadline\n", said)
        b = s.batch(many, sluice=due(36, require_feasible=True))
        self.assertEqual(b.status, 200, b.body)
        outlook = s.show(b.json["id"])["sluice"]["outlook"]
        self.assertTrue(outlook["feasible"])
        self.assertTrue(outlook["forecast"]["in_time"])
        ended = s.wait(b.json["id"])
        self.assertEqual((ended["status"], ended["request_counts"]["completed"]),
                         ("completed", 40))
        # What is kept free is less once it is known how short calls are.
        self.assertAlmostEqual(ended["completed_at"],
                               outlook["forecast"]["ends_at"], delta=12)
        # Of what is left of the ten minutes' there are 20.
        b = s.batch(few, sluice=due(8, require_feasible=True))
        self.assertEqual(b.status, 422)
        self.assertRegex(b.json["error"]["message"], r"under requests/10m of path sim"
                         r", .*; 20 of its lines can be done by then")
        ended = s.wait(s.batch(few, sluice=due(8)).json["id"])
        self.assertEqual(ended["status"], "expired")
        self.assertLessEqual(ended["request_counts"]["completed"], 20)
        self.assertEqual(up.stats()["refused"], 0)
        s.stop()
        up.stop()


class Tokens(unittest.TestCase):
    def test_a_line_beyond_its_limits_fails_at_once_and_the_rest_goes(self):
        up = Upstream("--limit", "tokens/1m=4000", "--charge", "declared")
        s = Sluice()
        s.path(up, limits=[("tokens", 60, 4000)], charge="declared")
        b = s.submit(line("big", max_tokens=5000) + "\n" +
                     "".join(line(f"r-{i}", max_tokens=100) + "\n"
                             for i in range(10)))
        done = s.wait(b, 40)
        self.assertEqual(done["request_counts"],
                         {"total": 11, "completed": 10, "failed": 1})
        big = s.results(b)["big"]
        self.assertIsNone(big["response"])
        self.assertEqual(big["error"]["code"], "request_exceeds_limit")
        self.assertIn("4000", big["error"]["message"])
        self.assertEqual(up.stats()["refused"], 0)
        self.assertEqual(s.sql("select count(*) from sluice.run"), "0")
        s.stop()
        up.stop()

    def test_others_pass_a_large_line_that_waits_for_room(self):
        up = Upstream("--limit", "tokens/10s=6000", "--charge", "declared")
        s = Sluice()
        s.path(up, limits=[("tokens", 10, 6000)], charge="declared")
        b = s.submit("".join(line(f"small-{i}", max_tokens=100) + "\n"
                             for i in range(30)) +
                     "".join(line(f"big-{i}", max_tokens=3500) + "\n"
                             for i in range(2)) +
                     "".join(line(f"late-{i}", max_tokens=100) + "\n"
                             for i in range(30)))
        done = s.wait(b, 90)
        self.assertEqual(done["request_counts"]["completed"], 62)
        self.assertEqual(up.stats()["refused"], 0)
        caps = [x["tokens"] for x in up.sends()]
        first_big = next(i for i, t in enumerate(caps) if t > 3000)
        last_big = max(i for i, t in enumerate(caps) if t > 3000)
        # Between the two large ones, which fill more than the window, small
        # ones go; the second does not hold them up.
        self.assertGreater(last_big - first_big, 5)
        s.stop()
        up.stop()

    def test_a_cap_is_put_where_there_is_none_and_nothing_else_changes(self):
        seen = []
        up = Answering(lambda body, headers: (seen.append(body), (200, OK))[1])
        s = Sluice()
        s.path(up)
        with_cap = line("a", max_tokens=7)
        without = line("b", n=1)
        b = s.submit(with_cap + "\n" + without + "\n",
                     sluice={"max_tokens": 321})
        self.assertEqual(s.wait(b)["sluice"]["max_tokens"], 321)
        body = json.dumps(json.loads(without)["body"])
        self.assertEqual(sorted(seen), sorted([
            json.dumps(json.loads(with_cap)["body"]).encode(),
            ('{"max_tokens":321,' + body[1:]).encode()]))
        bad = s.batch(s.upload(without).json["id"], sluice={"max_tokens": 0})
        self.assertEqual((bad.status, bad.error["param"]),
                         (400, "sluice.max_tokens"))
        s.stop()
        up.stop()


class Takeovers(unittest.TestCase):
    def test_what_a_failover_may_have_lost_is_charged(self):
        up = Upstream("--limit", "requests/1m=600")
        s = Sluice()
        s.path(up, limits=[("requests", 60, 600)])
        b = s.submit(lines(50))
        s.wait(b)
        # As if the next one found another timeline than the last one wrote to.
        s.sql("update sluice.dispatch_lease set timeline = timeline + 7")
        before = int(s.sql("select sum(units) from sluice.grant_cell"))
        s.schedulers[0].kill()
        s.schedulers[0] = s.start_scheduler()
        s.port = s.schedulers[0].port
        b = s.submit(lines(2))
        s.wait(b)
        self.assertIn("dispatch.failover", s.schedulers[0].text())
        # Ten seconds and the horizon at ten a second, and the two lines.
        lost = int(s.sql("select sum(units) from sluice.grant_cell")) - before
        self.assertTrue(105 <= lost <= 110, lost)
        self.assertEqual(s.sql("select timeline = ('x' || left("
                               "pg_walfile_name(pg_current_wal_lsn()), 8))"
                               "::bit(32)::integer from "
                               "sluice.dispatch_lease"), "t")
        s.stop()
        up.stop()

    def test_a_takeover_goes_on_where_the_last_one_was(self):
        up = Upstream("--limit", "requests/10s=50")
        s = Sluice(schedulers=2)
        s.path(up, limits=[("requests", 10, 50)])
        b = s.submit(lines(140))
        for done in (30, 80):
            until(lambda: s.show(b)["request_counts"]["completed"] > done, 60)
            leader = next(p for p in s.schedulers
                          if p.alive() and "dispatch.leads" in p.text())
            leader.kill()
            s.schedulers.remove(leader)
            s.schedulers.append(s.start_scheduler())
            s.port = s.schedulers[0].port
        self.assertEqual(s.wait(b, 60)["request_counts"]["completed"], 140)
        self.assertEqual(up.stats()["refused"], 0)
        s.stop()
        up.stop()


class Refusals(unittest.TestCase):
    def test_a_line_refused_five_times_is_parked(self):
        up = Answering(lambda body, headers: (429, json.dumps({"error": {
            "message": "too many", "type": "rate_limit_error"}}).encode()))
        s = Sluice()
        s.path(up)
        b = s.submit(lines(1))
        until(lambda: s.sql("select max(not_before) > now() + interval "
                            "'14 minutes' from sluice.retry") == "t", 90)
        self.assertEqual(s.sql("select sends, tries, refused from "
                               "sluice.retry"), "5|0|0")
        self.assertEqual(s.call("POST", f"/v1/batches/{b}/cancel").status, 200)
        s.wait(b, 30)
        s.stop()
        up.stop()

    def test_concurrency_that_nobody_declared_is_found(self):
        up = Upstream("--limit", "concurrent=7", "--latency", "300")
        s = Sluice()
        s.path(up)
        b = s.submit(lines(250))
        done = s.wait(b, 90)
        self.assertEqual(done["request_counts"]["completed"], 250)
        found = s.get("/admin/v1/paths/sim").json["learned"]["concurrency"]
        self.assertTrue(found["found"])
        self.assertLessEqual(found["limit"], 7)
        stats = up.stats()
        # The doubling that passed it, and no more.
        self.assertLessEqual(stats["refused"], 2)
        s.stop()
        up.stop()

    def test_others_on_the_account_are_made_room_for(self):
        up = Upstream("--limit", "requests/10s=100:fixed", "--foreign", "300",
                      "--headers", "openai", "--latency", "100-300")
        s = Sluice()
        s.path(up, limits=[("requests", 10, 100)])
        b = s.submit(lines(400))
        until(lambda: s.show(b)["request_counts"]["completed"] > 150, 90)
        before = up.stats()
        self.assertEqual(s.wait(b, 90)["request_counts"]["completed"], 400)
        self.assertLessEqual(up.stats()["refused"] - before["refused"], 3)
        now = json.loads(s.sql("select now from sluice.path_state"))
        self.assertGreater(now["limits"][0]["foreign"], 20)
        s.stop()
        up.stop()

    def test_a_limit_that_moves_with_use_is_kept_warm(self):
        """A budget beside it, spent evenly, would let it shrink."""
        up = Upstream("--limit", "requests/1m=300:adaptive:6s",
                      "--headers", "nebius", "--latency", "100")
        s = Sluice()
        s.path(up, limits=[("requests", 60, 1500), ("requests", 86400, 100000)],
               dialect="nebius")
        b = s.submit(lines(150))
        self.assertEqual(s.wait(b, 90)["request_counts"]["completed"], 150)
        self.assertEqual(up.stats()["refused"], 0)
        told = {(r["dim"], r["window_s"]): r["limit"] for r in
                s.get("/admin/v1/paths/sim").json["learned"]["readings"]}
        self.assertGreater(told["requests", 60], 430)
        s.stop()
        up.stop()


if __name__ == "__main__":
    unittest.main()
