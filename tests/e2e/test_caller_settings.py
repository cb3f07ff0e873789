"""What operators set for callers."""
import json
import time
import unittest

from e2e.callers import CallersCase
from e2e.cli import write
from e2e.harness import lines, serial


class Settings(CallersCase):
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

if __name__ == "__main__":
    unittest.main()
