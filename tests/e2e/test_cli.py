"""The command line, as people and scripts use it."""
import gzip
import json
import os
import signal
import unittest

from e2e.cli import sluice, write
from e2e.harness import (KEY, Process, Sluice, Upstream, folder, line, lines,
                         program, serial, until)


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.up = Upstream("--fault-match", "bad=400")
        cls.s = Sluice()
        cls.s.path(cls.up)
        cls.url = f"http://127.0.0.1:{cls.s.port}"

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()
        cls.up.stop()

    def run_ok(self, *args, **more):
        p = sluice(*args, url=self.url, **more)
        self.assertEqual(p.returncode, 0, p.stderr)
        return p.stdout

    def run_bad(self, code, *args, **more):
        p = sluice(*args, **{"url": self.url, **more})
        self.assertEqual(p.returncode, code, (p.stdout, p.stderr))
        self.assertTrue(p.stderr.strip() or code in (3, 7, 8))
        return p.stderr

    def test_submit_and_wait_and_results(self):
        out = os.path.join(folder(), serial("out"))
        text = self.run_ok("submit", write(lines(20)), "--wait", "-o", out,
                           "-m", "a=b", "--priority", "high", "--within", "2h")
        batch = text.strip()
        self.assertRegex(batch, r"^batch_[0-9a-f]{32}$")
        with open(out) as f:
            got = [json.loads(x) for x in f]
        self.assertEqual({x["custom_id"] for x in got},
                         {f"r-{i}" for i in range(20)})
        shown = json.loads(self.run_ok("show", batch, "--json"))
        self.assertEqual(shown["metadata"], {"a": "b"})
        self.assertEqual(shown["sluice"]["priority"], 3)
        self.assertEqual(shown["completion_window"], "2h")
        self.assertIn(batch, self.run_ok("list"))
        self.assertEqual(self.run_ok("results", batch).count("\n"), 20)
        self.run_ok("watch", batch)

    def test_json_is_json_and_nothing_else(self):
        for args in (["list"], ["files", "list"], ["path", "list"],
                     ["pool", "list"], ["worker", "list"], ["key", "list"],
                     ["account", "list"], ["path", "show", "sim"]):
            with self.subTest(args):
                p = sluice(*args, "--json", url=self.url)
                self.assertEqual(p.returncode, 0, p.stderr)
                json.loads(p.stdout)
        p = sluice("submit", write(lines(3)), "--wait", "--json", url=self.url)
        for text in p.stdout.splitlines():
            json.loads(text)

    def test_tables_are_tsv_when_piped(self):
        self.run_ok("submit", write(lines(1)), "--wait")
        rows = self.run_ok("list").splitlines()
        self.assertGreater(rows[0].count("\t"), 2)
        self.assertTrue(all(r.count("\t") == rows[0].count("\t") for r in rows))

    def test_standard_input(self):
        p = sluice("submit", "-", "--wait", url=self.url, stdin=lines(5))
        self.assertEqual(p.returncode, 0, p.stderr)

    def test_exit_codes(self):
        bad = write(line("a") + "\n" + line("b", "bad") + "\n")
        self.run_bad(3, "submit", bad, "--wait")
        self.run_bad(1, "submit", write(line("a") + "\n{\n"), "--wait")
        self.run_bad(2, "submit")
        self.run_bad(2, "nonsense")
        self.run_bad(2, "submit", write(lines(1)), "--within", "5")
        self.run_bad(2, "submit", write(lines(1)), "--priority", "9")
        self.run_bad(4, "list", key="sk-slc-" + "x" * 43)
        self.run_bad(5, "show", "batch_" + "0" * 32)
        self.run_bad(75, "list", url="http://127.0.0.1:9")
        self.run_bad(1, "submit", "/nonexistent")
        self.run_bad(1, "submit", write(""))

    def test_errors_say_what_to_do(self):
        self.assertIn("line 2", self.run_bad(
            1, "submit", write(line("a") + "\n" + line("a") + "\n"),
            "--wait").lower())
        self.assertIn("\"sumbit\"; did you mean \"submit\"",
                      self.run_bad(2, "sumbit", write(lines(1))))
        self.assertIn("sluice help submit",
                      self.run_bad(2, "submit", "--prioriti", "3", "x"))
        for data, advice in (("[\n{}\n]\n", "jq -c '.[]'"),
                             ("[{}]\n", "jq -c '.[]'"),
                             ("{\n}\n", "jq -c . FILE")):
            self.assertIn(advice, self.run_bad(1, "submit", write(data)))
        packed = write("")
        with gzip.open(packed, "wt") as f:
            f.write(lines(1))
        self.assertIn("zcat", self.run_bad(1, "submit", packed))
        self.assertIn("behind /v1", self.run_bad(
            1, "path", "add", "x", "--models", "*", "--url",
            "https://example.org/v1/chat/completions"))
        for where in ("localhost:99999", "example.org:80", "8080"):
            self.assertIn("not ADDRESS:PORT", self.run_bad(
                2, "up", "--listen", where))

    def test_where_results_go_is_looked_at_first(self):
        before = len(json.loads(self.run_ok("files", "list", "--json"))["data"])
        source = write(lines(2))
        self.assertIn("is the input file", self.run_bad(
            1, "submit", source, "--wait", "-o", source))
        self.assertIn("/nonexistent/out: No such file", self.run_bad(
            1, "submit", source, "--wait", "-o", "/nonexistent/out"))
        self.assertIn("Is a directory", self.run_bad(
            1, "submit", source, "--wait", "-o", folder()))
        # nor does a file stay that no batch is made of
        self.assertIn("metadata", self.run_bad(
            1, "submit", source, "-m", "k" * 65 + "=v"))
        files = json.loads(self.run_ok("files", "list", "--json"))["data"]
        self.assertEqual(len(files), before)
        with open(source) as f:
            self.assertEqual(f.read(), lines(2))

    def test_errors_of_an_earlier_run_go(self):
        out = os.path.join(folder(), serial("out"))
        bad = write(line("a") + "\n" + line("b", "bad") + "\n")
        self.run_bad(3, "submit", bad, "--wait", "-o", out)
        self.assertTrue(os.path.exists(out + ".errors.jsonl"))
        self.run_ok("submit", write(lines(2)), "--wait", "-o", out)
        self.assertFalse(os.path.exists(out + ".errors.jsonl"))

    def test_failed_lines_are_sent_again(self):
        source = write("".join(
            line(f"x{i}", "bad" if i % 2 else "good") + "\n"
            for i in range(7)))
        out = os.path.join(folder(), serial("out"))
        p = sluice("submit", source, "--wait", "-o", out, url=self.url)
        self.assertEqual(p.returncode, 3, p.stderr)
        batch = p.stdout.strip()
        self.up.control(**{"fault-match": []})
        try:
            self.assertIn("is there already", self.run_bad(
                1, "retry", batch, "--wait", "-o", out))
            out = os.path.join(folder(), serial("out"))
            again = self.run_ok("retry", batch, "--wait", "-o", out).strip()
        finally:
            self.up.control(**{"fault-match": ["bad=400"]})
        with open(out) as f:
            self.assertEqual(sorted(json.loads(x)["custom_id"] for x in f),
                             ["x1", "x3", "x5"])
        shown = json.loads(self.run_ok("show", again, "--json"))
        self.assertEqual(shown["metadata"], {"retry_of": batch})
        asked = self.s.get(f"/v1/files/{shown['input_file_id']}/content").body
        with open(source) as f:
            self.assertEqual(asked.decode(), "".join(f.readlines()[1::2]))
        self.assertIn("no line", sluice("retry", again, url=self.url).stderr)

    def test_the_callers_key_is_not_the_one_looked_for(self):
        key = json.loads(self.run_ok("key", "create", "--account", "default",
                                     "--name", serial("k"), "--json"))["key"]
        self.run_ok("--key", key, "usage", "--mine")
        self.assertIn("before the command", self.run_bad(
            2, "usage", "--mine", "--key", key))

    def test_cancel_and_interrupt(self):
        slow = Upstream("--latency", "2000")
        s = Sluice()
        url = f"http://127.0.0.1:{s.port}"
        try:
            s.path(slow, limits=[("concurrent", 0, 1)])
            log = os.path.join(folder(), serial("submit"))
            p = Process([program("sluice"), "submit", write(lines(50)),
                         "--wait"], log, env={"SLUICE_URL": url,
                                              "SLUICE_API_KEY": KEY})
            until(lambda: slow.stats()["running"] > 0)
            self.assertEqual(p.stop(signal.SIGINT), 130)
            self.assertIn("sluice watch batch_", p.text())
            batch = s.get("/v1/batches").json["data"][0]["id"]
            self.assertEqual(sluice("cancel", batch, url=url).returncode, 0)
            self.assertEqual(sluice("watch", batch, url=url).returncode, 8)
            again = s.submit(lines(50))
            s.sql("update sluice.batch set deadline = now() "
                  "where state <> 'cancelled'")
            self.assertEqual(sluice("watch", again, url=url).returncode, 7)
        finally:
            s.stop()
            slow.stop()

    def test_files(self):
        data = lines(3)
        f = self.s.upload(data).json["id"]
        self.assertIn(f, self.run_ok("files", "list"))
        self.assertEqual(self.run_ok("files", "content", f), data)
        self.run_ok("files", "delete", f)
        self.run_bad(5, "files", "show", f)

    def test_accounts_and_keys(self):
        self.run_ok("account", "create", "team-a")
        self.assertIn("team-a", self.run_ok("account", "list"))
        self.run_bad(1, "account", "create", "team-a")
        made = json.loads(self.run_ok("key", "create", "--account", "team-a",
                                      "--name", "ci", "--scope", "batch",
                                      "--json"))
        key = made["key"]
        self.assertRegex(key, r"^sk-slc-[0-9A-Za-z]{43}$")
        self.run_ok("list", key=key)
        self.run_bad(4, "account", "list", key=key)
        listed = self.run_ok("key", "list")
        self.assertIn(made["id"], listed)
        self.assertNotIn(key, listed)
        self.run_ok("key", "revoke", made["id"])
        self.run_bad(4, "list", key=key)
        self.assertNotIn(key, self.s.sql(
            "select string_agg(k::text, '') from sluice.api_key k"))

    def test_paths_and_pools(self):
        secret = write("sk-upstream-secret\n")
        self.run_ok("pool", "add", "acct", "--limit", "concurrent=10")
        self.run_ok("path", "add", "main", "--pool", "acct", "--url",
                    self.up.url, "--secret-file", secret, "--models",
                    "glm-*,kimi", "--limit", "requests/1m=300", "--limit",
                    "gpt-4:tokens/1h=2m", "--headroom", "0.17", "--reserve",
                    "0.1")
        self.run_bad(1, "path", "add", "main", "--url", self.up.url,
                     "--models", "x")
        shown = json.loads(self.run_ok("path", "show", "main", "--json"))
        limits = {(x["model"], x["dimension"], x["window_s"]): x
                  for x in shown["limits"]}
        self.assertEqual(limits["*", "requests", 60]["amount"], 300)
        self.assertEqual(limits["*", "requests", 60]["headroom"], 0.17)
        self.assertEqual(limits["*", "requests", 60]["reserve"], 0.1)
        self.assertEqual(limits["gpt-4", "tokens", 3600]["amount"], 2000000)
        self.assertEqual(shown["models"], ["glm-*", "kimi"])
        self.assertNotIn("sk-upstream", json.dumps(shown))
        self.run_ok("path", "edit", "main", "--limit", "requests/1m=200",
                    "--attempts", "7")
        shown = json.loads(self.run_ok("path", "show", "main", "--json"))
        self.assertEqual(shown["attempts"], 7)
        self.assertEqual(len(shown["limits"]), 2)
        self.run_bad(1, "pool", "remove", "acct")
        self.run_ok("path", "remove", "main")
        self.run_ok("pool", "remove", "acct")
        self.run_bad(5, "path", "show", "main")
        for wrong in (["--limit", "requests=5"], ["--limit", "requests/1y=5"],
                      ["--limit", "concurrent/1m=5"], ["--headroom", "2"],
                      ["--limit", "requests/1m=0"], ["--url", "ftp://x"]):
            with self.subTest(wrong):
                self.run_bad(2, "path", "add", "w", "--models", "m", "--url",
                             self.up.url, *wrong)

    def test_apply_is_idempotent_and_shows_differences(self):
        f = write(f"""
[pool house]
limit = concurrent=10

[path a]
pool = house
url = {self.up.url}
models = a-*
limit = requests/1m=300
limit = tokens/1m=200k
headroom = 0.1
""")
        dry = self.run_ok("apply", "-f", f, "--dry-run")
        self.assertIn("path a", dry)
        self.run_bad(5, "path", "show", "a")
        self.run_ok("apply", "-f", f)
        self.assertNotIn("path a", self.run_ok("apply", "-f", f))
        with open(f) as g:
            text = g.read().replace("=300", "=250")
        self.assertIn("300", self.run_ok("apply", "-f", write(text),
                                         "--dry-run"))
        wrong = self.run_bad(1, "apply", "-f",
                             write("[path b]\nurll = http://x\n"))
        self.assertIn("2", wrong)
        self.run_ok("path", "remove", "a")
        self.run_ok("pool", "remove", "house")

    def shown(self, name):
        return json.loads(self.run_ok("path", "show", name, "--json"))

    def add(self, name, *args):
        """path add, and what the path then is."""
        self.run_ok("path", "add", name, "--url", self.up.url, "--models", "x",
                    *args)
        self.addCleanup(sluice, "path", "remove", name, url=self.url)
        shown = self.shown(name)
        return shown, {(x["model"], x["dimension"], x["window_s"]): x
                       for x in shown["limits"]}

    def test_dialect_charge_and_stream_cost(self):
        shown, limits = self.add("opts", "--limit", "requests/1m=5", "--limit",
                                 "tokens/1m=5k")
        self.assertEqual((shown["dialect"], shown["charge"]),
                         ("auto", "actual"))
        self.assertEqual(limits["*", "requests", 60]["stream_cost"], "once")
        self.assertNotIn("stream_cost", limits["*", "tokens", 60])
        changes = self.run_ok(
            "path", "edit", "opts", "--dialect", "openai", "--charge",
            "declared-refunded", "--stream-cost", "chunk")
        self.assertIn("dialect auto -> openai", changes)
        self.assertIn("charge actual -> declared-refunded", changes)
        self.assertIn("stream cost once -> chunk", changes)
        # another edit keeps them
        self.run_ok("path", "edit", "opts", "--attempts", "7")
        shown = self.shown("opts")
        self.assertEqual((shown["dialect"], shown["charge"]),
                         ("openai", "declared-refunded"))
        self.assertEqual({x["dimension"]: x.get("stream_cost")
                          for x in shown["limits"]},
                         {"requests": "chunk", "tokens": None})
        # those who pace and send are told
        conf = json.loads(self.s.sql("select sluice.dispatch_config()"))
        path = next(p for p in conf["paths"] if p["name"] == "opts")
        self.assertEqual((path["dialect"], path["charge"]),
                         ("openai", "declared-refunded"))
        self.assertEqual({x["dimension"]: x["stream_cost"]
                          for x in conf["limits"] if x["path"] == path["id"]},
                         {"requests": "chunk", "tokens": "once"})
        conf = json.loads(self.s.sql("select sluice.worker_config()"))
        self.assertEqual([p["dialect"] for p in conf["paths"]
                          if p["name"] == "opts"], ["openai"])

    def test_wrong_words_are_named(self):
        for option, word, says in (
                ("--dialect", "x", "not one of auto, "),
                ("--charge", "all", "not one of declared, declared-refunded, "
                                    "actual, input-only"),
                ("--stream-cost", "twice", "not one of once, chunk"),
                ("--preset", "nonsense", "sluice preset list")):
            with self.subTest(option):
                self.assertIn(says, self.run_bad(
                    2, "path", "add", "w", "--url", self.up.url, "--models",
                    "m", option, word))
        path = {"name": "w", "url": self.up.url, "models": ["m"]}
        limit = {"dimension": "requests", "window_s": 60, "amount": 1}
        for more, param in (
                ({"dialect": "x"}, "dialect"), ({"dialect": 1}, "dialect"),
                ({"charge": "x"}, "charge"),
                ({"limits": [{**limit, "stream_cost": "x"}]},
                 "limits.stream_cost"),
                ({"limits": [{**limit, "dimension": "tokens",
                              "stream_cost": "chunk"}]},
                 "limits.stream_cost")):
            with self.subTest(more):
                a = self.s.call("POST", "/admin/v1/apply",
                                json_body={"paths": [{**path, **more}]})
                self.assertEqual(a.status, 400)
                self.assertEqual(a.error["param"], param)
                self.assertIn("path w", a.error["message"])

    def test_a_preset_expands_and_what_is_given_wins(self):
        args = ("path", "add", "dry", "--url", self.up.url, "--models", "x",
                "--preset", "chunks-pro", "--dry-run")
        dry = self.run_ok(*args)
        for text in ("dialect chunks", "requests/1m = 60", "concurrent = 5",
                     "gpt-4:tokens/1m = 10000", "each chunk"):
            self.assertIn(text, dry)
        self.assertIn("requests/1m = 60",
                      str(json.loads(self.run_ok(*args, "--json"))["changes"]))
        self.run_bad(5, "path", "show", "dry")
        shown, limits = self.add("plan", "--preset", "chunks-pro", "--limit",
                                 "requests/1m=90", "--limit",
                                 "gpt-4:requests/1m=20", "--charge", "declared",
                                 "--headroom", "0.1")
        self.assertEqual((shown["dialect"], shown["charge"]),
                         ("chunks", "declared"))
        self.assertEqual(len(limits), 11)
        self.assertEqual(limits["*", "requests", 60]["amount"], 90)
        self.assertEqual(limits["gpt-4", "requests", 60]["amount"], 20)
        self.assertEqual(limits["*", "requests", 86400]["amount"], 10000)
        self.assertEqual(limits["*", "concurrent", 0]["amount"], 5)
        self.assertEqual(limits["gpt-4", "requests", 60]["stream_cost"],
                         "chunk")
        self.assertEqual({x["headroom"] for x in limits.values()}, {0.1})
        self.assertNotIn("chunks-pro", self.s.sql(
            "select row_to_json(p) from sluice.path p where name = 'plan'"))

    def test_a_preset_asks_for_what_it_cannot_know(self):
        def add(preset, *more):
            return sluice("path", "add", "ask", "--url", self.up.url,
                          "--models", "x", "--dry-run", "--preset", preset,
                          *more, url=self.url)
        p = add("account-enterprise")
        self.assertEqual(p.returncode, 2)
        self.assertIn("needs requests/1h=N", p.stderr)
        p = add("account-enterprise", "--limit", "requests/1h=3000")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("requests/1h = 3000", p.stdout)
        self.assertNotIn("/1m", p.stdout)
        self.assertEqual(add("openai").returncode, 2)
        self.assertEqual(add("openai", "--limit", "tokens/1m=1k").returncode, 0)
        f = write(f"[path ini]\nurl = {self.up.url}\nmodels = x\n"
                  "limit = tokens/1m=7k\npreset = relay-default\n")
        out = self.run_ok("apply", "-f", f, "--dry-run")
        for text in ("dialect relay", "requests/1m = 100", "concurrent = 10",
                     "tokens/1m = 7000"):
            self.assertIn(text, out)
        f = write(f"[path ini]\nurl = {self.up.url}\nmodels = x\n"
                  "preset = deepseek\n")
        self.assertIn("concurrent=N", self.run_bad(1, "apply", "-f", f))

    def test_presets_are_listed_without_a_server(self):
        p = sluice("preset", "list", "--quiet", key=None)
        self.assertIn("relay-default\n", p.stdout)
        for name in p.stdout.split():
            p = sluice("preset", "show", name, "--json", key=None)
            shown = json.loads(p.stdout)
            self.assertRegex(shown["as_of"], r"^20\d\d-\d\d-\d\d$")
            self.assertTrue(shown["source"] and shown["about"])
        self.assertIn("tokens/1m=500k",
                      sluice("preset", "show", "relay-default").stdout)
        self.assertEqual(sluice("preset", "show", "x").returncode, 5)

    def test_help_teaches(self):
        for args in (["--help"], ["help"], ["help", "submit"],
                     ["path", "add", "--help"], ["--version"]):
            p = sluice(*args)
            self.assertEqual(p.returncode, 0, args)
            self.assertTrue(p.stdout.strip())
        self.assertIn("Examples", sluice("help", "submit").stdout)


if __name__ == "__main__":
    unittest.main()
