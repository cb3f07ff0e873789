"""Limits before callers and keys that end, call by call."""
import time
import unittest

from e2e.cli import sluice
from e2e.harness import Sluice, Upstream, lines, serial, until


class Revoking(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.up = Upstream("--latency", "20")
        cls.s = Sluice()
        cls.url = f"http://127.0.0.1:{cls.s.port}"

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()
        cls.up.stop()

    def test_batches_of_a_revoked_key_pause_or_end(self):
        self.s.path(self.up, limits=[("requests", 60, 60)])
        keys, more, batches = {}, {}, {}
        for name in ("pauses", "ends", "stays"):
            self.ok("account", "create", name)
            keys[name], more[name] = (self.ok(
                "key", "create", "-a", name, "-n", n).strip()
                for n in (name, f"{name}-too"))
            up = self.s.upload(lines(40), key=keys[name]).json["id"]
            batches[name] = self.s.batch(up, key=keys[name]).json["id"]

        def show(name):
            return self.s.get(f"/v1/batches/{batches[name]}",
                              key=more[name]).json

        def done(name):
            return show(name)["request_counts"]["completed"]

        until(lambda: done("pauses") > 0, 60, "it has begun")
        self.assertRegex(self.ok("key", "revoke", "pauses"),
                         r"BATCHES PAUSED\t1")
        self.assertRegex(self.ok("key", "revoke", "ends", "--cancel-batches"),
                         r"BATCHES CANCELLED\t1")
        for name in ("pauses", "ends"):
            self.assertEqual(self.s.get("/v1/files", key=keys[name]).status, 401)
        until(lambda: show("ends")["status"] == "cancelled", 60, "cancelled")
        self.assertRegex(
            self.ok("show", batches["pauses"], key=more["pauses"]),
            r"paused for good: key_\d+, which made it, was revoked")
        # What was out is back, and with room for all of it no more goes.
        until(lambda: self.s.sql("select count(*) from sluice.run r join "
                                 "sluice.batch b on b.id = r.batch_id join "
                                 "sluice.api_key k on k.id = b.key_id where "
                                 "k.revoked_at is not null") == "0", 60,
              "nothing of it is out")
        was = done("pauses")
        self.s.path(self.up)
        until(lambda: show("stays")["status"] == "completed", 60, "the other")
        self.assertEqual((show("pauses")["status"], done("pauses")),
                         ("in_progress", was))
        self.assertLess(was, 40)
        self.assertEqual(self.s.call(
            "POST", f"/v1/batches/{batches['pauses']}/cancel",
            key=more["pauses"]).status, 200)
        until(lambda: show("pauses")["status"] == "cancelled", 60, "cancelled")
        counts = show("pauses")["request_counts"]
        self.assertEqual(counts["completed"] + counts["failed"], 40)

    def ok(self, *args, **more):
        p = sluice(*args, url=self.url, **more)
        self.assertEqual(p.returncode, 0, (args, p.stderr))
        return p.stdout


class Live(unittest.TestCase):
    """Each system's window, header and refusal, call by call."""

    @classmethod
    def setUpClass(cls):
        cls.up = Upstream("--latency", "5")
        cls.s = Sluice()
        cls.s.path(cls.up)
        cls.url = f"http://127.0.0.1:{cls.s.port}"
        until(lambda: cls.s.sql("select count(*) from sluice.worker where "
                                "live_url is not null") == "1", 20, "a worker")

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()
        cls.up.stop()

    def caller(self, *plan):
        name = serial("live")
        for args in (("plan", "add", name, *plan),
                     ("account", "create", name, "--plan", name)):
            p = sluice(*args, url=self.url)
            self.assertEqual(p.returncode, 0, p.stderr)
        return name, self.key(name)

    def key(self, account):
        return sluice("key", "create", "-a", account, "-n", account,
                      url=self.url).stdout.strip()

    def ask(self, key, path="/v1/chat/completions", headers=None, **body):
        return self.s.call("POST", path, key=key, headers=headers, json_body={
            "model": "m1", "messages": [{"role": "user", "content": "hello"}],
            "input": "hello", "max_tokens": 16, **body})

    def refused(self, a, code, message, dimension="requests", scope="key"):
        self.assertEqual(a.status, 429, a.body)
        e, wait = a.error, int(a.headers["Retry-After"])
        self.assertEqual(e["code"], code)
        self.assertEqual(e["message"], message.format(wait))
        self.assertEqual((e["dimension"], e["scope"]), (dimension, scope))
        self.assertGreaterEqual(wait, 1)
        return wait

    @staticmethod
    def early_in_the_minute():
        until(lambda: time.time() % 60 < 50, 20, "room in the minute", 0.2)

    def test_account(self):
        name, key = self.caller("--preset", "account-pro", "--limit",
                                "requests/1m=3", "--limit", "requests/1d=10k")
        self.early_in_the_minute()
        second = self.key(name)
        left = []
        for k in (key, second, key):
            a = self.ask(k)
            self.assertEqual(a.status, 200, a.body)
            self.assertNotIn("Retry-After", a.headers)
            left.append(a.headers["X-RateLimit-Remaining-Requests"])
        self.assertEqual(left, ["2", "1", "0"])
        a = self.ask(second)
        wait = self.refused(a, "AUTH_1028", "Rate limit exceeded. Please retry "
                            "after {} seconds.", scope="account")
        self.assertAlmostEqual(wait, 60 - time.time() % 60, delta=1.5)
        self.assertEqual(a.headers["X-RateLimit-Limit-Requests"], "3")
        self.assertEqual(a.headers["X-RateLimit-Remaining-Requests"], "0")
        self.assertAlmostEqual(int(a.headers["X-RateLimit-Reset-Requests"]),
                               wait, delta=1)
        # Batches do not meet it.
        self.assertEqual(self.s.upload(lines(1), key=key).status, 200)

    def test_priority_counts_resources_apart(self):
        _, key = self.caller("--preset", "priority-basic", "--limit",
                             "requests/1m=2", "--max-priority", "high")
        self.early_in_the_minute()
        for used in ("1", "2"):
            a = self.ask(key, headers={"X-Request-Priority": "2"})
            self.assertEqual(a.status, 200, a.body)
            self.assertEqual(
                [a.headers[f"X-RateLimit-{x}"] for x in
                 ("Limit", "Remaining", "Used", "Resource")],
                ["2", str(2 - int(used)), used, "chat"])
            self.assertEqual(a.headers["X-Request-Priority"], "2")
        a = self.ask(key)
        wait = self.refused(a, "rate_limit_exceeded", "Rate limit exceeded. "
                            "Please retry after {} seconds.")
        self.assertEqual(a.error["type"], "rate_limit_error")
        self.assertEqual(int(a.headers["X-RateLimit-Reset"]) % 60, 0)
        self.assertAlmostEqual(time.time() + wait,
                               int(a.headers["X-RateLimit-Reset"]), delta=1.5)
        a = self.ask(key, "/v1/embeddings")
        self.assertEqual(a.status, 200, a.body)
        self.assertEqual(a.headers["X-RateLimit-Resource"], "embeddings")
        self.assertEqual(a.headers["X-RateLimit-Used"], "1")
        self.assertEqual(a.headers["X-Request-Priority"], "3")
        a = self.ask(key, headers={"X-Request-Priority": "4"})
        self.assertEqual((a.status, a.error["param"]), (400, "X-Request-Priority"))

    def test_chunks_are_requests_and_models_have_limits_of_their_own(self):
        _, key = self.caller("--preset", "chunks-pro", "--limit",
                             "requests/1m=50", "--limit", "gpt-4:requests/1m=1")
        a = self.ask(key)
        self.assertEqual(a.headers["x-ratelimit-remaining"], "49")
        began = time.time()
        self.assertEqual(self.ask(key, stream=True).status, 200)
        left = until(lambda: (lambda n: n if n < 47 else 0)(int(self.s.get(
            "/v1/files", key=key).headers["x-ratelimit-remaining"])), 20,
            "each chunk counts")
        self.assertLess(left, 47)
        self.assertEqual(self.ask(key, model="gpt-4").status, 200)
        a = self.ask(key, model="gpt-4")
        wait = self.refused(a, "rate_limit_exceeded", "You have exceeded your "
                            "request rate limit. Please try again after {} "
                            "seconds.")
        self.assertEqual(a.error["status"], 429)
        self.assertAlmostEqual(began + 60, time.time() + wait, delta=2)
        self.assertEqual(a.headers["x-ratelimit-limit"], "50")

    def test_relay_and_what_is_too_large(self):
        _, key = self.caller("--preset", "relay-default", "--limit",
                             "requests/1m=2", "--limit", "tokens/1m=100")
        a = self.ask(key, messages=[{"role": "user", "content": "x" * 4000}])
        self.assertEqual((a.status, a.error["code"]),
                         (429, "request_exceeds_limit"))
        self.assertNotIn("Retry-After", a.headers)
        self.assertEqual(a.headers["x-should-retry"], "false")
        self.assertEqual(a.headers["X-RateLimit-Remaining"], "2")
        for left in ("1", "0"):
            a = self.ask(key)
            self.assertEqual((a.status, a.headers["X-RateLimit-Remaining"]),
                             (200, left), a.body)
        wait = self.refused(self.ask(key), "rate_limit_exceeded",
                            "Rate limit exceeded. Please try again in {} "
                            "seconds.")
        self.assertAlmostEqual(wait, 61, delta=2)

    def test_named_thresholds_count_for_each_key_and_model(self):
        _, key = self.caller()
        other, second = self.caller()
        model = serial("gpt-")
        p = sluice("limit", "create", f"named-{model}", "--requests", "2/1d",
                   "--tokens", "1m/1d", "--key", other, "--model", model,
                   url=self.url)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(self.ask(key, model=model).status, 200)
        self.assertEqual(self.ask(second, model=model).status, 200)
        a = self.ask(key, model=model)
        self.assertEqual((a.status, a.error["scope"], a.error["type"]),
                         (429, "model", "requests"))
        self.assertAlmostEqual(int(a.headers["Retry-After"]),
                               86400 - time.time() % 86400, delta=2)
        self.assertEqual(self.ask(second).status, 200)
        a = self.ask(second)
        self.assertEqual((a.status, a.error["scope"]), (429, "key"))
        self.assertEqual(a.headers["x-ratelimit-remaining-requests"], "0")
        # An edit acts at once, in the day that runs.
        for amount, status in (("3/1d", 200), ("3/1d", 429), ("1/1d", 429),
                               ("4/1d", 200)):
            p = sluice("limit", "edit", f"named-{model}", "--requests", amount,
                       url=self.url)
            self.assertEqual(p.returncode, 0, p.stderr)
            self.assertEqual(self.ask(second).status, status, amount)
        text = sluice("limit", "list", url=self.url).stdout
        self.assertRegex(text, rf"named-{model}.* requests 4/4.*{model} requests "
                         r"2/4")

    def test_who_waits_as_told_passes(self):
        for word in ("sliding", "fixed", "anchored", "bucket"):
            with self.subTest(word):
                _, key = self.caller("--limit", f"requests/3s=2:{word}")
                passed = waited = 0
                while passed < 5:
                    a = self.ask(key)
                    if a.status == 429:
                        wait = int(a.headers["Retry-After"])
                        self.assertLessEqual(wait, 4)
                        waited += 1
                        time.sleep(wait)
                        a = self.ask(key)
                    self.assertEqual(a.status, 200, a.body)
                    passed += 1
                self.assertGreaterEqual(waited, 1)


if __name__ == "__main__":
    unittest.main()
