"""Kept answers: equal requests that have one answer each time, live and in batches."""
import json
import unittest

from .harness import CHAT, KEY, OTHER_KEY, Sluice, Upstream, line, until
from .live import Steered, answer


class Cache(unittest.TestCase):
    """Equal requests with one answer each time, of accounts that ask for it."""

    def setUp(self):
        self.up = Steered(lambda h, body: answer(
            body=b'{"n":%d, "u":1e400}' % len(self.up.seen))(h, body))
        self.s = Sluice(scheduler_options=["--live-wait", "30s"])
        self.s.path(self.up)
        until(lambda: self.s.sql("select count(live_url) from sluice.worker") == "1",
              what="a worker takes live calls")

    def tearDown(self):
        self.s.stop()
        self.up.stop()

    def account(self, name="default", **doc):
        a = self.s.call("POST", f"/admin/v1/accounts/{name}", json_body=doc)
        self.assertEqual(a.status, 200, a.body)

    def post(self, key=KEY, path=CHAT, headers=None, **body):
        body = {"model": "m1", "messages": [], **body}
        return self.s.call("POST", path, json_body=body, key=key, headers=headers)

    def kept(self, n):
        until(lambda: self.s.sql("select count(*) from sluice.answer_cache")
              == str(n), what=f"{n} answers kept")

    def test_equal_requests_are_answered_from_it(self):
        self.account(cache=True)
        first = self.post(temperature=0)
        self.assertEqual(first.status, 200, first.body)
        self.assertEqual(first.headers["x-sluice-cache"], "miss")
        self.kept(1)
        again = self.post(temperature=0)
        self.assertEqual(again.headers["x-sluice-cache"], "hit")
        self.assertEqual((again.status, again.body, again.headers["content-type"]),
                         (200, first.body, first.headers["content-type"]))
        self.assertEqual(len(self.up.seen), 1)
        # Others: another body, endpoint, header that tells, account
        self.account("other", cache=True)
        for more in ({"temperature": 0.0, "seed": 1}, {"temperature": 0, "seed": 2},
                     {"temperature": 0, "path": "/v1/completions"},
                     {"temperature": 0, "headers": {"OpenAI-Beta": "x"}},
                     {"temperature": 0, "key": OTHER_KEY}):
            self.assertEqual(self.post(**more).headers["x-sluice-cache"], "miss", more)
        self.kept(6)
        a = self.post(path="/v1/embeddings")
        self.kept(7)
        self.assertEqual(self.post(path="/v1/embeddings").body, a.body)
        sent = len(self.up.seen)
        for more in ({"temperature": 0.5}, {}, {"temperature": 0, "stream": True},
                     {"temperature": 0, "path": "/v1/responses"}):
            for _ in range(2):
                self.assertIsNone(self.post(**more).headers["x-sluice-cache"], more)
        self.assertEqual(len(self.up.seen), sent + 8)
        # Errors, and what is too long, are not kept.
        for act in (answer(500), answer(body=b'{"a":"%s"}' % (b"x" * 65537)),
                    answer(body=b'{"error":{"message":"no"}}')):
            self.up.act = act
            for _ in range(2):
                a = self.post(temperature=0, seed=99)
                self.assertNotEqual(a.headers["x-sluice-cache"], "hit")
        self.kept(7)
        # Off, and all of the account's are gone.
        self.account(cache=False)
        self.kept(1)
        self.assertIsNone(self.post(temperature=0).headers["x-sluice-cache"])

    def test_what_is_no_hit_any_more_waits_for_room(self):
        self.account(cache=True)
        self.s.path(self.up, limits=[("requests", 1, 1)])
        self.assertEqual(self.post(temperature=0).status, 200)
        self.kept(1)
        self.assertEqual(self.post(temperature=0).headers["x-sluice-cache"], "hit")
        self.s.sql("update sluice.account set cache = false")
        self.assertEqual(self.post(key=OTHER_KEY).status, 200)  # takes the room
        a = self.post(temperature=0)
        self.assertEqual((a.status, a.headers["x-sluice-cache"]), (200, None), a.body)

    def test_a_hit_counts_before_its_caller_alone(self):
        self.account(cache=True, limits=[
            {"dimension": "requests", "window_s": 3600, "amount": 4},
            {"dimension": "tokens", "window_s": 3600, "amount": 100},
            {"dimension": "concurrent", "amount": 1}])
        self.s.path(self.up, limits=[("requests", 3600, 1)])
        self.assertEqual(self.post(temperature=0, max_tokens=50).status, 200)
        self.kept(1)
        until(lambda: self.s.sql("select count(*) from sluice.admission") == "0")
        for _ in range(3):
            a = self.post(temperature=0, max_tokens=50)
            self.assertEqual((a.status, a.headers["x-sluice-cache"]), (200, "hit"))
        self.assertEqual(self.post(temperature=0, max_tokens=50).status, 429)
        self.assertEqual(len(self.up.seen), 1)
        self.assertEqual(self.s.sql("select count(*) from sluice.admission"), "0")
        self.assertEqual(self.s.sql("select max(s.reserved) from sluice.caller_state s"),
                         "0")
        self.assertEqual(self.s.sql(
            "select sum(requests), sum(refused) > 0 from sluice.usage_all "
            "where kind = 'live' and refused = 0").split("|")[0], "4")


class Lines(unittest.TestCase):
    """The same for lines of batches."""

    def setUp(self):
        self.up = Upstream()
        self.s = Sluice()
        self.s.path(self.up)
        for name in ("default", "other"):
            self.account(name, cache=True)

    def tearDown(self):
        self.s.stop()
        self.up.stop()

    def account(self, name, **doc):
        a = self.s.call("POST", f"/admin/v1/accounts/{name}", json_body=doc)
        self.assertEqual(a.status, 200, a.body)

    def run_batch(self, text, key=KEY, endpoint=CHAT, **more):
        """Lines that were sent, the batch at its end, its results by custom_id."""
        before = self.up.stats()["accepted"]
        file = self.s.upload(text, key=key)
        made = self.s.batch(file.json["id"], key=key, endpoint=endpoint, **more)
        self.assertEqual(made.status, 200, made.body)
        path = f"/v1/batches/{made.json['id']}"
        done = until(lambda: (lambda b: b if b["status"] == "completed" else None)(
            self.s.get(path, key=key).json), 60, "the batch is over", 0.1)
        got = {}
        body = self.s.get(f"/v1/files/{done['output_file_id']}/content", key=key).body
        for one in map(json.loads, body.splitlines()):
            self.assertNotIn(one["custom_id"], got)
            got[one["custom_id"]] = one
        return self.up.stats()["accepted"] - before, done, got

    def kept(self, n):
        until(lambda: self.s.sql("select count(*) from sluice.answer_cache")
              == str(n), what=f"{n} answers kept")

    def text(self, n, **body):
        return "".join(line(f"r-{i}", f"hello {i}", **body) + "\n" for i in range(n))

    def test_a_batch_again_is_answered_without_a_call(self):
        n = 300
        text = self.text(n, temperature=0)
        sent, done, first = self.run_batch(text)
        self.assertEqual((sent, len(first)), (n, n))
        self.assertNotIn("cached", done["sluice"])
        self.kept(n)
        sent, done, again = self.run_batch(text, sluice={"details": True})
        self.assertEqual(sent, 0)
        self.assertEqual(done["request_counts"],
                         {"total": n, "completed": n, "failed": 0})
        self.assertEqual(done["sluice"]["cached"], n)
        self.assertEqual(done["usage"]["total_tokens"], 0)
        self.assertEqual({k: v["response"]["body"] for k, v in again.items()},
                         {k: v["response"]["body"] for k, v in first.items()})
        self.assertEqual(len({v["id"] for v in [*first.values(), *again.values()]}),
                         2 * n)
        self.assertEqual(again["r-7"]["sluice"],
                         {"attempts": 0, "cost": 0, "cached": True})
        self.assertEqual(self.s.sql(
            "select sum(requests), sum(input_tokens + output_tokens), sum(money) "
            "from sluice.usage_all where path_id = 0 and kind = 'batch'"), f"{n}|0|0")
        # Some known, some not; one that is not the same each time; twice in it
        text = "".join(x + "\n" for x in (
            line("a", "hello 1", temperature=0), line("b", "new", temperature=0),
            line("c", "new", temperature=0), line("d", "hello 1"),
            line("e", "hello 1")))
        sent, done, got = self.run_batch(text)
        self.assertEqual((sent, set(got)), (3, set("abcde")))
        self.assertEqual(done["sluice"]["cached"], 1)
        self.assertEqual(done["sluice"]["duplicates"], 1)
        self.assertEqual(got["a"]["response"]["body"],
                         first["r-1"]["response"]["body"])
        self.assertEqual(got["b"]["response"], got["c"]["response"])
        self.assertEqual(self.s.sql("select count(*) from sluice.twin"), "0")
        # Not another's, nor what asks otherwise, nor when it is off.
        text = self.text(5, temperature=0)
        self.assertEqual(self.run_batch(text, key=OTHER_KEY)[0], 5)
        self.kept(n + 6)
        self.assertEqual(self.run_batch(text, sluice={"max_tokens": 9})[0], 5)
        self.kept(n + 11)
        self.assertEqual(self.run_batch(text, sluice={"max_tokens": 9})[0], 0)
        self.account("default", cache=False)
        self.assertEqual(self.run_batch(text)[0], 5)
        self.kept(5)

    def test_live_calls_and_lines_serve_each_other(self):
        until(lambda: self.s.sql("select count(live_url) from sluice.worker") == "1",
              what="a worker takes live calls")

        def live(i):
            body = json.loads(line("x", f"hello {i}", temperature=0))["body"]
            return self.s.call("POST", CHAT, json_body=body)

        a = live(0)
        self.assertEqual(a.headers["x-sluice-cache"], "miss")
        self.kept(1)
        sent, done, got = self.run_batch(self.text(3, temperature=0))
        self.assertEqual((sent, done["sluice"]["cached"]), (2, 1))
        self.assertEqual(got["r-0"]["response"]["body"], a.json)
        self.kept(3)
        a = live(2)
        self.assertEqual(a.headers["x-sluice-cache"], "hit")
        self.assertEqual(got["r-2"]["response"]["body"], a.json)
        self.assertEqual(self.up.stats()["accepted"], 3)
