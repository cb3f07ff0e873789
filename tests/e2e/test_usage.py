"""Who used what: counted with the results, whatever happens to lines."""
import csv
import io
import json
import re
import unittest

from e2e.harness import KEY, OTHER_KEY, Sluice, Upstream, line, lines
from e2e.cli import sluice


def sums(results):
    """Of a batch's lines, as usage counts them."""
    total = {"requests": 0, "failed": 0, "input_tokens": 0, "output_tokens": 0}
    for one in results.values():
        total["requests"] += 1
        if not one["response"] or one["response"]["status_code"] >= 400:
            total["failed"] += 1
            continue
        usage = one["response"]["body"]["usage"]
        total["input_tokens"] += usage["prompt_tokens"]
        total["output_tokens"] += usage["completion_tokens"]
    return total


class Usage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.up = Upstream()

    @classmethod
    def tearDownClass(cls):
        cls.up.stop()

    def setUp(self):
        self.s = Sluice()
        self.addCleanup(self.s.stop)
        self.s.path(self.up)

    def ask(self, query="", key=KEY, url="/admin/v1/usage"):
        a = self.s.get(f"{url}?{query}", key=key)
        self.assertEqual(a.status, 200, a.body)
        return a.json

    def csv(self, query):
        a = self.s.get(f"/admin/v1/usage?format=csv&{query}")
        self.assertEqual(a.status, 200, a.body)
        self.assertEqual(a.headers["content-type"], "text/csv; charset=utf-8")
        return list(csv.DictReader(io.StringIO(a.body.decode(), newline="")))

    def test_a_batch_is_counted_as_its_results_are(self):
        b = self.s.submit(lines(500) + "".join(
            line(f"two-{i}", model="m2") + "\n" for i in range(100)))
        self.assertEqual(self.s.wait(b)["status"], "completed")
        got = self.s.results(b)
        doc = self.ask("by=account,key,model,path,kind,resource")
        self.assertEqual([r["model"] for r in doc["data"]], ["m1", "m2"])
        for r in doc["data"]:
            mine = sums({k: v for k, v in got.items()
                         if k.startswith("two") == (r["model"] == "m2")})
            self.assertEqual({k: r[k] for k in mine}, mine)
            self.assertEqual((r["account"], r["key_name"], r["path"], r["kind"],
                              r["resource"]),
                             ("default", "test", "sim", "batch", "chat"))
            self.assertRegex(r["key"], "^key_[0-9]+$")
        self.assertEqual({k: doc["total"][k] for k in mine}, sums(got))
        self.assertFalse(doc["has_more"])

    def test_failed_lines_are_and_attempts_are_not_counted(self):
        bad = Upstream("--fault", "400=0.2", "--fault", "503=0.2")
        self.addCleanup(bad.stop)
        self.s.path(bad)
        b = self.s.submit(lines(200))
        counts = self.s.wait(b)["request_counts"]
        self.assertGreater(counts["failed"], 10)
        mine = sums(self.s.results(b))
        self.assertEqual(mine["failed"], counts["failed"])
        total = self.ask()["total"]
        self.assertEqual({k: total[k] for k in mine}, mine)

    def add(self, account="default", minutes_ago=0, key=0, model="m", requests=0,
            refused=0, tokens=0, money=0, kind="live"):
        self.s.sql(f"""
            insert into sluice.usage (span_s, at, account_id, key_id, model, kind,
                requests, refused, input_tokens, money)
            select 60, date_trunc('minute', now()) - interval '{minutes_ago} min',
                id, {key}, $${model}$$, '{kind}', {requests}, {refused}, {tokens},
                {money} from sluice.account where name = '{account}'""")

    def test_spans_filters_and_csv(self):
        for i in range(5):
            self.add(minutes_ago=70 * i, requests=i, refused=1, tokens=10,
                     money=150001, model="a,\"b\"" if i % 2 else "c")
        self.add("other", requests=100)
        self.add(minutes_ago=60 * 24 * 3, requests=1000)
        self.assertEqual(self.ask()["total"]["requests"], 110)
        self.assertEqual(self.ask("since=4d")["total"]["requests"], 1110)
        self.assertEqual(self.ask("since=4d&until=2d")["total"]["requests"], 1000)
        self.assertEqual(self.ask("since=2001-01-01&until=2001-01-02T03:04:05Z")[
            "data"], [])
        self.assertEqual(self.ask("account=default&model=c*")["total"], {
            "requests": 6, "failed": 0, "refused": 3, "input_tokens": 30,
            "cached_tokens": 0, "output_tokens": 0, "money": 450003})
        self.assertEqual(self.ask("path=sim")["total"]["requests"], 0)
        self.assertEqual(self.ask("key=key_77")["total"]["requests"], 0)
        hours = self.ask("per=hour&account=default")["data"]
        self.assertEqual([r["requests"] for r in hours], [4, 3, 2, 1, 0])
        self.assertTrue(all(r["at"] % 3600 == 0 for r in hours))
        rows = self.csv("per=minute&by=account,model&account=default")
        self.assertEqual([r["model"] for r in rows],
                         ["c", "a,\"b\"", "c", "a,\"b\"", "c"])
        self.assertEqual(list(rows[0]), [
            "at", "account", "model", "requests", "failed", "refused",
            "input_tokens", "cached_tokens", "output_tokens", "money"])
        self.assertRegex(rows[0]["at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:00Z$")
        self.assertEqual((rows[0]["requests"], rows[0]["money"]),
                         ("4", "0.150001"))
        for query in ("by=who", "per=week", "since=yesterday", "key=7",
                      "until=5", "format=xml", "account=%ff"):
            with self.subTest(query):
                a = self.s.get(f"/admin/v1/usage?{query}")
                self.assertEqual(a.status, 200 if query == "until=5" else 400)

    def test_an_account_sees_its_own_alone(self):
        self.add(requests=7)
        self.add("other", requests=5)
        for key, requests in ((KEY, 7), (OTHER_KEY, 5)):
            for query in ("by=account", "account=default&by=account",
                          "account=other&by=account"):
                doc = self.ask(query, key, "/v1/usage")
                self.assertEqual([r["requests"] for r in doc["data"]], [requests])
        key = self.s.call("POST", "/admin/v1/keys", json_body={
            "account": "other", "scopes": ["read"]}).json["key"]
        self.assertEqual(self.ask("", key, "/v1/usage")["total"]["requests"], 5)
        for url in ("", "/peak", "/forecast"):
            self.assertEqual(
                self.s.get(f"/admin/v1/usage{url}", key=key).status, 403)
        peaks = self.ask("", key, "/v1/usage/peak")["data"]
        self.assertEqual({r["account"] for r in peaks}, {"other"})

    def run_it(self, *args, code=0, key=KEY):
        p = sluice("usage", *args, url=f"http://127.0.0.1:{self.s.port}", key=key)
        self.assertEqual(p.returncode, code, (p.stdout, p.stderr))
        return p.stdout if code == 0 else p.stderr

    def test_the_command(self):
        self.add(requests=3, tokens=20, refused=2, money=1500000, model="m")
        self.add("other", requests=4, minutes_ago=120, model="\x1b[1mn")
        rows = [r.split("\t") for r in self.run_it("--by", "model").splitlines()]
        self.assertEqual(rows, [
            ["MODEL", "REQUESTS", "FAILED", "REFUSED", "TOKENS IN", "CACHED",
             "TOKENS OUT", "MONEY"],
            ["\\x1b[1mn", "4", "0", "0", "0", "0", "0", "0.00"],
            ["m", "3", "0", "2", "20", "0", "0", "1.50"]])
        rows = self.run_it("--per", "hour", "--since", "1h", "--by",
                           "account").splitlines()
        self.assertEqual(len(rows), 2)
        self.assertRegex(rows[1], r"^\S+T\S+:00:00Z\tdefault\t3\t")
        doc = json.loads(self.run_it("--json", "--by", "account", "--model",
                                     "m&by=key"))
        self.assertEqual((doc["by"], doc["data"]), (["account"], []))
        self.assertEqual(self.run_it("--csv", "--mine", key=OTHER_KEY),
                         "requests,failed,refused,input_tokens,cached_tokens,"
                         "output_tokens,money\n4,0,0,0,0,0,0.00\n")
        self.assertIn("must be minute", self.run_it("--per", "week", code=1))
        self.run_it("--csv", "--peak", code=2)

    def test_peaks_and_forecasts_in_words(self):
        self.add(requests=90, tokens=20)
        self.add(requests=10, minutes_ago=1)
        for amount, algorithm, used, window, since in (
                (200, "anchored", 150, 86400, "23 hours"),
                (1000, "anchored", 100, 86400, "1 hour"),
                (100, "sliding", 0, 60, "0")):
            self.s.sql(f"""
                with l as (insert into sluice.caller_limit (account_id, per,
                    dimension, window_s, amount, algorithm, applies)
                    select id, 'account', 'requests', {window}, {amount},
                        '{algorithm}', 'both' from sluice.account
                    where name = 'default' returning id, account_id)
                insert into sluice.caller_state (limit_id, subject, used, since,
                    peak)
                select id, 'account:' || account_id, {used},
                    now() - interval '{since}', 90 from l""")
        text = self.run_it("--peak", "--by", "account")
        rows = [r.split("\t") for r in text.splitlines()]
        minute = next(r for r in rows if r[1:2] == ["requests/1m"])
        self.assertEqual((minute[0], minute[2], minute[4], minute[5]),
                         ("default", "90", "100", "90.0%"))
        day = next(r for r in rows if r[:1] == ["requests/1d"]
                   and r[5] == "1000")
        self.assertRegex(day[1], "^account:[0-9]+$")
        self.assertEqual(day[2:], ["default", "100", "100", "1000", "10.0%"])
        said = [r.split("\t")[-1] for r in
                self.run_it("--forecast").splitlines()[1:]]
        self.assertEqual(len(said), 2)
        self.assertTrue(any(re.match(
            r"at this pace reached at .*; above 80% on 0 of 1 day$", x)
            for x in said), said)
        self.assertTrue(any(re.match(
            r"at this pace reached at .*, begins anew at ", x)
            for x in said), said)


class Prices(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.up = Upstream()
        cls.s = Sluice()
        cls.url = f"http://127.0.0.1:{cls.s.port}"

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()
        cls.up.stop()

    def run_it(self, *args, code=0):
        p = sluice(*args, url=self.url)
        self.assertEqual(p.returncode, code, (p.stdout, p.stderr))
        return p.stdout if code == 0 else p.stderr

    def prices(self, path):
        return self.s.get(f"/admin/v1/paths/{path}").json["prices"]

    def test_prices_are_set_shown_kept_and_removed(self):
        said = self.run_it(
            "path", "add", "p", "--url", self.up.url, "--models", "*",
            "--price", "gpt-4*:input=0.15,cached=0.075,output=0.60",
            "--price", "input=1,output=2.000001")
        self.assertIn("path p: price of gpt-4* is input 0.15, cached 0.075, "
                      "output 0.60\n", said)
        self.assertIn("price of * is input 1.00, output 2.000001\n", said)
        want = [{"model": "*", "input": 1000000, "output": 2000001},
                {"model": "gpt-4*", "input": 150000, "cached_input": 75000,
                 "output": 600000}]
        self.assertEqual(self.prices("p"), want)
        rows = [r.split("\t") for r in
                self.run_it("path", "show", "p").splitlines()]
        self.assertIn(["gpt-4*", "0.15", "0.075", "0.60"], rows)
        self.assertIn(["*", "1.00", "", "2.000001"], rows)
        self.run_it("path", "edit", "p", "--attempts", "3")
        self.assertEqual(self.prices("p"), want)
        said = self.run_it("path", "edit", "p", "--price",
                           "gpt-4*:input=0.2", "--no-price", "*")
        self.assertEqual(said, "path p: price of * removed\npath p: price of "
                         "gpt-4* is input 0.20, output 0.00\n")
        self.assertEqual(self.prices("p"), [
            {"model": "gpt-4*", "input": 200000, "output": 0}])

    def test_wrong_prices_say_what_is_right(self):
        for spec, says in (("m:input=0.1234567", "at most 6 places"),
                           ("m:in=1", "write input=0.15"),
                           ("m:input=1,input=2", "twice"),
                           ("m:input=-1", "not an amount of money")):
            with self.subTest(spec):
                self.assertIn(says, self.run_it(
                    "path", "add", "w", "--url", self.up.url, "--models", "*",
                    "--price", spec, code=2))
        for price in ({"input": -1}, {"input": 0.5}, {"output": 10 ** 16},
                      {"model": ""}, {"model": 7}, {"cached_input": "1"}, 5):
            with self.subTest(price):
                a = self.s.call("POST", "/admin/v1/apply", json_body={
                    "paths": [{"name": "w", "url": self.up.url,
                               "models": ["*"], "prices": [price]}]})
                self.assertEqual(a.status, 400, a.body)
                self.assertIn("prices", a.error["param"])
