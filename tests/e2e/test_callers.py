"""What callers are told of their limits."""
import os
import time
import unittest

from e2e.callers import CallersCase
from e2e.harness import Sluice, folder, serial, until

# The tiers as their providers publish them: what a key may do a minute.
TIERS = {
    "priority-free": (10, 60), "priority-basic": (50, 60),
    "priority-pro": (100, 60), "chunks-free": (10, 60), "chunks-pro": (60, 60),
    "chunks-business": (300, 60), "relay-default": (100, 60),
}
# Of those whose amounts are agreed upon.
AGREED = {
    "account-free": ["requests/1m=20", "requests/1d=200"],
    "account-pro": ["requests/1m=300", "requests/1d=10k"],
    "account-enterprise": ["requests/1h=5000"],
    "chunks-enterprise": ["requests/1m=900", "requests/1d=1m", "concurrent=99"],
}
LIMITS = {
    "priority-free": {("requests", 60, 10), ("tokens", 60, 40000),
                      ("requests", 86400, 500)},
    "priority-basic": {("requests", 60, 50), ("tokens", 60, 200000),
                       ("requests", 86400, 10000)},
    "priority-pro": {("requests", 60, 100), ("tokens", 60, 1000000),
                     ("requests", 86400, 100000)},
    "priority-enterprise": set(),
    "chunks-free": {("requests", 60, 10), ("requests", 86400, 1000),
                    ("concurrent", 0, 2)},
    "chunks-pro": {("requests", 60, 60), ("requests", 86400, 10000),
                   ("concurrent", 0, 5)},
    "chunks-business": {("requests", 60, 300), ("requests", 86400, 100000),
                        ("concurrent", 0, 25)},
    "relay-default": {("requests", 60, 100), ("tokens", 60, 500000),
                      ("concurrent", 0, 10)},
}
MODEL_LIMITS = {("gpt-4", "requests", 10), ("gpt-4", "tokens", 10000),
                ("gpt-3.5-turbo*", "requests", 20),
                ("gpt-3.5-turbo*", "tokens", 40000),
                ("claude-2*", "requests", 10), ("claude-2*", "tokens", 15000),
                ("claude-instant*", "requests", 20),
                ("claude-instant*", "tokens", 40000)}


class Callers(CallersCase):
    def test_each_documented_tier_has_its_limits(self):
        for preset in {**LIMITS, **AGREED}:
            with self.subTest(preset):
                name = serial("tier")
                self.ok("plan", "add", name, "--preset", preset,
                        *(w for x in AGREED.get(preset, ())
                          for w in ("--limit", x)))
                plan = self.s.get(f"/admin/v1/plans/{name}").json
                dialect = preset.split("-")[0]
                self.assertEqual(plan["dialect"], dialect)
                got = {(x["dimension"], x["window_s"], x["amount"])
                       for x in plan["limits"] if x["model"] == "*"}
                if preset in LIMITS:
                    self.assertEqual(got, LIMITS[preset])
                models = {(x["model"], x["dimension"], x["amount"])
                          for x in plan["limits"] if x["model"] != "*"}
                self.assertEqual(models, MODEL_LIMITS if dialect == "chunks"
                                 else set())
                for x in plan["limits"]:
                    self.assertEqual(x["per"], "account" if dialect == "account"
                                     else "key")
                    self.assertEqual(x["stream_cost"], "chunk" if dialect ==
                                     "chunks" and x["dimension"] == "requests"
                                     else "once")
                    if x["window_s"]:
                        self.assertEqual(x["algorithm"], {
                            "account": "fixed", "priority": "fixed",
                            "chunks": "anchored", "relay": "sliding"}[dialect])
                    self.assertEqual(x["each_resource"], dialect == "priority"
                                     and x["dimension"] == "requests"
                                     and x["window_s"] == 60)

    def test_account_speaks_in_seconds(self):
        name, key = self.caller("--preset", "account-pro", "--limit",
                                "requests/1m=300", "--limit", "requests/1d=10k")
        h = self.headers(key)
        self.assertEqual(h["X-RateLimit-Limit-Requests"], "300")
        self.assertEqual(h["X-RateLimit-Remaining-Requests"], "300")
        self.use(name, 50)
        before = time.time()
        h = self.headers(key)
        left = 60 - before % 60
        self.assertIn(h["X-RateLimit-Remaining-Requests"], ("250", "300"))
        self.assertLessEqual(
            min(abs(int(h["X-RateLimit-Reset-Requests"]) - x)
                for x in (left, left + 60)), 2)
        self.assertNotIn("Retry-After", h)
        # Keys share one bucket.
        second = self.headers(self.key(name))
        self.assertEqual(second["X-RateLimit-Limit-Requests"], "300")

    def test_an_hour_instead_of_a_minute(self):
        _, key = self.caller("--preset", "account-enterprise", "--limit",
                             "requests/1h=5000")
        h = self.headers(key)
        self.assertEqual(h["X-RateLimit-Limit-Requests"], "5000")
        self.assertLessEqual(int(h["X-RateLimit-Reset-Requests"]), 3600)

    def test_priority_speaks_of_resource_use_and_priority(self):
        name, key = self.caller("--preset", "priority-basic")
        self.use(name, 3, suffix="|chat")
        until(lambda: time.time() % 60 < 57, 20, "room in the minute", 0.2)
        before = time.time()
        h = self.headers(key)
        self.assertEqual(h["X-RateLimit-Limit"], "50")
        self.assertEqual(h["X-RateLimit-Resource"], "chat")
        self.assertEqual(h["X-Request-Priority"], "4")
        self.assertEqual(int(h["X-RateLimit-Used"])
                         + int(h["X-RateLimit-Remaining"]), 50)
        self.assertIn(h["X-RateLimit-Used"], ("0", "3"))
        self.assertEqual(int(h["X-RateLimit-Reset"]), before // 60 * 60 + 60)
        # Unlimited: nothing to say of a limit.
        _, key = self.caller("--preset", "priority-enterprise",
                             "--max-priority", "high")
        h = self.headers(key)
        self.assertEqual(h["X-Request-Priority"], "3")
        self.assertNotIn("X-RateLimit-Limit", h)

    def test_chunks_speak_in_lower_case_from_the_first_request_on(self):
        name, key = self.caller("--preset", "chunks-pro")
        self.assertEqual(self.headers(key)["x-ratelimit-remaining"], "60")
        self.use(name, 1)
        now = time.time()
        h = self.headers(key)
        self.assertEqual(h["x-ratelimit-limit"], "60")
        self.assertEqual(h["x-ratelimit-remaining"], "59")
        self.assertAlmostEqual(int(h["x-ratelimit-reset"]), now + 60, delta=2)
        self.assertNotIn("X-RateLimit-Limit", h)

    def test_relay_speaks_of_the_last_minute(self):
        name, key = self.caller("--preset", "relay-default")
        self.use(name, 13)
        now = time.time()
        h = self.headers(key)
        self.assertEqual(h["X-RateLimit-Limit"], "100")
        self.assertEqual(h["X-RateLimit-Remaining"], "87")
        self.assertAlmostEqual(int(h["X-RateLimit-Reset"]), now + 61, delta=2)

    def test_openai_and_ietf(self):
        _, key = self.caller("--limit", "requests/1m=5000:bucket")
        h = self.headers(key)
        self.assertEqual(h["x-ratelimit-limit-requests"], "5000")
        self.assertEqual(h["x-ratelimit-remaining-requests"], "5000")
        self.assertEqual(h["x-ratelimit-reset-requests"], "0s")
        _, key = self.caller("--dialect", "ietf", "--limit", "requests/1m=50")
        h = self.headers(key)
        self.assertEqual(h["RateLimit-Policy"], '"requests/1m";q=50;w=60')
        self.assertTrue(h["RateLimit"].startswith('"requests/1m";r=50;t='))

    def test_every_answer_says_it(self):
        _, key = self.caller("--preset", "relay-default")
        for path in ("/v1/files", "/v1/batches", "/v1/files/nope",
                     "/admin/v1/keys"):
            self.assertEqual(self.headers(key, path)["X-RateLimit-Limit"], "100")
        for path in ("/v1/nope", "/healthz"):
            self.assertNotIn("X-RateLimit-Limit", self.headers(key, path))
        self.assertNotIn("X-RateLimit-Limit",
                         self.headers("sk-slc-" + "X" * 43))

    def test_the_nearest_limit_is_the_one(self):
        name, key = self.caller("--preset", "relay-default")
        self.ok("account", "edit", name, "--limit", "requests/1m=7")
        self.assertEqual(self.headers(key)["X-RateLimit-Limit"], "7")
        self.ok("key", "edit", name, "--limit", "requests/1m=8")
        self.assertEqual(self.headers(key)["X-RateLimit-Limit"], "8")
        self.ok("key", "edit", name, "--no-limit", "requests/1m")
        self.ok("account", "edit", name, "--no-limit", "requests/1m")
        self.assertEqual(self.headers(key)["X-RateLimit-Limit"], "100")
        self.ok("account", "edit", name, "--plan", "none")
        self.assertNotIn("X-RateLimit-Limit", self.headers(key))


class AdminListener(unittest.TestCase):
    def test_the_admin_api_may_have_a_listener_of_its_own(self):
        port_file = os.path.join(folder(), serial("admin"))
        s = Sluice(workers=0, scheduler_options=(
            "--admin-listen", "127.0.0.1:0", "--admin-port-file", port_file))
        with open(port_file) as f:
            admin = int(f.read())
        for port, path, status in (
                (s.port, "/admin/v1/plans", 404), (s.port, "/v1/files", 200),
                (s.port, "/healthz", 200), (admin, "/admin/v1/plans", 200),
                (admin, "/v1/files", 404), (admin, "/readyz", 200)):
            self.assertEqual(s.get(path, port=port).status, status, path)
        s.stop()


if __name__ == "__main__":
    unittest.main()
