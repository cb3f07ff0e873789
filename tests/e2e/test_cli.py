"""The command line, as people and scripts use it."""
import json
import os
import signal
import stat
import subprocess
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

    def test_help_teaches(self):
        for args in (["--help"], ["help"], ["help", "submit"],
                     ["path", "add", "--help"], ["--version"]):
            p = sluice(*args)
            self.assertEqual(p.returncode, 0, args)
            self.assertTrue(p.stdout.strip())
        self.assertIn("Examples", sluice("help", "submit").stdout)


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
