"""Who used what: counted with the results, whatever happens to lines."""
import json
import unittest

from e2e.harness import Sluice, Upstream, line, lines, until


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
