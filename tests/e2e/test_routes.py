"""Which way lines go: kinds of paths, prices, deadlines, caps."""
import json
import os
import subprocess
import threading
import time
import unittest

from e2e.harness import (CHAT, KEY, Answering, Sluice, line, lines, program,
                         until)

OK = json.dumps({"object": "chat.completion", "choices": [], "usage": {
    "prompt_tokens": 1000, "completion_tokens": 100}}).encode()
ODD = b'{ "model" : "m1",\t"n": 12345678901234567890,"z":1e400, "a":-0.0}'


class Suffix(unittest.TestCase):
    def test_the_suffix_is_all_that_changes(self):
        seen = []
        up = Answering(lambda body, headers: (seen.append(body), (200, OK))[1])
        s = Sluice()
        s.path(up, name="cheap", suffix=":batch")
        odd = ('{"custom_id":"odd","method":"POST","url":"' + CHAT +
               '","body":' + ODD.decode() + '}')
        capped = line("capped")
        done = line("done", model="m1:batch")
        b = s.submit("\n".join([odd, done]) + "\n")
        s.wait(b)
        c = s.submit(capped + "\n", sluice={"max_tokens": 321})
        s.wait(c)
        body = json.dumps(json.loads(capped)["body"])
        self.assertEqual(sorted(seen), sorted([
            ODD.replace(b'"m1"', b'"m1:batch"'),
            json.dumps(json.loads(done)["body"]).encode(),
            ('{"max_tokens":321,' + body[1:]).replace(
                '"m1"', '"m1:batch"').encode()]))
        s.stop()
        up.stop()

    def test_a_live_call_that_names_the_suffix_goes_that_way(self):
        seen = []

        def answer(name):
            return lambda body, headers: (
                seen.append((name, body)), (200, OK))[1]

        direct, cheap = Answering(answer("direct")), Answering(answer("cheap"))
        s = Sluice()
        s.path(direct, name="main", models=["m*"])
        s.path(cheap, name="flex", models=["m*"], suffix=":flex")
        until(lambda: s.sql("select count(*) from sluice.worker where "
                            "live_url is not null") == "1")
        body = ODD.replace(b"m1", b"m1:batch")

        def call(sent):
            return s.call("POST", CHAT, sent,
                          {"Content-Type": "application/json"})
        no = call(body)
        self.assertEqual((no.status, no.error["code"]), (400, "no_cheap_path"))
        s.path(cheap, name="cheap", models=["m1"], suffix=":batch")
        self.assertEqual(call(body).status, 200)
        self.assertEqual(call(ODD).status, 200)
        self.assertEqual(call(body.replace(b"m1", b"m2")).status, 400)
        self.assertEqual(seen, [("cheap", body), ("direct", ODD)])
        s.stop()
        direct.stop()
        cheap.stop()


class Plan(unittest.TestCase):
    def sluice(self, s, *args):
        p = subprocess.run(
            [program("sluice"), *args, "-"], input=lines(1200), text=True,
            stdout=subprocess.PIPE, env={
                **os.environ, "SLUICE_URL": f"http://127.0.0.1:{s.port}",
                "SLUICE_API_KEY": KEY, "SLUICE_STATE": "/nonexistent"})
        self.assertEqual(p.returncode, 0)
        return p.stdout

    def test_what_it_would_take_and_cost_and_nothing_is_made(self):
        up = Answering(lambda body, headers: (200, json.dumps({
            "object": "chat.completion", "choices": [], "usage": {
                "prompt_tokens": 30, "completion_tokens": 100}}).encode()))
        s = Sluice()
        s.path(up, name="main", prices=[{"model": "*", "input": 2000000,
                                         "output": 2000000}],
               limits=[("requests", 60, 6000)])
        s.path(up, name="cheap", pool="main", suffix=":batch",
               prices=[{"model": "*", "input": 1000000, "output": 1000000}],
               limits=[("requests", 60, 60)])
        up_file = s.upload(lines(1200)).json["id"]

        def plan(window="24h", **own):
            a = s.batch(up_file, window=window, sluice={"dry_run": True, **own})
            self.assertEqual(a.status, 200, a.body)
            return a.json
        p = plan()
        self.assertEqual((p["object"], p["lines"]), ("batch.plan", 1200))
        self.assertEqual(p["routed"]["paths"], ["cheap"])
        self.assertEqual(p["routed"]["limit"], "requests/1m of path cheap")
        self.assertEqual(p["routed"]["confidence"], "low")
        by = {x["path"]: x for x in p["paths"]}
        self.assertAlmostEqual(by["cheap"]["need_s"], 1209, delta=2)
        self.assertAlmostEqual(by["main"]["need_s"], 12, delta=1)
        self.assertEqual(by["main"]["cost"], 2 * by["cheap"]["cost"])
        self.assertEqual(plan(priority="high")["routed"]["paths"], ["main"])
        # 10 minutes: cheap does about 570 of them.
        both = plan("10m")["routed"]
        self.assertEqual(both["paths"], ["cheap", "main"])
        self.assertAlmostEqual(both["direct_part"], 0.53, delta=0.02)
        self.assertTrue(both["in_time"])
        self.assertFalse(plan("10m", escalate=False)["routed"]["in_time"])
        self.assertEqual(s.sql("select count(*) from sluice.batch"), "0")
        said = self.sluice(s, "plan", "--within", "10m")
        self.assertRegex(said, r"(?s)1200 lines, about .*goes by cheap, main "
                         r"\(53 % direct\); requests/1m of path cheap binds")
        self.assertRegex(said, r"(?m)^main\s+direct\s+1\.\d+\s+13s")
        self.assertEqual(s.sql("select count(*) from sluice.file "
                               "where state = 'ready'"), "1")
        # What was learned by answers makes it sure.
        b = s.submit(lines(110), sluice={"path": "direct"})
        s.wait(b)
        until(lambda: plan()["routed"]["confidence"] == "high", 15)
        p = plan()
        self.assertAlmostEqual(p["routed"]["cost"], 1200 * 130, delta=1200 * 7)
        # One that runs says the same of what is left.
        b = s.batch(up_file).json["id"]
        f = until(lambda: s.show(b)["sluice"].get("outlook", {}).get("forecast"))
        self.assertEqual(f["paths"], ["cheap"])
        self.assertAlmostEqual(f["cost"], 1200 * 130, delta=1200 * 7)
        self.assertAlmostEqual(f["ends_at"] - time.time(), 1210, delta=20)
        s.stop()
        up.stop()


class Choice(unittest.TestCase):
    def setUp(self):
        self.seen = []

        def answer(name):
            return lambda body, headers: (
                self.seen.append(name), (200, OK))[1]
        self.direct = Answering(answer("direct"))
        self.cheap = Answering(answer("cheap"))
        self.s = Sluice()

        def price(amount):
            return [{"model": "*", "input": amount, "output": amount}]
        self.s.path(self.direct, name="main", models=["m1"],
                    prices=price(2000000),
                    limits=[("requests", 60, 6000)])
        self.s.path(self.cheap, name="cheap", models=["m1"], pool="main",
                    suffix=":batch", prices=price(1000000), limits=[("concurrent", 0, 1)])

    def tearDown(self):
        self.s.stop()
        self.direct.stop()
        self.cheap.stop()

    def goes(self, n=6, model="m1", **own):
        """By which paths so many lines went."""
        self.seen.clear()
        b = self.s.submit(lines(n, model=model), **({"sluice": own} if own else {}))
        self.assertEqual(self.s.wait(b)["request_counts"]["completed"], n)
        return sorted(set(self.seen)), self.s.show(b)

    def test_patient_lines_go_the_cheap_way_and_urgent_ones_direct(self):
        self.assertEqual(self.goes()[0], ["cheap"])
        self.assertEqual(self.goes(priority="low")[0], ["cheap"])
        self.assertEqual(self.goes(priority="high")[0], ["direct"])
        self.assertEqual(self.goes(priority="high", path="cheap")[0], ["cheap"])
        way, b = self.goes(path="direct", escalate=False)
        self.assertEqual((way, b["sluice"]["path"], b["sluice"]["escalate"]),
                         (["direct"], "direct", False))
        no = self.s.batch(self.s.upload(lines(1)).json["id"],
                          sluice={"path": "fast"})
        self.assertEqual((no.status, no.error["param"]), (400, "sluice.path"))
        self.s.path(self.cheap, name="only", models=["m2"], suffix=":batch")
        self.assertEqual(self.goes(2, model="m2", priority="high")[0],
                         ["cheap"])
        no = self.s.batch(self.s.upload(lines(1, model="m2")).json["id"],
                          sluice={"path": "direct"}).json
        self.assertEqual((no["status"], no["errors"]["data"][0]["code"]),
                         ("failed", "model_not_found"))

    def test_who_waits_for_the_cheap_path_holds_up_nobody_else(self):
        hold = threading.Event()

        def answer(body, headers):
            self.seen.append("cheap")
            hold.wait(60)
            return 200, OK
        self.s.path(Answering(answer), name="cheap", pool="main",
                    suffix=":batch", limits=[("concurrent", 0, 1)])
        waits = self.s.submit(lines(30))
        until(lambda: "cheap" in self.seen)
        b = self.s.submit(lines(20), sluice={"path": "direct"})
        self.assertEqual(self.s.wait(b)["request_counts"]["completed"], 20)
        self.assertEqual(self.seen.count("direct"), 20)
        w = until(lambda: self.s.show(waits)["sluice"].get("waiting"))
        self.assertEqual((w["path"], w["limit"]), ("cheap", "concurrent"))
        # Another way, while it waits.
        direct = self.seen.count("direct")
        a = self.s.call("POST", f"/v1/batches/{waits}", json_body={
            "sluice": {"path": "direct", "max_cost": "2"}})
        self.assertEqual((a.status, a.json["sluice"]["path"],
                          a.json["sluice"]["max_cost"]),
                         (200, "direct", 2000000))
        until(lambda: self.seen.count("direct") > direct)
        hold.set()
        self.s.wait(waits)

    def test_results_tell_what_they_cost_and_what_direct_would_have(self):
        # A line is 1,000 tokens in and 100 out: 1,100 millionths cheap.
        _, b = self.goes(4, details=True)
        self.assertEqual(
            {k: b["sluice"][k] for k in ("cost", "direct_cost", "paths")},
            {"cost": 4400, "direct_cost": 8800, "paths": [
                {"path": "cheap", "lines": 4, "cost": 4400,
                 "direct_cost": 8800}]})
        for r in self.s.results(b["id"]).values():
            self.assertEqual(r.pop("sluice"), {
                "path": "cheap", "attempts": 1, "input_tokens": 1000,
                "output_tokens": 100, "cost": 1100, "direct_cost": 2200})
            self.assertEqual(sorted(r), ["custom_id", "error", "id",
                                         "response"])
        way, b = self.goes(2, priority="high")
        self.assertEqual((b["sluice"]["cost"], b["sluice"]["direct_cost"]),
                         (4400, 4400))
        self.assertNotIn("sluice", list(self.s.results(b["id"]).values())[0])

    def test_no_line_is_sent_that_may_be_too_dear(self):
        # 10 + 100 tokens; the estimate of a line is a little more.
        up = Answering(lambda body, headers: (200, json.dumps({
            "object": "chat.completion", "choices": [], "usage": {
                "prompt_tokens": 10, "completion_tokens": 100}}).encode()))
        self.s.path(up, name="own", models=["m9"], limits=[("concurrent", 0, 3)],
                    prices=[{"model": "*", "input": 1000000,
                             "output": 1000000}])
        b = self.s.submit(lines(20, model="m9", max_tokens=100),
                          sluice={"max_cost": "0.001"})
        done = self.s.wait(b)
        self.assertEqual(done["status"], "completed")
        self.assertLessEqual(done["sluice"]["cost"], 1000)
        self.assertEqual(done["sluice"]["max_cost"], 1000)
        n = done["request_counts"]["completed"]
        self.assertTrue(7 <= n <= 9, n)
        codes = [r["error"]["code"] for r in self.s.results(b).values()
                 if r["error"]]
        self.assertEqual(codes, ["spending_limit_reached"] * (20 - n))
        for bad in ("0", "a", -1, 1.5):
            no = self.s.batch(self.s.upload(lines(1)).json["id"],
                              sluice={"max_cost": bad})
            self.assertEqual((no.status, no.error["param"]),
                             (400, "sluice.max_cost"), bad)
        up.stop()

    def test_lines_dearer_than_thought_take_more_of_their_accounts_money(self):
        # Each costs 2010; before anything is learned it is thought to be 522.
        up = Answering(lambda body, headers: (200, json.dumps({
            "object": "chat.completion", "choices": [], "usage": {
                "prompt_tokens": 10, "completion_tokens": 2000}}).encode()))
        self.s.path(up, name="own", models=["m9"], limits=[("concurrent", 0, 3)],
                    prices=[{"model": "*", "input": 1000000,
                             "output": 1000000}])
        account = "/admin/v1/accounts/default"

        def money(amount):
            a = self.s.call("POST", account, json_body={"limits": [{
                "dimension": "money", "window_s": 86400, "amount": amount}]})
            self.assertEqual(a.status, 200, a.body)
        money(100000)
        try:
            for n in (10, 1):
                done = self.s.wait(self.s.submit(lines(n, model="m9")))
                self.assertEqual((done["status"], done["sluice"]["cost"]),
                                 ("completed", n * 2010))
            # Enough for what is thought, not for what it costs.
            money(11 * 2010 + 700)
            data = self.s.upload(lines(1, model="m9")).json["id"]
            b = until(lambda: self.s.batch(data).json.get("id"), 10)
            wait = until(lambda: self.s.show(b)["sluice"].get("waiting"), 20)
            self.assertEqual(wait["limit"], "money/1d", wait)
            money(50000)
            self.assertEqual(self.s.wait(b)["sluice"]["cost"], 2010)
        finally:
            self.assertEqual(self.s.call("POST", account, json_body={
                "limits": []}).status, 200)
        up.stop()

    def test_a_batch_goes_in_its_hours(self):
        soon = int(time.time()) + 4
        b = self.s.submit(lines(2), sluice={"not_before": soon})
        done = self.s.wait(b)
        self.assertEqual(done["sluice"]["not_before"], soon)
        at = self.s.sql("select extract(epoch from completed_at) from "
                        "sluice.batch order by id desc limit 1")
        self.assertGreaterEqual(float(at), soon)
        no = self.s.batch(self.s.upload(lines(1)).json["id"],
                          sluice={"hours": "at night"})
        self.assertEqual((no.status, no.error["param"]), (400, "sluice.hours"))


if __name__ == "__main__":
    unittest.main()
