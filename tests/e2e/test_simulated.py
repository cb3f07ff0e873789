"""The simulated provider itself: what pacing is judged by must be right."""
import calendar
import email.utils
import http.client
import json
import re
import threading
import time
import unittest

from e2e.harness import CHAT, Upstream, until

COUNT, SECONDS, UNIX, SPAN = r"\d+", r"\d{1,2}", r"\d{10}", r"[\d.hm]+s"
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def openai(reset):
    return {f"x-ratelimit-{what}-{of}": reset if what == "reset" else COUNT
            for of in ("requests", "tokens")
            for what in ("limit", "remaining", "reset")}


# Names with their case; all headers that speak of limits and no others.
HEADERS = {
    "none": {},
    "account": {"X-RateLimit-Limit-Requests": "3",
                "X-RateLimit-Remaining-Requests": "2",
                "X-RateLimit-Reset-Requests": SECONDS},
    "priority": {"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "2",
                 "X-RateLimit-Reset": UNIX, "X-RateLimit-Used": "1",
                 "X-RateLimit-Resource": "chat", "X-Request-Priority": "[1-4]"},
    "chunks": {"x-ratelimit-limit": "3", "x-ratelimit-remaining": "2",
               "x-ratelimit-reset": UNIX},
    "relay": {"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "2",
              "X-RateLimit-Reset": UNIX},
    "openai": openai(SPAN),
    "azure": openai(SECONDS),
    "groq": {**openai(SPAN), "x-ratelimit-limit-requests": "1000",
             "x-ratelimit-remaining-requests": "999",
             "x-ratelimit-reset-requests": r"24h0m0(\.\d+)?s"},
    "anthropic": {
        f"anthropic-ratelimit-{of}-{what}": STAMP if what == "reset" else COUNT
        for of in ("requests", "tokens", "input-tokens", "output-tokens")
        for what in ("limit", "remaining", "reset")},
    "ietf": {"RateLimit-Policy": '"requests0";q=3;w=60;qu="requests", .*',
             "RateLimit": r'"requests0";r=2;t=\d+, .*'},
    "github": {"x-ratelimit-limit": "3", "x-ratelimit-remaining": "2",
               "x-ratelimit-used": "1", "x-ratelimit-reset": UNIX,
               "x-ratelimit-resource": "core"},
    "nebius": {"x-ratelimit-limit-requests": "3",
               "x-ratelimit-remaining-requests": "2",
               "x-ratelimit-reset-requests": SPAN,
               "x-ratelimit-dynamic-period-remaining": "60s"},
}

# Of a minute's requests: (where the wait stands, a pattern of the body).
REFUSALS = {
    "none": ("retry-after", '"code":"rate_limit_exceeded"'),
    "account": ("retry-after", '"code":"AUTH_1028"'),
    "priority": (None, '"error":{"type":"rate_limit_error","message":"Rate '
                       r'limit exceeded. Please retry after \d+ seconds.",'
                       '"code":"rate_limit_exceeded"}'),
    "chunks": ("retry-after", '"rate_limit_error".*"status":429'),
    "relay": ("retry-after", '"type":"rate_limit_error"'),
    "openai": ("retry-after", r"on requests per min \(RPM\): Limit 3, Used 3, "
                              r"Requested 1. Please try again in [\dm.]+s"),
    "azure": ("retry-after-ms", r"Please retry after \d+ seconds"),
    "anthropic": ("retry-after", '{"type":"error","error":{"type":'
                                 '"rate_limit_error"'),
    "groq": ("retry-after", r"on requests per minute \(RPM\): Limit 3, Used 3, "
                            r"Requested 1. Please try again in [\dm.]+s"),
    "ietf": ("retry-after", '#quota-exceeded.*"violated-policies":'
                            r'\["requests0"\]'),
    "github": (None, '"message":"API rate limit exceeded'),
    "nebius": ("retry-after", '"type":"rate_limit_error"'),
}

LIMITS = ("--limit", "requests/1m=3:fixed", "--limit", "tokens/1m=90000",
          "--limit", "requests/1d=1000")


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.all = dict(response.getheaders())
        self.headers = {k: v for k, v in self.all.items()
                        if "ratelimit" in k.lower() or "priority" in k.lower()}
        self.text = response.read().decode()
        self.date = calendar.timegm(email.utils.parsedate(self.all["date"]))

    def waits(self):
        return {k for k in self.all if "retry" in k}


def post(up, text="hello", **body):
    c = http.client.HTTPConnection("127.0.0.1", up.port, timeout=30)
    c.request("POST", CHAT, json.dumps(
        {"model": "m1", "messages": [{"role": "user", "content": text}],
         **body}))
    reply = Reply(c.getresponse())
    c.close()
    return reply


class Simulated(unittest.TestCase):
    def start(self, *options):
        up = Upstream(*options)
        self.addCleanup(up.stop)
        return up

    def test_each_dialect_has_its_headers(self):
        for name, wanted in HEADERS.items():
            with self.subTest(name):
                more = ("--limit", "input-tokens/1m=80000", "--limit",
                        "output-tokens/1m=16000") if name == "anthropic" else ()
                got = post(self.start("--headers", name, *LIMITS, *more))
                self.assertEqual(got.status, 200)
                self.assertEqual(set(got.headers), set(wanted))
                for k, v in wanted.items():
                    self.assertRegex(got.headers[k], f"^{v}$", k)

    def test_resets_mean_the_same_moment_in_every_unit(self):
        """The end of the clock's minute, which the limit is of."""
        for name, header, parse in (
                ("account", "X-RateLimit-Reset-Requests",
                 lambda v, date: date + int(v)),
                ("priority", "X-RateLimit-Reset", lambda v, date: int(v)),
                ("openai", "x-ratelimit-reset-requests",
                 lambda v, date: date + float(v[:-1])),
                ("anthropic", "anthropic-ratelimit-requests-reset",
                 lambda v, date: calendar.timegm(
                     time.strptime(v, "%Y-%m-%dT%H:%M:%SZ"))),
                ("ietf", "RateLimit",
                 lambda v, date: date + int(re.search(r"t=(\d+)", v)[1]))):
            with self.subTest(name):
                up = self.start("--headers", name, *LIMITS[:2])
                # not on the edge of a minute, where "1m0s" would be right
                until(lambda: 1 < time.time() % 60 < 58)
                got = post(up)
                at = parse(got.headers[header], got.date)
                self.assertLess(abs(at - (got.date // 60 + 1) * 60), 2)

    def test_each_dialect_has_its_refusal(self):
        for name, (wait, body) in REFUSALS.items():
            with self.subTest(name):
                up = self.start("--headers", name, *LIMITS)
                replies = [post(up) for _ in range(6)]
                got = next(r for r in replies if r.status != 200)
                self.assertEqual(got.status, 429)
                self.assertRegex(got.text, body)
                json.loads(got.text)
                if wait is None:
                    self.assertEqual(got.waits(), set())
                else:
                    self.assertIn(wait, got.waits())
                    self.assertIn("retry-after", got.waits())

    def test_the_wait_of_a_refusal_is_true(self):
        up = self.start("--headers", "groq", "--limit", "requests/2s=1:bucket")
        self.assertEqual(post(up).status, 200)
        got = post(up)
        wait = float(re.search(r"try again in ([\d.]+)s", got.text)[1])
        self.assertAlmostEqual(wait, 2, delta=0.5)
        time.sleep(wait)
        self.assertEqual(post(up).status, 200)

    def test_a_request_over_the_limit_never_fits_and_says_so(self):
        for name in ("openai", "priority", "anthropic", "azure"):
            with self.subTest(name):
                up = self.start("--headers", name, "--charge", "declared",
                                "--limit", "tokens/1m=100:bucket")
                got = post(up, max_tokens=500)
                self.assertEqual(got.status, 429)
                self.assertRegex(got.text, r"Request too large for m1 on tokens "
                                 r"per min \(TPM\): Limit 100, Requested 5\d\d\.")
                self.assertEqual(got.waits(), set())
                self.assertEqual(post(up, max_tokens=20).status, 200)

    def test_too_many_at_once_is_called_that(self):
        for name in HEADERS:
            with self.subTest(name):
                up = self.start("--headers", name, "--limit", "concurrent=1",
                                "--latency", "300")
                first = threading.Thread(target=post, args=(up,))
                first.start()
                until(lambda: up.stats()["running"] == 1)
                got = post(up)
                first.join()
                if name == "github":
                    self.assertEqual(got.status, 403)
                    self.assertIn("secondary rate limit", got.text)
                else:
                    self.assertEqual(got.status, 429)
                    self.assertIn("concurrent", got.text)

    def test_an_adaptive_limit_moves_with_its_use(self):
        up = self.start("--headers", "nebius", "--limit",
                        "requests/2s=10:adaptive:1s")

        def limit():
            return int(post(up).headers["x-ratelimit-limit-requests"])
        self.assertEqual(limit(), 10)
        until(lambda: limit() > 10, 5, every=0.2)
        time.sleep(3.3)     # three periods without a call
        self.assertLess(limit(), 6)

    def test_log1s_knows_whole_seconds_only(self):
        """2.1 s after a call in mid-second: gone for log, there for log1s."""
        ups = [self.start("--limit", f"requests/2s=1:{algo}")
               for algo in ("log", "log1s")]
        until(lambda: 0.3 < time.time() % 1 < 0.5, every=0.005)
        self.assertEqual([post(up).status for up in ups], [200, 200])
        time.sleep(2.1)
        self.assertEqual([post(up).status for up in ups], [200, 429])
        time.sleep(0.9)
        self.assertEqual(post(ups[1]).status, 200)

    def test_others_use_the_same_limits_and_are_counted_apart(self):
        up = self.start("--limit", "requests/1m=40", "--limit",
                        "tokens/1m=4000", "--foreign",
                        "6@0-0.2,6000:10@0.2-1.2")
        until(lambda: up.stats()["foreign_sent"] > 60, 5)
        self.assertEqual(post(up).status, 429)
        time.sleep(0.6)
        s = up.stats()
        self.assertTrue(60 < s["foreign_sent"] < 150, s["foreign_sent"])
        self.assertEqual(s["foreign_sent"] - s["foreign_refused"], 40)
        self.assertEqual((s["accepted"], s["refused"]), (0, 1))
        requests, tokens = s["limits"]
        self.assertEqual((requests["max_in_window"],
                          requests["total_max_in_window"]), (0, 40))
        self.assertEqual(tokens["total_max_in_window"], 400)
        # none after the second step
        self.assertEqual(up.stats()["foreign_sent"], s["foreign_sent"])
        up.control(foreign="6000", limit=["requests/1m=45"])
        until(lambda: up.stats()["foreign_sent"] > s["foreign_sent"] + 60, 5)
        # the new limit knew of the forty
        self.assertEqual(up.stats()["limits"][0]["total_max_in_window"], 45)

    def test_input_only_charges_no_output(self):
        up = self.start("--charge", "input-only", "--limit", "tokens/1m=60",
                        "--output-mean", "500")
        used = json.loads(post(up).text)["usage"]
        self.assertGreater(used["total_tokens"], 60)
        self.assertEqual(up.sends()[0]["tokens"], used["prompt_tokens"])
        self.assertEqual(post(up).status, 200)
        self.assertEqual(post(up, "x" * 200).status, 429)

    def test_actual_late_charges_when_the_answer_leaves(self):
        up = self.start("--charge", "actual-late", "--limit", "tokens/1m=100",
                        "--latency", "500", "--output-mean", "90",
                        "--output-cv", "0")
        replies = []
        threads = [threading.Thread(
            target=lambda: replies.append(post(up).status)) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        # all were let in before any had cost anything; 400 are used now
        self.assertEqual(replies, [200] * 4)
        self.assertEqual(post(up).status, 429)
        self.assertGreater(up.stats()["limits"][0]["units"], 400)

    def test_input_and_output_have_limits_of_their_own(self):
        up = self.start("--headers", "anthropic", "--limit",
                        "input-tokens/1m=80000:bucket", "--limit",
                        "output-tokens/1m=16000:bucket", "--output-mean",
                        "4000", "--output-cv", "0")
        got = post(up).headers
        self.assertEqual(got["anthropic-ratelimit-tokens-limit"], "96000")
        self.assertEqual(got["anthropic-ratelimit-output-tokens-remaining"],
                         "12000")
        self.assertEqual(got["anthropic-ratelimit-input-tokens-remaining"],
                         "80000")
        for _ in range(3):
            self.assertEqual(post(up).status, 200)
        self.assertRegex(post(up).text, "16000 output tokens per minute")


if __name__ == "__main__":
    unittest.main()
