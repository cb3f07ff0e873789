"""Who used what: counted with the results, whatever happens to lines."""
import json
import unittest

from e2e.harness import Sluice, Upstream, line, lines
from e2e.test_cli import sluice


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

    def rows(self, **where):
        names = ("account", "key", "path", "model", "kind", "requests", "failed",
                 "input_tokens", "output_tokens")
        text = self.s.sql("""
            select json_agg(row_to_json(r)) from (
                select a.name as account, k.name as key, p.name as path, u.model,
                    u.kind, sum(requests) as requests, sum(failed) as failed,
                    sum(input_tokens) as input_tokens,
                    sum(output_tokens) as output_tokens
                from sluice.usage_all u
                join sluice.account a on a.id = u.account_id
                left join sluice.api_key k on k.id = u.key_id
                left join sluice.path p on p.id = u.path_id
                group by 1, 2, 3, 4, 5 order by u.model) r""")
        return [{n: r[n] for n in names} for r in json.loads(text or "[]")]

    def test_a_batch_is_counted_as_its_results_are(self):
        b = self.s.submit(lines(500) + "".join(
            line(f"two-{i}", model="m2") + "\n" for i in range(100)))
        self.assertEqual(self.s.wait(b)["status"], "completed")
        got = self.s.results(b)
        rows = self.rows()
        self.assertEqual([r["model"] for r in rows], ["m1", "m2"])
        for r in rows:
            mine = sums({k: v for k, v in got.items()
                         if k.startswith("two") == (r["model"] == "m2")})
            self.assertEqual({k: r[k] for k in mine}, mine)
            self.assertEqual((r["account"], r["key"], r["path"], r["kind"]),
                             ("default", "test", "sim", "batch"))

    def test_failed_lines_are_and_attempts_are_not_counted(self):
        bad = Upstream("--fault", "400=0.2", "--fault", "503=0.2")
        self.addCleanup(bad.stop)
        self.s.path(bad)
        b = self.s.submit(lines(200))
        counts = self.s.wait(b)["request_counts"]
        self.assertGreater(counts["failed"], 10)
        mine = sums(self.s.results(b))
        self.assertEqual(mine["failed"], counts["failed"])
        self.assertEqual({k: self.rows()[0][k] for k in mine}, mine)


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
