"""The command line, as people and scripts use it."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import stat
import struct
import subprocess
import termios
import time
import unittest

from e2e.harness import (KEY, Process, Sluice, Upstream,
                         folder, line, lines, postgres, program, serial, until)


def sluice(*args, url=None, key=KEY, state=None, stdin=None, env=None):
    full = {k: v for k, v in os.environ.items()
            if not k.startswith("SLUICE_") or k == "SLUICE_BUILD"}
    if url:
        full["SLUICE_URL"] = url
    if key:
        full["SLUICE_API_KEY"] = key
    full["SLUICE_STATE"] = state or "/nonexistent"
    full.update(env or {})
    return subprocess.run([program("sluice"), *args], input=stdin, env=full,
                          capture_output=True, text=True, timeout=120)


def write(data, name=None):
    path = os.path.join(folder(), name or serial("in"))
    with open(path, "w") as f:
        f.write(data)
    return path


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
        self.assertIn("submit", self.run_bad(2, "sumbit", write(lines(1))))

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


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, rows, columns, *args, **env):
        self.fd, side = pty.openpty()
        self.resize(rows, columns)
        self.text = ""
        self.p = subprocess.Popen(
            [program("sluice"), *args], stdin=side, stdout=side, stderr=side,
            env={**os.environ, "TERM": "xterm", "TZ": "UTC",
                 "LC_ALL": "C.UTF-8", "SLUICE_API_KEY": KEY, **env},
            # the terminal is its own, so that it is told of a new size
            preexec_fn=lambda: (os.setsid(), fcntl.ioctl(
                0, termios.TIOCSCTTY, 0)))
        os.close(side)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        while select.select([self.fd], [], [], 0)[0]:
            try:
                self.text += os.read(self.fd, 65536).decode(errors="replace")
            except OSError:
                break
        return self.text

    def frames(self):
        """What was drawn each time, as lines without their colours."""
        drawn = self.read().split("\x1b[?1049l")[0].split("\x1b[H")[1:]
        return [[re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", x).rstrip()
                 for x in f.split("\r\n")] for f in drawn]

    def end(self, signum=None):
        if signum:
            self.p.send_signal(signum)
        until(lambda: (self.read(), self.p.poll() is not None)[1], 30)
        self.read()
        os.close(self.fd)
        return self.p.returncode


class Now(unittest.TestCase):
    """How paths stand; a dispatcher's news are put in place by hand."""

    @classmethod
    def setUpClass(cls):
        cls.up = Upstream("--latency", "60000")
        cls.s = Sluice(workers=0)
        # nobody dispatches, so what a test writes stays
        cls.s.sql("update sluice.dispatch_lease set epoch = epoch + 1, "
                  "holder = 'test', until = 'infinity'")
        cls.url = f"http://127.0.0.1:{cls.s.port}"
        cls.env = {"SLUICE_URL": cls.url}
        cls.s.apply({"paths": [{
            "name": "main", "pool": "house", "url": cls.up.url,
            "models": ["*"], "limits": [
                {"dimension": "requests", "window_s": 60, "amount": 600,
                 "headroom": 0.1},
                {"dimension": "tokens", "window_s": 60, "amount": 200000},
                {"dimension": "concurrent", "amount": 12}]}],
            "pools": [{"name": "house", "limits": [
                {"dimension": "requests", "window_s": 86400,
                 "amount": 10000},
                {"dimension": "tokens", "window_s": 60, "amount": 300000}]}]})
        cls.say()

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()
        cls.up.stop()

    @classmethod
    def say(cls, age=-3600, learned=None, health="up", **changes):
        """Write path_state; an age below 0 keeps the news fresh."""
        at = time.time() - age

        def limit(of, dimension, window_s, amount, used, **more):
            return {"id": 1, "model": "*", "of": of, "dimension": dimension,
                    "window_s": window_s, "amount": amount,
                    "configured": amount, "used": used, "foreign": 0,
                    "paused_until": None, "why": None, "ladder": 0,
                    "per_s": amount / (window_s or 1), **more}
        now = {"at": at, "waiting": 4210, "out": 24, "in_flight": 12,
               "binds": {"limit": "requests/1m", "of": "path", "model": "*",
                         "used": 540, "amount": 540, "until": at + 1.5,
                         "why": "requests/1m is used up"},
               "sends": [0] * 30 + [9] * 29 + [6],
               "limits": [
                   limit("path", "requests", 60, 540, 540, foreign=7),
                   limit("path", "tokens", 60, 200000, 50000, ladder=2,
                         paused_until=at + 30, why="retry-after said 30 s"),
                   limit("path", "concurrent", 0, 12, 12),
                   limit("pool", "tokens", 60, 300000, 60000),
                   limit("pool", "requests", 86400, 10000, 2500)],
               **changes}
        cls.s.sql(f"""
            insert into sluice.path_state (path_id, now, learned, health, why,
                until)
            select id, $x${json.dumps(now)}$x$, $x${json.dumps(learned)}$x$,
                '{health}', 'no connection', now() + interval '1 min'
            from sluice.path where name = 'main'
            on conflict (path_id) do update set now = excluded.now,
                learned = excluded.learned, health = excluded.health,
                why = excluded.why, until = excluded.until""")

    def cli(self, *args):
        p = sluice(*args, url=self.url, env={"TZ": "UTC"})
        self.assertEqual(p.returncode, 0, p.stderr)
        return p.stdout

    def row(self, text, start):
        return next(x for x in text.splitlines() if x.startswith(start)) \
            .split("\t")

    def test_show_says_what_binds_and_what_was_learned(self):
        self.say(learned={
            "dialect": "relay", "late_ms": 3, "jitter_ms": 20,
            "slack_ms": 450, "concurrency": {
                "limit": 12, "why": "refused at 13 in flight"},
            "readings": [{"dim": "requests", "window_s": 60, "limit": 100,
                          "remaining": 42, "reset_in_s": 17.5, "at": 1700000000,
                          "from": "x-ratelimit-remaining",
                          "meaning": "sliding"}]})
        self.s.sql("""insert into sluice.estimate (path_id, model, learned)
            select id, 'm1', '{"n": 41.7, "ratio": 0.25, "output": 99.6,
            "output2": 1, "ms": 812, "ms2": 1}' from sluice.path
            on conflict do nothing""")
        text = self.cli("path", "show", "main")
        self.assertIn("waits for requests/1m of path main: 540 of 540 used, "
                      "next slot 2", text)
        titles = self.row(text, "LIMIT\t")
        limit = dict(zip(titles, self.row(text, "requests/1m\t")))
        self.assertEqual((limit["FULL"], limit["USED"], limit["MAY USE"],
                          limit["LIMIT IS"], limit["FOREIGN"]),
                         ("100%", "540", "540", "600", "7"))
        limit = dict(zip(titles, self.row(text, "tokens/1m\t")))
        self.assertEqual((limit["FULL"], limit["STEP"], limit["BECAUSE"]),
                         ("25%", "2", "retry-after said 30 s"))
        self.assertRegex(limit["PAUSED UNTIL"], r"^20.*Z$")
        self.assertEqual(self.row(text, "requests/1d\t")[1:4],
                         ["pool", "25%", "2500"])
        self.assertEqual(self.row(text, "tokens/1m\tpool")[2:4],
                         ["20%", "60000"])
        self.assertIn("42 of 100 left, reset in 17.5 s (sliding)\t"
                      "x-ratelimit-remaining\t2023-11-14T22:13:20Z", text)
        self.assertIn("concurrent\t12\trefused at 13 in flight", text)
        self.assertIn("m1\t42\t4\t100\t812 ms", text)
        self.assertNotIn("ratio", text)
        shown = json.loads(self.cli("path", "show", "main", "--json"))
        self.assertEqual(shown["now"]["binds"]["used"], 540)
        self.assertEqual(shown["learned"]["models"][0]["answers"], 42)
        t = Terminal(40, 200, "path", "show", "main", **self.env)
        self.assertEqual(t.end(), 0)
        self.assertIn("██▌·······", t.text)
        self.assertNotIn("HEADROOM\t", t.text)
        self.assertNotIn("RESERVE", t.text)

    def test_old_news_are_no_news(self):
        self.say(age=11)
        text = self.cli("path", "show", "main")
        self.assertNotIn("waits for", text)
        limit = dict(zip(self.row(text, "LIMIT\t"),
                         self.row(text, "requests/1m\t")))
        self.assertEqual((limit["USED"], limit["MAY USE"]), ("0", "540"))
        self.assertIn("now=unknown",
                      self.cli("path", "watch", "main", "--count", "1"))
        t = Terminal(24, 80, "path", "watch", "--count", "1", **self.env)
        self.assertEqual(t.end(), 0)
        self.assertIn("no news", t.text)

    def test_a_batch_says_what_it_waits_for(self):
        self.say()
        batch = self.s.submit(lines(3))
        self.assertNotIn("waiting", self.s.show(batch)["sluice"])
        self.s.sql("update sluice.batch set state = 'in_progress'; "
                   "update sluice.batch_lane set open = true")
        waiting = self.s.show(batch)["sluice"]["waiting"]
        self.assertEqual((waiting["limit"], waiting["path"], waiting["used"]),
                         ("requests/1m", "main", 540))
        text = self.cli("show", batch)
        self.assertIn("waits for requests/1m of path main: 540 of 540 used, "
                      "next slot ", text)
        self.say(binds=None)
        self.assertNotIn("waiting", self.s.show(batch)["sluice"])
        self.assertNotIn("waits for", self.cli("show", batch))
        self.s.call("POST", f"/v1/batches/{batch}/cancel")

    def test_watch_in_a_pipe_is_a_line_a_second(self):
        self.say()
        start = time.monotonic()
        got = self.cli("path", "watch", "main", "--count", "3").splitlines()
        self.assertGreater(time.monotonic() - start, 1.8)
        self.assertEqual(len(got), 3)
        for text in got:
            self.assertRegex(text, r"^20\S+Z main health=up sends=6 "
                             r"in_flight=12 out=24 waiting=4210 "
                             r"binds=requests/1m until=20\S+Z ")
            self.assertIn(" requests/1m=540/540", text)
            self.assertIn(" requests/1d(pool)=2500/10000", text)
            self.assertNotIn("\x1b", text)
        self.say(live_out=3, live_sends=[0] * 59 + [4])
        self.assertRegex(self.cli("path", "watch", "main", "--count", "1"),
                         " sends=10 live_sends=4 live=3 in_flight=12 ")
        got = self.cli("path", "watch", "--count", "2", "--json").splitlines()
        self.assertEqual([json.loads(x)["data"][0]["name"] for x in got],
                         ["main"] * 2)
        p = sluice("path", "watch", "none", url=self.url)
        self.assertEqual(p.returncode, 5)
        p = sluice("path", "watch", "--count", "0", url=self.url)
        self.assertEqual(p.returncode, 2)

    def test_watch_draws_limits_and_sends(self):
        self.say()
        t = Terminal(30, 100, "path", "watch", "main", **self.env)
        until(lambda: len(t.frames()) >= 2)
        frame = t.frames()[1]
        text = "\n".join(frame)
        self.assertTrue(frame[0].startswith("main  up  "))
        self.assertIn("waits for requests/1m of path main: 540 of 540", text)
        self.assertIn("in flight 12 of 12 seats, handed out 24, "
                      "waiting 4210 lines", text)
        self.assertRegex(text, r"\n> requests/1m +█+  540/540 +9/s  foreign 7")
        self.assertRegex(text, r"\n  tokens/1m +█+▌·+  50k/200k .* step 2  "
                         r"paused until \d\d:\d\d:\d\d  retry-after said 30 s")
        self.assertIn("requests/1d (pool)", text)
        self.assertIn("sends a second: 6, most 9; ┄┄┄ 9 by requests/1m", text)
        chart = [x.split("│")[1] for x in frame if "│" in x]
        self.assertEqual(len(chart), 8)
        # half a minute of nothing, under the line of the limit; then 9 a second
        self.assertEqual(chart[0], "┄" * 30 + "▂" * 29 + "┄")
        self.assertEqual(chart[-1], " " * 30 + "█" * 30)
        self.assertFalse(any("█" in x[:30] for x in chart))
        # drawn over, not wiped: nothing is cleared but what lies behind
        self.assertEqual(t.text.count("\x1b[2J"), 1)
        self.assertEqual(t.end(signal.SIGINT), 130)
        # the terminal is as it was, and shows the last frame
        for mode in ("?1049", "?25"):
            self.assertIn(f"\x1b[{mode}", t.text)
        tail = t.text.split("\x1b[?1049l")[1]
        self.assertIn("waits for requests/1m", tail)
        self.assertIn("\x1b[?25h", t.text)

    def test_watch_follows_the_size_of_the_terminal(self):
        self.say()
        t = Terminal(40, 100, "path", "watch", "main", **self.env)
        until(lambda: t.frames())
        self.assertEqual(len([x for x in t.frames()[-1] if "│" in x]), 8)
        for _ in range(3):  # sooner than the next second, if not interrupted
            self.say()  # older than ten seconds it is no news
            t.resize(40, 100)
            seen = len(t.frames())
            until(lambda: len(t.frames()) > seen + 1)
            t.resize(12, 50)
            end = time.monotonic() + 0.6
            while len(t.frames()[-1]) > 12 and time.monotonic() < end:
                time.sleep(0.02)
            if len(t.frames()[-1]) <= 12:
                break
        self.assertLessEqual(len(t.frames()[-1]), 12)
        chart = [x for x in t.frames()[-1] if "│" in x]
        self.assertEqual(len(chart), 1)
        self.assertLessEqual(len(chart[0]), 50)
        t.resize(4, 50)
        until(lambda: len(t.frames()[-1]) <= 4, 5)
        self.assertIn("taller", t.frames()[-1][-1])
        self.assertEqual(t.end(signal.SIGTERM), -signal.SIGTERM)
        self.assertIn("\x1b[?25h", t.text)

    def test_watch_outlives_the_server(self):
        s = Sluice(workers=0)
        url = f"http://127.0.0.1:{s.port}"
        try:
            t = Terminal(24, 80, "path", "watch", SLUICE_URL=url)
            until(lambda: "there are no paths" in t.read())
            s.stop()
            until(lambda: "cannot reach" in t.read())
            self.assertEqual(t.end(signal.SIGINT), 130)
        finally:
            s.stop()

    def test_a_path_that_is_down_says_why(self):
        self.say(health="down", binds=None)
        t = Terminal(24, 80, "path", "watch", "--count", "1", **self.env)
        self.assertEqual(t.end(), 0)
        self.assertRegex(t.text, "down: no connection, tried again [0-9:]+")
        self.assertIn("no limit holds it back", t.text)
        self.say()

    def test_what_others_wrote_cannot_steer_the_terminal(self):
        self.say(binds={"limit": "requests/1m", "of": "path", "model": "*",
                        "used": 1, "amount": 2, "until": 0,
                        "why": "\x1b]0;owned\x07"})
        t = Terminal(24, 80, "path", "watch", "--count", "1", **self.env)
        self.assertEqual(t.end(), 0)
        self.assertNotIn("\x1b]0", t.text)
        self.assertIn("\\x1b]0;owned", t.text)
        self.assertNotIn("\x1b", self.cli("path", "watch", "--count", "1"))


class Migrate(unittest.TestCase):
    def test_a_database_that_cannot_be_read_is_not_shown(self):
        """Whatever libpq would quote may be a part of a password."""
        for dsn in ("postgresql://u:sec%zzret@127.0.0.1:9/db",
                    "postgresql://u:sec/ret@127.0.0.1:9/db",
                    "postgresql://u:ret@sec@127.0.0.1:9/db",
                    "host=/nonexistent password=ret sec"):
            for args in (["sluiced"], ["sluice-worker"], ["sluice", "migrate"],
                         ["sluice", "up", "--state", folder()]):
                p = subprocess.run(
                    [program(args[0]), *args[1:], "--database", dsn],
                    capture_output=True, text=True, timeout=20)
                said = p.stdout + p.stderr
                self.assertEqual(p.returncode, 2, (args, dsn, said))
                self.assertIn("--database", said)
                self.assertNotIn("sec", said)
                self.assertNotIn("ret", said)

    def fresh(self):
        db = serial("migrate_")
        postgres().sql("postgres", f"create database {db}")
        return postgres().dsn(db, "sluice"), db

    def migrate(self, dsn):
        return sluice("migrate", "--database", dsn)

    def schema(self, db):
        return subprocess.run(["pg_dump", "-s", "-n", "sluice", "-d",
                               postgres().dsn(db, "sluice")],
                              capture_output=True, text=True, check=True).stdout

    def test_twice_is_a_no_op(self):
        dsn, db = self.fresh()
        self.assertEqual(self.migrate(dsn).returncode, 0)
        before = postgres().sql(db, "select string_agg(m::text, ',' order by "
                                "name) from sluice.migration m")
        self.assertEqual(self.migrate(dsn).returncode, 0)
        self.assertEqual(before, postgres().sql(
            db, "select string_agg(m::text, ',' order by name) "
            "from sluice.migration m"))

    def test_two_at_once(self):
        dsn, db = self.fresh()
        logs = [os.path.join(folder(), serial("migrate")) for _ in range(4)]
        ps = [Process([program("sluice"), "migrate", "--database", dsn], x)
              for x in logs]
        self.assertEqual([p.p.wait(60) for p in ps], [0] * 4,
                         [p.text() for p in ps])

    def test_a_newer_database_is_refused(self):
        dsn, db = self.fresh()
        self.migrate(dsn)
        postgres().sql(db, "insert into sluice.migration (name, checksum) "
                       "values ('999_future.sql', 'x')")
        p = self.migrate(dsn)
        self.assertEqual(p.returncode, 1)
        self.assertIn("newer", p.stderr)

    def test_a_changed_table_file_is_refused(self):
        dsn, db = self.fresh()
        self.migrate(dsn)
        postgres().sql(db, "update sluice.migration set checksum = 'x' "
                       "where name = '001_tables.sql'")
        p = self.migrate(dsn)
        self.assertEqual(p.returncode, 1)
        self.assertIn("001_tables.sql", p.stderr)

    def test_as_an_owner_that_is_no_superuser(self):
        postgres().sql("postgres", "create role plain_owner login createrole")
        postgres().sql("postgres", "create database owned owner plain_owner")
        p = self.migrate(postgres().dsn("owned", "plain_owner"))
        self.assertEqual(p.returncode, 0, p.stderr)


class UpAndDown(unittest.TestCase):
    """sluice up: the whole system with a private PostgreSQL."""

    def start(self, state, *options):
        log = os.path.join(folder(), serial("up"))
        p = Process([program("sluice"), "up", "--state", state, "--listen",
                     "127.0.0.1:0", *options], log)
        until(lambda: "is ready" in p.text() or not p.alive(), 60)
        self.assertTrue(p.alive(), p.text())
        return p

    def children(self, state):
        """Processes with the state in their arguments or environment."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read()
                with open(f"/proc/{pid}/environ", "rb") as f:
                    all_words = words + f.read()
            except OSError:
                continue
            if state.encode() in all_words and int(pid) != os.getpid():
                found[int(pid)] = words.decode(errors="replace")
        return found

    def test_up_works_and_goes_without_a_trace(self):
        state = os.path.join(folder(), serial("state"))
        upstream = Upstream()
        p = self.start(state)
        key = os.stat(f"{state}/admin.key")
        self.assertEqual(stat.S_IMODE(key.st_mode), 0o600)
        self.assertIn("admin.key", p.text())
        self.assertIn("curl", p.text())
        with open(f"{state}/admin.key") as f:
            self.assertNotIn(f.read().strip(), p.text())

        def run(*args):
            r = sluice(*args, key=None, state=state)
            self.assertEqual(r.returncode, 0, r.stderr)
            return r.stdout
        run("path", "add", "sim", "--url", upstream.url, "--models", "*")
        batch = run("submit", write(lines(50)), "--wait").strip()
        second = sluice("up", "--state", state, key=None)
        self.assertEqual(second.returncode, 1)
        self.assertIn("another", second.stderr)
        self.assertEqual(p.stop(signal.SIGINT), 0)
        self.assertEqual(self.children(state), {})
        self.assertFalse(os.path.exists(f"{state}/url"))
        # what was there is there again
        p = self.start(state)
        self.assertEqual(json.loads(run("show", batch, "--json"))["status"],
                         "completed")
        self.assertEqual(p.stop(signal.SIGTERM), 0)
        upstream.stop()

    def test_a_crash_of_up_leaves_nothing_and_up_recovers(self):
        state = os.path.join(folder(), serial("state"))
        p = self.start(state)
        p.kill()
        until(lambda: not self.children(state), 30, "children gone")
        p = self.start(state)
        # a program that dies is started again
        pid = next(n for n, words in self.children(state).items()
                   if "sluiced" in words.split("\0")[0])
        os.kill(pid, signal.SIGKILL)
        until(lambda: sluice("list", key=None, state=state).returncode == 0, 30,
              "sluiced again")
        self.assertEqual(p.stop(signal.SIGINT), 0)


if __name__ == "__main__":
    unittest.main()
