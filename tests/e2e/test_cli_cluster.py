"""Migrating a database, and the whole on one machine."""
import json
import os
import signal
import stat
import subprocess
import unittest

from e2e.cli import sluice, write
from e2e.harness import (Process, Upstream, folder, lines, postgres, program,
                         serial, until)


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
        # one that cannot start says why where the operator looks
        version = f"{state}/pg/PG_VERSION"
        with open(version, "r+") as f:
            good = f.read()
            f.seek(0)
            f.write("9\n")
            f.truncate()
        with open(f"{state}/pg/postmaster.pid") as f:
            os.kill(int(f.readline()), signal.SIGKILL)
        until(lambda: "FATAL:  database files are incompatible" in p.text(), 30,
              "last words")
        with open(version, "w") as f:
            f.write(good)
        until(lambda: sluice("list", key=None, state=state).returncode == 0, 60,
              "PostgreSQL again")
        self.assertEqual(p.stop(signal.SIGINT), 0)


if __name__ == "__main__":
    unittest.main()
