"""What upstreams do to a worker, and what becomes of the lines."""
import json
import os
import unittest

from e2e.cli import sluice
from e2e.harness import (Answering, Sluice, Upstream, folder, line, lines,
                         serial, until)


class Faults(unittest.TestCase):
    def setUp(self):
        self.up = None
        self.s = Sluice()

    def tearDown(self):
        self.s.stop()
        if self.up:
            self.up.stop()

    def start(self, *options, **path):
        self.up = Upstream(*options)
        self.s.path(self.up, **path)

    def done(self, n, seconds=60, text=None):
        b = self.s.submit(text or lines(n))
        d = self.s.wait(b, seconds)
        self.assertEqual(d["status"], "completed")
        got = self.s.results(b)
        self.assertEqual(len(got), n)
        return b, got, d["request_counts"]["failed"]

    def attempts(self, b):
        return int(self.s.sql(
            f"select sum(attempts) from sluice.batch_result('{b}')"))

    def test_errors_that_pass_are_tried_again(self):
        """5xx, 408, 409, broken connections: all results good in the end."""
        self.start("--fault", "500=0.03", "--fault", "503=0.03", "--fault",
                   "408=0.03", "--fault", "409=0.03", "--fault",
                   "cut-before=0.03", "--fault", "cut-mid=0.03", "--fault",
                   "reset=0.03", "--fault", "garbage=0.03", "--fault",
                   "empty=0.03", attempts=20)
        b, got, failed = self.done(300)
        self.assertEqual(failed, 0)
        sent = self.up.stats()["arrivals"]
        self.assertGreater(sent, 330)
        self.assertLessEqual(sent, self.attempts(b))

    def test_after_the_last_attempt_the_error_is_the_result(self):
        self.start("--fault-match", "poison=500", "--fault-match",
                   "choke=cut-before", attempts=3)
        text = lines(20) + line("p", "poison") + "\n" + line("c", "choke") + "\n"
        b, got, failed = self.done(22, text=text)
        self.assertEqual(failed, 2)
        self.assertEqual(got["p"]["response"]["status_code"], 500)
        self.assertIn("error", got["p"]["response"]["body"])
        self.assertIsNone(got["p"]["error"])
        self.assertIsNone(got["c"]["response"])
        self.assertEqual(got["c"]["error"]["code"], "outcome_unknown")
        self.assertEqual(self.s.sql(
            f"select attempts from sluice.batch_result('{b}') "
            "where custom_id in ('p', 'c')").split(), ["3", "3"])

    def test_other_4xx_are_final_and_stand_in_the_error_file(self):
        self.start("--fault-match", "bad=400")
        text = "".join(line(f"r-{i}", "bad" if i % 3 == 0 else "ok") + "\n"
                       for i in range(30))
        b, got, failed = self.done(30, text=text)
        self.assertEqual(failed, 10)
        self.assertEqual(got["r-0"]["response"]["status_code"], 400)
        self.assertEqual(self.up.stats()["arrivals"], 30)
        d = self.s.show(b)
        self.assertEqual(d["request_counts"]["completed"], 20)

    def test_all_lines_failed_is_completed_without_output(self):
        self.start("--fault", "400=1")
        b, got, failed = self.done(5)
        d = self.s.show(b)
        self.assertEqual(failed, 5)
        self.assertNotIn("output_file_id", d)
        self.assertIn("error_file_id", d)

    def test_throttling_never_uses_up_attempts(self):
        """429s, far more than attempts, and all lines still succeed."""
        self.start("--fault", "429=0.7", attempts=1,
                   limits=[("requests", 60, 60000)])
        # a refusal without a time pauses longer each time: let it be short
        self.up.control(fault=["429=0.5,1"])
        b, got, failed = self.done(12, 120)
        self.assertEqual(failed, 0)
        self.assertGreater(self.up.stats()["arrivals"], 12)

    def test_retry_after_is_obeyed(self):
        self.start("--limit", "requests/4s=5:fixed")
        b, got, failed = self.done(12, 60)
        self.assertEqual(failed, 0)
        sends = self.up.sends()
        refused = [x["t"] for x in sends if x["status"] == 429]
        self.assertTrue(refused)
        # After the first refusals are known nothing is sent for a while.
        first = refused[0]
        waits = [x["t"] - first for x in sends if x["t"] > first + 0.5]
        self.assertGreater(min(waits), 0.9)

    def keep_observations(self):
        """The dispatcher deletes them: keep a copy."""
        self.s.sql("""
            create table public.kept (seen json);
            create function public.keep() returns trigger language plpgsql as $$
            begin insert into public.kept values (new.seen); return new; end $$;
            create trigger keep after insert on sluice.observation
                for each row execute function public.keep()""")

    def observed(self, member):
        rows = self.s.sql("select seen from public.kept").splitlines()
        return [json.loads(x)[member] for x in rows if member in json.loads(x)]

    def readings(self):
        return [x for some in self.observed("readings") for x in some]

    def test_what_answers_say_of_limits_is_observed(self):
        self.start("--limit", "requests/60s=600", "--limit",
                   "tokens/60s=1000000", "--headers", "openai")
        self.keep_observations()
        self.done(20)
        self.assertEqual(set(self.observed("dialect")), {"openai"})
        got = {x["dim"]: x for x in self.readings()}
        self.assertEqual(set(got), {"requests", "tokens"})
        # Whether requests are of a minute or, as at some, of a day is not said.
        self.assertEqual(got["requests"]["window_s"], 0)
        self.assertEqual(got["tokens"]["window_s"], 60)
        self.assertEqual(got["requests"]["limit"], 600)
        self.assertEqual(got["tokens"]["limit"], 1000000)
        self.assertEqual(got["requests"]["from"],
                         "x-ratelimit-remaining-requests")
        self.assertEqual(min(x["remaining"] for x in self.readings()
                             if x["dim"] == "requests"), 580)
        for x in self.readings():
            self.assertGreater(x["sent_us"], 10 ** 15)
            self.assertGreaterEqual(x["answered_us"], x["sent_us"])
        self.assertGreaterEqual(sum(self.observed("connects")), 1)
        self.assertLess(max(self.observed("connect_max_us")), 10 ** 6)

    def test_the_dialect_of_a_path_says_what_its_headers_mean(self):
        self.start("--limit", "requests/60s=600", "--headers", "openai",
                   dialect="groq")
        self.keep_observations()
        self.done(5)
        self.assertEqual(set(self.observed("dialect")), {"groq"})
        self.assertEqual({x["window_s"] for x in self.readings()}, {86400})

    def test_refusals_are_observed_by_kind(self):
        self.start("--limit", "requests/4s=5:fixed", "--limit", "concurrent=2",
                   "--latency", "300")
        self.keep_observations()
        b, got, failed = self.done(10)
        self.assertEqual(failed, 0)
        seen = {x["kind"]: x for some in self.observed("refusals")
                for x in some}
        self.assertEqual(set(seen), {"rate", "concurrency"})
        self.assertEqual(seen["concurrency"]["dim"], "concurrent")
        self.assertGreater(seen["concurrency"]["in_flight"], 2)
        self.assertEqual(seen["rate"]["from"], "retry-after")
        self.assertGreaterEqual(seen["rate"]["wait_ms"], 1000)

    def test_no_money_stops_the_path_and_fails_no_line(self):
        """A 429 that no waiting helps: it must not look like throttling."""
        self.start("--fault", "quota=1", attempts=1,
                   limits=[("requests", 60, 3000)])
        b = self.s.submit(lines(30))
        path = until(lambda: (lambda p: p if p["health"] != "up" else None)(
            self.s.get("/admin/v1/paths/sim").json), 20, "path down")
        self.assertIn("billing", path["why"])
        self.up.control(fault=[])
        d = self.s.wait(b, 90)
        self.assertEqual(d["request_counts"],
                         {"total": 30, "completed": 30, "failed": 0})

    def test_a_request_over_the_limit_fails_by_name(self):
        self.start("--limit", "tokens/60s=20000", "--charge", "declared")
        text = lines(5, max_tokens=10) + line("big", max_tokens=50000) + "\n"
        b, got, failed = self.done(6, text=text)
        self.assertEqual(failed, 1)
        self.assertEqual(got["big"]["error"]["code"], "request_exceeds_limit")
        self.assertIn("Limit 20000", got["big"]["error"]["message"])

    def test_a_refusal_under_200_uses_up_no_attempt(self):
        self.start("--fault-first", "refused200=3", attempts=1)
        b, got, failed = self.done(5)
        self.assertEqual(failed, 0)
        self.assertEqual(self.up.stats()["arrivals"], 8)

    def test_an_outage_fails_no_line(self):
        self.start(attempts=2, limits=[("requests", 60, 3000)])
        self.up.control(outage=True)
        b = self.s.submit(lines(50))
        path = until(lambda: (lambda p: p if p["health"] != "up" else None)(
            self.s.get("/admin/v1/paths/sim").json), 20, "path down")
        self.assertTrue(path["why"])
        self.up.control(outage=False)
        d = self.s.wait(b, 60)
        self.assertEqual(d["request_counts"],
                         {"total": 50, "completed": 50, "failed": 0})
        self.assertEqual(self.s.get("/admin/v1/paths/sim").json["health"], "up")

    def test_an_upstream_that_is_not_there_fails_no_line(self):
        self.up = Upstream()
        self.s.apply({"paths": [{"name": "sim", "url": "http://127.0.0.1:9",
                                 "models": ["*"], "attempts": 1}]})
        b = self.s.submit(lines(5))
        until(lambda: self.s.get("/admin/v1/paths/sim").json["health"] == "down",
              20)
        self.s.path(self.up)
        self.assertEqual(self.s.wait(b, 60)["request_counts"]["completed"], 5)

    def test_5xx_in_bulk_fails_no_line(self):
        self.start("--fault", "500=1", attempts=2,
                   limits=[("requests", 60, 3000)])
        b = self.s.submit(lines(60))
        until(lambda: self.s.get("/admin/v1/paths/sim").json["health"] != "up",
              30, "path down")
        self.up.control(fault=[])
        d = self.s.wait(b, 60)
        self.assertEqual(d["status"], "completed")
        # The first few, before it was clear that the upstream fails, may have
        # used up their two attempts; all others must not.
        self.assertLessEqual(d["request_counts"]["failed"], 4)

    def test_a_refused_secret_stops_the_path_and_a_new_one_starts_it(self):
        secret = os.path.join(folder(), serial("secret"))
        with open(secret, "w") as f:
            f.write("old\n")
        self.up = Upstream("--key", "sk-right")
        self.s.path(self.up, secret_file=secret, attempts=1)
        b = self.s.submit(lines(8))
        path = until(lambda: (lambda p: p if p["health"] != "up" else None)(
            self.s.get("/admin/v1/paths/sim").json), 20, "path down")
        self.assertIn("401", path["why"])
        shown = sluice("show", b, url=f"http://127.0.0.1:{self.s.port}").stdout
        self.assertRegex(shown, r"\tpath sim is (down: HTTP 401, tried again "
                         r"[0-9TZ:-]+|being tried, after HTTP 401) \(the upstream "
                         r"refuses its key: sluice path edit sim "
                         r"--secret-file FILE\)\n")
        self.assertNotIn("will end", shown)
        until(lambda: self.up.stats()["arrivals"] > 2)
        with open(secret, "w") as f:
            f.write("sk-right\n")
        d = self.s.wait(b, 90)
        self.assertEqual(d["request_counts"]["completed"], 8)
        self.assertEqual(self.up.sends()[-1]["auth"], "ight")
        log = self.s.workers[0].text()
        self.assertEqual(log.count(' path.down path=sim why="HTTP 401"'), 1)
        self.assertEqual(log.count(" path.up path=sim"), 1)

    def test_an_edit_is_tried_at_once(self):
        secret = os.path.join(folder(), serial("secret"))
        with open(secret, "w") as f:
            f.write("sk-right\n")
        self.up = Upstream("--key", "sk-right")
        self.s.path(self.up)
        self.s.schedulers.pop().stop()
        self.s.sql("insert into sluice.path_state (path_id, health, why, until, "
                   "failures) select id, 'down', 'HTTP 401', now() + "
                   "interval '1 h', 20 from sluice.path")
        self.s.schedulers = [self.s.start_scheduler()]
        self.s.port = self.s.schedulers[0].port
        b = self.s.submit(lines(8))
        until(lambda: self.s.show(b)["sluice"].get("waiting"))
        changes = self.s.path(self.up, secret_file=secret)
        self.assertIn("path sim: tried again at once", changes)
        wait = self.s.show(b)["sluice"].get("waiting", {})
        self.assertNotIn("401", wait.get("why", ""))
        d = self.s.wait(b, 10)
        self.assertEqual(d["request_counts"]["completed"], 8)
        self.assertEqual({x["status"] for x in self.up.sends()}, {200})
        self.assertNotIn("path sim: tried again at once",
                         self.s.path(self.up, secret_file=secret))

    def test_a_line_that_expires_says_what_it_waited_for(self):
        self.up = Upstream("--key", "sk-right")
        self.s.path(self.up, attempts=1)
        b = self.s.submit(lines(2))
        until(lambda: self.s.show(b)["sluice"].get("waiting"))
        self.s.sql("update sluice.batch set deadline = now()")
        self.assertEqual(self.s.wait(b, 30)["status"], "expired")
        for x in self.s.results(b).values():
            self.assertEqual(
                x["error"]["message"], "This request could not be executed "
                "before the completion window expired. It waited for path sim, "
                "which is down: HTTP 401.")

    def test_a_secret_file_that_is_missing_is_said(self):
        self.up = Upstream()
        self.s.path(self.up, secret_file="/nonexistent/secret")
        b = self.s.submit(lines(2))
        path = until(lambda: (lambda p: p if p["health"] != "up" else None)(
            self.s.get("/admin/v1/paths/sim").json), 20, "path down")
        self.assertIn("/nonexistent/secret", path["why"])
        shown = sluice("show", b, url=f"http://127.0.0.1:{self.s.port}").stdout
        self.assertIn("path sim is ", shown)
        self.assertIn(" its secret file cannot be used", shown)
        self.s.path(self.up)
        self.assertEqual(self.s.wait(b, 60)["status"], "completed")

    def test_what_is_wrong_with_a_secret_file_is_logged_once(self):
        files = [os.path.join(folder(), serial("secret")) for _ in range(2)]
        for name, secret in zip(files, ("", "sk-old")):
            with open(name, "w") as f:
                f.write(secret)
        self.up = Upstream()
        self.s.apply({"paths": [
            {"name": f"p{i}", "url": self.up.url, "models": ["*"],
             "secret_file": name} for i, name in enumerate(files)]})
        log = self.s.workers[0].text
        until(lambda: "path.secret path=p0" in log())
        # All are looked at together, again and again.
        with open(files[1], "w") as f:
            f.write("sk-new")
        until(lambda: "path.secret path=p1 read=again" in log())
        self.assertEqual(log().count("path.secret path=p0"), 1)

    def test_secrets_do_not_come_back(self):
        secret = os.path.join(folder(), serial("secret"))
        with open(secret, "w") as f:
            f.write("sk-verysecretvalue123456\n")
        self.up = Upstream("--fault", "400=1")
        self.s.path(self.up, secret_file=secret)
        b, got, failed = self.done(3)
        self.assertNotIn("verysecret", json.dumps(got))
        for p in self.s.schedulers + self.s.workers:
            self.assertNotIn("verysecret", p.text())
        self.assertNotIn("verysecret", str(self.s.get("/admin/v1/paths").json))

    def test_secrets_do_not_come_back_in_errors_under_200(self):
        secret = os.path.join(folder(), serial("secret"))
        with open(secret, "w") as f:
            f.write("verysecret-0123456789\n")
        self.up = Answering(lambda body, headers: (200, json.dumps({"error": {
            "message": "refused " + headers["authorization"]}}).encode()))
        self.s.path(self.up, secret_file=secret, attempts=1)
        b, got, failed = self.done(1)
        self.assertEqual(failed, 1)
        message = got["r-0"]["response"]["body"]["error"]["message"]
        self.assertEqual(message, "refused Bearer " + "*" * 21)

    def test_odd_answers_become_valid_lines(self):
        self.start("--fault-match", "pretty=pretty", "--fault-match",
                   "binary=not-utf8", "--fault-match", "wrapped=error200",
                   "--fault-match", "usage=badusage", attempts=2)
        text = "".join(line(c, c) + "\n" for c in
                       ("pretty", "binary", "wrapped", "usage"))
        b, got, failed = self.done(4, text=text)
        self.assertEqual(got["pretty"]["response"]["body"]["object"],
                         "chat.completion")
        self.assertEqual(got["usage"]["response"]["status_code"], 200)
        self.assertIn("error", got["wrapped"]["response"]["body"])
        d = self.s.show(b)
        for n in (d["usage"]["input_tokens"], d["usage"]["output_tokens"]):
            self.assertTrue(0 <= n <= 4 * 10 ** 9)

    def test_an_endless_answer_is_cut_off(self):
        self.start("--fault-match", "endless=huge,40")
        b = self.s.submit("".join(line(f"r-{i}", "endless") + "\n"
                                  for i in range(20)))
        self.s.wait(b)
        got = self.s.results(b)
        self.assertEqual({x["error"]["code"] for x in got.values()},
                         {"answer_too_large"})
        self.assertEqual(self.up.stats()["arrivals"], 20)

    def test_an_answer_that_grows_too_long_is_a_failure(self):
        """Control bytes take six each in the JSON string it must become."""
        big = b"\x01" * (46 << 20)
        self.up = Answering(lambda body, headers: (
            (400, big) if b"big" in body else (200, b'{"id":"x"}')))
        self.s.path(self.up, answer_max=64 << 20)
        b, got, failed = self.done(4, text=line("b", "big") + "\n" + lines(3))
        self.assertEqual(failed, 1)
        self.assertEqual(got["b"]["error"]["code"], "answer_too_large")

    def test_a_stalled_call_ends_at_its_timeout_and_goes_again(self):
        self.start("--fault-first", "stall=3", idle_ms=1000, whole_ms=2000,
                   attempts=3)
        b, got, failed = self.done(10)
        self.assertEqual(failed, 0)
        self.assertEqual(self.up.stats()["arrivals"], 13)

    def test_nothing_is_sent_twice_behind_our_back(self):
        """libcurl repeats a POST on a kept connection that was closed."""
        self.start("--close-after-read-once", limits=[("requests", 60, 600)])
        b, got, failed = self.done(10)
        self.assertEqual(failed, 0)
        # The closed one was sent again by us, and is recorded as such.
        self.assertEqual(self.up.stats()["arrivals"], 11)
        self.assertEqual(self.attempts(b), 11)

    def test_idle_connections_that_are_closed_do_no_harm(self):
        self.start("--idle-close-ms", "50", limits=[("requests", 60, 300)])
        b, got, failed = self.done(30)
        self.assertEqual(failed, 0)
        self.assertEqual(self.up.stats()["arrivals"], self.attempts(b))

    def test_each_line_has_a_key_of_its_own_for_all_its_attempts(self):
        self.start("--fault", "500=0.3", attempts=20)
        self.done(40)
        keys = {}
        for x in self.up.sends():
            keys.setdefault(x["key"], set()).add(x["body"])
        self.assertEqual(len(keys), 40)
        self.assertTrue(all(len(v) == 1 for v in keys.values()))


if __name__ == "__main__":
    unittest.main()
