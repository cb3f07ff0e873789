"""What operators set for callers, and what callers are told of it."""
import json
import os
import time
import unittest

from e2e.harness import Sluice, Upstream, folder, lines, raw, serial, until
from e2e.test_cli import sluice, write

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


class Callers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = Sluice(workers=0)
        cls.url = f"http://127.0.0.1:{cls.s.port}"

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()

    def ok(self, *args, **more):
        p = sluice(*args, url=self.url, **more)
        self.assertEqual(p.returncode, 0, (args, p.stderr))
        return p.stdout

    def bad(self, code, *args, **more):
        p = sluice(*args, url=self.url, **more)
        self.assertEqual(p.returncode, code, (args, p.stdout, p.stderr))
        return p.stderr

    def post(self, path, doc, status=200):
        a = self.s.call("POST", path, json_body=doc)
        self.assertEqual(a.status, status, a.body)
        return a.json

    def key(self, account, *args):
        return self.ok("key", "create", "--account", account, *args).strip()

    def caller(self, *plan):
        """A plan, an account that has it, a key of that."""
        name = serial("caller")
        self.ok("plan", "add", name, *plan)
        self.ok("account", "create", name, "--plan", name)
        return name, self.key(name, "--name", name)

    def headers(self, key, path="/v1/files"):
        """As they stand in the answer, letter by letter."""
        head = raw(self.s.port, f"GET {path} HTTP/1.1\r\nHost: x\r\n"
                   f"Authorization: Bearer {key}\r\nConnection: close\r\n\r\n"
                   .encode()).split(b"\r\n\r\n")[0].decode()
        return dict(x.split(": ", 1) for x in head.split("\r\n")[1:])

    def use(self, name, units, window=60, suffix=""):
        """As the door leaves it: so much has been used just now."""
        self.s.sql(f"""
            with l as (select l.*, case l.per when 'key' then 'key:' || k.id
                    else 'account:' || a.id end || '{suffix}' as subject
                from sluice.plan p join sluice.caller_limit l on l.plan_id = p.id
                join sluice.account a on a.plan_id = p.id
                join sluice.api_key k on k.account_id = a.id
                where p.name = '{name}' and l.dimension = 'requests'
                    and l.window_s = {window} and l.model = '*'
            ), c as (insert into sluice.caller_cell
                select id, subject, floor(extract(epoch from clock_timestamp())),
                    {units} from l where algorithm = 'sliding')
            insert into sluice.caller_state (limit_id, subject, used, since)
            select id, subject, {units}, clock_timestamp() from l""")

    # What answers say ------------------------------------------------------

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

    # What operators may say --------------------------------------------------

    def test_what_is_wrong_is_named(self):
        def limit(**more):
            return {"name": "wrong", "limits": [
                {"dimension": "requests", "window_s": 60, "amount": 1, **more}]}
        many = [{"dimension": "requests", "window_s": i + 1, "amount": 1}
                for i in range(65)]
        for path, doc, param in (
                ("plans", {}, "name"), ("plans", {"name": 5}, "name"),
                ("plans", {"name": "a" * 101}, "name"),
                ("plans", {"name": "a@b"}, "name"),
                ("plans", {"name": "a", "dialekt": "x"}, "dialekt"),
                ("plans", {"name": "a", "dialect": "x"}, "dialect"),
                ("plans", {"name": "a", "max_priority": 5}, "max_priority"),
                ("plans", {"name": "a", "max_priority": 0}, "max_priority"),
                ("plans", {"name": "a", "max_priority": None}, "max_priority"),
                ("plans", {"name": "a", "limits": {}}, "limits"),
                ("plans", {"name": "a", "limits": [5]}, "limits"),
                ("plans", {"name": "a", "limits": many}, "limits"),
                ("plans", {"name": "a", "limits": many[:2] + many[:1]}, "limits"),
                ("plans", limit(dimension="words"), "limits.dimension"),
                ("plans", limit(amount=-1), "limits.amount"),
                ("plans", limit(amount=10 ** 15 + 1), "limits.amount"),
                ("plans", limit(amount=1.5), "limits.amount"),
                ("plans", {"name": "a", "limits": [{"dimension": "requests",
                                                    "window_s": 1}]},
                 "limits.amount"),
                ("plans", limit(window_s=0), "limits.window_s"),
                ("plans", limit(window_s=31 * 86400 + 1), "limits.window_s"),
                ("plans", limit(dimension="concurrent"), "limits.window_s"),
                ("plans", limit(algorithm="leaky"), "limits.algorithm"),
                ("plans", limit(model="m" * 257), "limits.model"),
                ("plans", limit(model=""), "limits.model"),
                ("plans", limit(each_model=1), "limits.each_model"),
                ("plans", limit(resource="video"), "limits.resource"),
                ("plans", limit(resource="chat", each_resource=True),
                 "limits.each_resource"),
                ("plans", limit(per="planet"), "limits.per"),
                ("plans", limit(per="attached"), "limits.per"),
                ("plans", limit(action="beg"), "limits.action"),
                ("plans", limit(applies="never"), "limits.applies"),
                ("plans", limit(action="shape", applies="live"),
                 "limits.applies"),
                ("plans", limit(action="shape", amount=0), "limits.amount"),
                ("plans", limit(dimension="tokens", stream_cost="chunk"),
                 "limits.stream_cost"),
                ("plans", limit(zone="Europe/Atlantis"), "limits.zone"),
                ("plans", limit(zone="Z" * 65), "limits.zone"),
                ("plans", limit(algorithm="bucket", zone="Europe/Berlin"),
                 "limits.zone"),
                ("accounts", {"name": "a", "weight": 1001}, "weight"),
                ("accounts", {"name": "a", "weight": 0}, "weight"),
                ("accounts", {"name": "a", "cache": "yes"}, "cache"),
                ("accounts", {"name": "a", "plan": 7}, "plan"),
                ("keys", {"name": "a"}, "account"),
                ("keys", {"account": "default", "scopes": []}, "scopes"),
                ("keys", {"account": "default", "scopes": ["fly"]}, "scopes"),
                ("keys", {"account": "default", "scopes": ["read"] * 9},
                 "scopes"),
                ("keys", {"account": "default", "expires_at": "soon"},
                 "expires_at"),
                ("keys", {"account": "default", "expires_at": 253402300800},
                 "expires_at"),
                ("keys", {"account": "default", "expires_at": 1}, "expires_at"),
                ("limits", {"name": "abcd"}, "name"),
                ("limits", {"name": "a" * 101}, "name"),
                ("limits", {"name": "Upper-case"}, "name"),
                ("limits", {"name": "abcde"}, "limits"),
                ("limits", {"name": "abcde", "limits": []}, "limits"),
                ("limits", {**limit(), "name": "abcde", "keys": "k"}, "keys"),
                ("limits", {**limit(), "name": "abcde",
                            "models": ["m"] * 1001}, "models"),
                ("limits", {**limit(), "name": "abcde", "models": ["m" * 257]},
                 "models"),
                ("limits", {**limit(dimension="money"), "name": "abcde"},
                 "limits.dimension"),
                ("limits", {"name": "abcde", "limits": [
                    {"dimension": "requests", "window_s": w, "amount": 1}
                    for w in (60, 3600)]}, "limits"),
                ("everybody", {}, "limits"),
                ("plans/nope", {"name": "nope"}, "name")):
            with self.subTest(f"{path} {str(doc)[:100]}"):
                a = self.s.call("POST", f"/admin/v1/{path}", json_body=doc)
                self.assertEqual((a.status, a.error["param"]), (400, param),
                                 a.body)
                if not path.endswith("nope") and path != "everybody":
                    b = self.s.call("POST", "/admin/v1/apply", json_body={
                        {"limits": "named_limits"}.get(path, path): [doc]})
                    if path != "keys" and param != "limits" and doc.get("name"):
                        self.assertEqual((b.status, b.error["param"]),
                                         (400, param), b.body)
        for path, doc in (("plans/nope", {}), ("accounts/nope", {}),
                          ("keys/key_999", {}), ("keys/nope", {}),
                          ("limits/nope-nope", {}),
                          ("accounts", {"name": "x", "plan": "nope"})):
            self.post(f"/admin/v1/{path}", doc, 404)
        for path in ("plans", "accounts", "keys", "limits"):
            self.assertEqual(self.s.get(f"/admin/v1/{path}/%ff").status, 404)
        for name in ("a" * 100, "limit-at-the-most"):
            self.post("/admin/v1/plans", {
                "name": name, "limits": many[:64] if name[0] == "l" else []})
        self.post("/admin/v1/limits", {"name": "exact", "limits": limit()[
            "limits"], "models": [f"m{i}" for i in range(1000)]})

    def test_scopes_guard_it(self):
        _, key = self.caller("--limit", "requests/1m=5")
        for path in ("plans", "limits", "everybody", "accounts", "keys"):
            self.assertEqual(self.s.get(f"/admin/v1/{path}", key=key).status, 403)

    def test_named_limits_from_birth_to_end(self):
        name, _ = self.caller("--limit", "requests/1m=5")
        self.ok("limit", "create", "rate-limit-01", "--requests", "50/1d",
                "--tokens", "1m/1d", "--key", name, "--model", "gpt-5",
                "--zone", "Europe/Berlin")
        self.bad(1, "limit", "create", "rate-limit-01", "--requests", "5/1d")
        doc = json.loads(self.ok("limit", "show", "rate-limit-01", "--json"))
        self.assertEqual(doc["status"], "ACTIVE")
        self.assertEqual(doc["models"], ["gpt-5"])
        self.assertEqual(doc["key_names"], [name])
        self.assertEqual([(x["dimension"], x["window_s"], x["amount"], x["zone"],
                           x["algorithm"]) for x in doc["limits"]],
                         [("requests", 86400, 50, "Europe/Berlin", "fixed"),
                          ("tokens", 86400, 1000000, "Europe/Berlin", "fixed")])
        self.assertEqual(len(doc["used"]), 4)
        self.s.sql(f"""insert into sluice.caller_state (limit_id, subject, used)
            select l.id, 'model:gpt-5', 12 from sluice.caller_limit l
            where l.named_id is not null and l.dimension = 'requests'
                and l.amount = 50""")
        self.ok("limit", "edit", "rate-limit-01", "--requests", "30/1d")
        text = self.ok("limit", "list")
        self.assertRegex(text, r"rate-limit-01\tACTIVE\trequests/1d=30:fixed@"
                         r"Europe/Berlin tokens/1d=1m:fixed@Europe/Berlin\tgpt-5"
                         r"\tkey_\d+\t.*gpt-5 requests 12/30")
        self.ok("limit", "edit", "rate-limit-01", "--no-key", name, "--model",
                "gpt-6", "--no-tokens")
        doc = json.loads(self.ok("limit", "show", "rate-limit-01", "--json"))
        self.assertEqual((doc["models"], doc["keys"], len(doc["limits"])),
                         (["gpt-5", "gpt-6"], [], 1))
        self.assertIn("--yes", self.bad(2, "limit", "delete", "rate-limit-01"))
        self.ok("limit", "delete", "rate-limit-01", "--yes")
        self.bad(5, "limit", "show", "rate-limit-01")

    def test_keys_expire_and_know_their_priority(self):
        name, key = self.caller("--max-priority", "normal")
        self.assertEqual(self.s.get("/v1/files", key=key).status, 200)
        out = self.ok("key", "edit", name, "--expires", "90d", "--json")
        self.assertAlmostEqual(json.loads(out)["expires_at"],
                               time.time() + 90 * 86400, delta=60)
        self.ok("key", "edit", name, "--expires", "2099-12-31")
        self.assertIn("2099-12-31", self.ok("key", "show", name))
        self.bad(2, "key", "edit", name, "--expires", "soon")
        self.s.path(type("", (), {"url": "http://127.0.0.1:9"}), name="prio")
        up = self.s.upload(lines(1), key=key).json["id"]
        a = self.s.batch(up, key=key, sluice={"priority": 3})
        self.assertEqual((a.status, a.error["param"]), (400, "sluice.priority"))
        self.assertEqual(self.s.batch(up, key=key).json["sluice"]["priority"], 2)
        self.ok("key", "edit", name, "--max-priority", "low")
        self.assertEqual(self.s.batch(up, key=key).json["sluice"]["priority"], 1)
        self.ok("key", "edit", name, "--expires", "never")
        self.s.sql(f"update sluice.api_key set expires_at = now() where name = "
                   f"'{name}'")
        self.assertEqual(self.s.get("/v1/files", key=key).status, 401)

    def test_a_file_says_all_of_it(self):
        name = serial("applied")
        self.key("default", "--name", name)
        text = f"""
            [plan {name}]
            preset = chunks-pro
            limit = requests/1m=30

            [account {name}]
            plan = {name}
            weight = 3
            limit = requests/1h=5000:shape

            [limit limit-{name}]
            requests = 50/1d
            zone = Europe/Berlin
            key = {name}
            model = gpt-5
            model = gpt-6

            [everybody]
            limit = concurrent=500
        """
        path = write("\n".join(x.strip() for x in text.splitlines()) + "\n")
        dry = self.ok("apply", "-f", path, "--dry-run")
        self.assertIn(f"plan {name}: added (dialect chunks", dry)
        self.assertIn(f"plan {name}: limit requests/1m = 30 added (anchored, per "
                      "key, for live)", dry)
        self.assertIn(f"limit limit-{name}: model gpt-6 attached", dry)
        self.bad(5, "plan", "show", name)
        self.assertEqual(self.ok("apply", "-f", path), dry)
        self.assertEqual(self.ok("apply", "-f", path), "")
        doc = json.loads(self.ok("account", "show", name, "--json"))
        self.assertEqual((doc["plan"], doc["weight"]), (name, 3))
        self.assertEqual([(x["action"], x["applies"], x["window_s"], x["amount"])
                          for x in doc["limits"]],
                         [("shape", "batch", 3600, 5000)])
        # Pruned is only what the file speaks of.
        self.s.apply({"paths": [{"name": "keep", "url": "http://127.0.0.1:9",
                                 "models": ["*"]}]})
        ups = write("[path keep]\nurl = http://127.0.0.1:9\nmodels = *\n")
        self.assertNotIn("plan", self.ok("apply", "-f", ups, "--prune",
                                         "--dry-run"))
        self.assertIn(f"plan {name}: limit requests/1m = 30 removed",
                      self.ok("apply", "-f", write(
                          f"[plan {name}]\n[account {name}]\nplan = {name}\n"
                          "[path keep]\nurl = http://127.0.0.1:9\nmodels = *\n"),
                          "--dry-run", "--prune"))
        for wrong, said in (("[plan x]\nurl = y\n", "plan has no setting url"),
                            ("[plan x]\nlimit = requests=5\n", "needs a window"),
                            ("[limit abcde]\nno-key = x\n", "has no setting"),
                            ("[team x]\n", "sections are"),
                            ("[everybody]\n[everybody]\n", "twice"),
                            ("[plan x]\npreset = nope\n", "no preset nope"),
                            ("[plan x]\npreset = account-pro\n", "requests/1m")):
            self.assertIn(said, self.bad(1, "apply", "-f", write(wrong)))
        self.ok("everybody", "edit", "--no-limit", "concurrent")

    def test_edits_say_what_they_do(self):
        name, _ = self.caller("--limit", "requests/1m=5", "--limit",
                              "money/1d=12.50")
        self.ok("plan", "edit", name, "--limit", "requests/1m=6", "--dialect",
                "relay")
        self.assertIn("requests/1m=6", self.ok("plan", "show", name))
        self.assertIn("money/1d=12.5:fixed", self.ok("plan", "show", name))
        self.assertIn("nothing is given", self.bad(2, "plan", "edit", name))
        self.assertIn(f"account {name}", self.bad(1, "plan", "remove", name))
        self.ok("account", "edit", name, "--plan", "none")
        self.ok("plan", "remove", name)
        self.bad(5, "plan", "show", name)
        for command in ("plan add", "plan edit", "account edit", "key create",
                        "limit create", "limit delete", "everybody edit"):
            self.assertIn("Examples:", self.ok("help", *command.split()))


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
