"""What the command line says of now: paths, what binds, watching."""
import codecs
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unittest

from e2e.cli import sluice
from e2e.harness import KEY, Sluice, Upstream, lines, program, until


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, rows, columns, *args, **env):
        self.fd, side = pty.openpty()
        self.resize(rows, columns)
        self.text = ""
        # a read may end within a letter
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
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
                self.text += self.decoder.decode(os.read(self.fd, 65536))
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
        self.say(binds={"limit": "concurrent", "of": "path", "model": "*",
                        "used": 0, "amount": 0,
                        "why": "no worker is there"})
        self.assertIn("waits for concurrent of path main (no worker is there)\n",
                      self.cli("show", batch))
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

    def test_a_batch_says_that_its_path_is_down_or_gone(self):
        self.s.apply({"paths": [{"name": "side", "url": self.up.url,
                                 "models": ["zz"]}]})
        batch = self.s.submit(lines(3, model="zz"))
        self.s.sql("update sluice.batch set state = 'in_progress' "
                   "where state = 'validating'")
        self.say(health="down", binds=None)
        said = "path main is down: no connection, tried again "
        both = sluice("path", "remove", "side", url=self.url)
        self.assertEqual((both.returncode, both.stderr), (0, ""))
        text = self.cli("show", batch)
        self.assertIn(f"just now\t{said}", text)
        for forecast in ("will end", "feasible", "in_time"):
            self.assertNotIn(forecast, text + self.cli("show", batch, "--json"))
        t = Terminal(24, 200, "watch", batch, **self.env)
        until(lambda: f" done, 0 failed, 0.0/s, {said}" in t.read())
        self.assertEqual(t.end(signal.SIGINT), 130)
        self.say()
        main = self.s.get("/admin/v1/paths/main").json
        try:
            gone = sluice("path", "remove", "main", url=self.url)
            self.assertEqual(gone.returncode, 0)
            self.assertIn("warning: no path serves the model zz any more; what "
                          "waits for one: 1 batch with 3 lines", gone.stderr)
            self.assertRegex(
                self.cli("show", batch), "just now\tno path serves the model "
                r"zz any more: path main was removed [0-9TZ:-]+ \(sluice path add "
                r"NAME --models zz\)\n")
        finally:
            self.s.apply({"paths": [{k: main[k] for k in (
                "name", "pool", "url", "models", "limits")}]})
            self.s.call("POST", f"/v1/batches/{batch}/cancel")

    def test_what_others_wrote_cannot_steer_the_terminal(self):
        self.say(binds={"limit": "requests/1m", "of": "path", "model": "*",
                        "used": 1, "amount": 2, "until": 0,
                        "why": "\x1b]0;owned\x07"})
        t = Terminal(24, 80, "path", "watch", "--count", "1", **self.env)
        self.assertEqual(t.end(), 0)
        self.assertNotIn("\x1b]0", t.text)
        self.assertIn("\\x1b]0;owned", t.text)
        self.assertNotIn("\x1b", self.cli("path", "watch", "--count", "1"))


if __name__ == "__main__":
    unittest.main()
