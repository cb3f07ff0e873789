"""The door under many callers and several sluiced: exactly the limit is let in.

The program tests/door stands for a sluiced's callers; the database, its dispatcher
(which gives up what nobody settles) and every lock are real.
"""
import datetime
import json
import os
import unittest

from .harness import Process, Sluice, folder, lines, program, serial, until

DAY = 86400


class Door(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = Sluice(workers=0)
        cls.s.sql("""
            insert into sluice.worker (name, max_in_flight, lease_until, live_url,
                live_token) values ('w', 9, 'infinity', 'http://127.0.0.1:9', 't')""")
        cls.s.apply({"paths": [{"name": "p", "url": "http://127.0.0.1:9",
                                "models": ["*"], "limits": []}]})

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()

    def key(self):
        """A fresh key of an account of its own: (account, key)."""
        name = serial("door")
        return self.s.sql(f"""
            with a as (insert into sluice.account (name) values ('{name}')
                       returning id)
            insert into sluice.api_key (account_id, name, hash, hint, scopes)
            select id, 'k', sha256('{name}'::bytea), 'xxxx', '{{live}}' from a
            returning account_id || ' ' || id""").split()

    def limit(self, key, dimension, window_s, amount, algorithm="fixed"):
        return self.edit(f"""
            insert into sluice.caller_limit (key_id, per, dimension, window_s, amount,
                algorithm) values ({key}, 'key', '{dimension}', {window_s}, {amount},
                '{algorithm}') returning id""")

    def edit(self, sql):
        """As operators' commands do: in one transaction with the revision."""
        return self.s.sql("begin; update sluice.config set callers_revision ="
                          f" callers_revision + 1; {sql}; commit")

    def start(self, who, *options, user="sluice"):
        log = os.path.join(folder(), serial("door_program"))
        return Process([program("door"), "--database", self.s.pg.dsn(self.s.db, user),
                        "--account", who[0], "--key", who[1], *options], log)

    def end(self, *programs):
        """Their last lines, summed up."""
        total = {}
        for p in programs:
            until(lambda: not p.alive(), 120, "the callers are through")
            self.assertEqual(p.stop(), 0, p.text())
            for k, v in self.said(p)[-1].items():
                total[k] = total.get(k, 0) + v
        return total

    def said(self, p):
        return [json.loads(x) for x in p.text().splitlines() if x.startswith("{")]

    def state(self, limit):
        used, reserved = self.s.sql(
            "select coalesce(sum(used), 0), coalesce(sum(reserved), 0) from "
            f"sluice.caller_state where limit_id = {limit}").split("|")
        return int(used), int(reserved)

    def test_exactly_the_limit_while_it_is_edited(self):
        who = self.key()
        limit = self.limit(who[1], "requests", DAY, 50)

        def amount(n):
            self.edit(f"update sluice.caller_limit set amount = {n} "
                      f"where id = {limit}")

        def run():
            return self.end(*[self.start(who, "--callers", "67", "--asks", "200",
                                         user="sluice_api") for _ in range(3)])

        first = run()
        self.assertEqual((first["yes"], first["limited"]), (50, 550))
        self.assertEqual(self.state(limit), (50, 0))
        # All at it while the limit falls and rises.
        crowd = [self.start(who, "--callers", "67", "--seconds", "8")
                 for _ in range(3)]
        amount(30)
        self.assertEqual(self.state(limit)[0], 50)
        amount(65)
        until(lambda: self.state(limit)[0] == 65, 30, "up to the new limit at once")
        amount(30)
        amount(80)
        until(lambda: self.state(limit)[0] == 80, 30, "and to the next")
        total = self.end(*crowd)
        self.assertEqual((total["yes"], total["db"]), (30, 0), total)
        self.assertEqual(self.state(limit), (80, 0))

    def test_told_when_the_day_ends(self):
        who = self.key()
        self.limit(who[1], "requests", DAY, 0)
        p = self.start(who, "--verbose")
        self.end(p)
        told = self.said(p)[0]
        self.assertEqual((told["verdict"], told["wait_us"], told["limit"],
                          told["scope"]), ("limited", -1, "requests/1d", "key"))
        who = self.key()
        self.limit(who[1], "requests", DAY, 1)
        p = self.start(who, "--verbose", "--asks", "2")
        self.end(p)
        now = datetime.datetime.now(datetime.timezone.utc)
        left = DAY - (now - now.replace(hour=0, minute=0, second=0,
                                        microsecond=0)).total_seconds()
        yes, no = self.said(p)[:2]
        self.assertEqual((yes["verdict"], yes["used"]), ("yes", 1))
        self.assertEqual((no["verdict"], no["used"], no["amount"]), ("limited", 1, 1))
        self.assertLess(abs(no["wait_us"] / 1e6 - left), 30)    # our own clock's
        self.assertEqual(no["wait_us"], no["reset_us"])

    def test_who_waits_as_told_passes(self):
        """One caller obeys to the microsecond and is never refused twice."""
        for algorithm in ("sliding", "fixed", "anchored", "bucket"):
            with self.subTest(algorithm):
                who = self.key()
                self.limit(who[1], "requests", 2, 4, algorithm)
                got = self.end(self.start(who, "--obey", "--asks", "12"))
                self.assertEqual((got["yes"], got["early"]), (12, 0), got)
                self.assertGreaterEqual(got["limited"], 2)
                self.assertLess(got["seconds"], 12)

    def test_a_million_tokens_of_a_model(self):
        """On a model by a named limit: three accounts share the counter."""
        model = serial("model-")
        limit = self.edit(f"""
            with n as (insert into sluice.named_limit (name) values ('{model}')
                       returning id),
                 t as (insert into sluice.named_attach (named_id, model)
                       select id, '{model}' from n)
            insert into sluice.caller_limit (named_id, per, dimension, window_s,
                amount, algorithm)
            select id, 'attached', 'tokens', {DAY}, 1000000, 'fixed' from n
            returning id""")
        # 10,000 reserved each, 5,000 used: 199 end, the last 5,000 are too few.
        crowd = [self.start(self.key(), "--model", model, "--callers", "67", "--asks",
                            "300", "--tokens", "7000,3000", "--used", "4000,1000")
                 for _ in range(3)]
        most = 0
        while any(p.alive() for p in crowd):
            most = max(most, sum(self.state(limit)))
        total = self.end(*crowd)
        self.assertLessEqual(most, 1000000)
        used, reserved = self.state(limit)
        self.assertEqual(reserved, 0)
        self.assertEqual(used, 5000 * total["yes"])
        # No call passes that might have used more than is left.
        self.assertLessEqual(used, 1000000)
        more = self.end(self.start(self.key(), "--model", model, "--asks", "300",
                                   "--tokens", "7000,3000", "--used", "4000,1000"))
        used, reserved = self.state(limit)
        self.assertEqual((used, reserved), (995000, 0), more)

    def test_kill_between_reserve_and_settle(self):
        who = self.key()
        tokens = self.limit(who[1], "tokens", DAY, 100000)
        seats = self.limit(who[1], "concurrent", 0, 5)
        p = self.start(who, "--callers", "3", "--asks", "3", "--tokens", "100,900",
                       "--verbose", "--used", "1,1")
        self.end(p)
        self.assertEqual(self.state(tokens), (6, 0))
        # It holds what it was given, and dies.
        p = self.start(who, "--callers", "3", "--seconds", "600", "--tokens",
                       "100,900", "--verbose")
        until(lambda: self.state(seats)[1] == 5, 30, "five calls are open")
        p.kill()
        self.assertEqual(self.state(tokens), (6, 5000))
        self.assertEqual(self.end(self.start(who, "--asks", "9"))["yes"], 0)
        until(lambda: self.state(seats)[1] == 0, 60, "nothing is held any more")
        self.assertEqual(self.state(tokens), (5006, 0), "charged as estimated")
        got = self.end(self.start(who, "--asks", "9", "--used", "1,1"))
        self.assertEqual(got["yes"], 9)

    def test_refusals_are_counted(self):
        who = self.key()
        self.limit(who[1], "requests", DAY, 2)
        self.end(self.start(who, "--callers", "5", "--asks", "42"))
        self.assertEqual(self.s.sql(
            "select sum(refused) from sluice.usage_all where account_id = "
            f"{who[0]} and key_id = {who[1]} and model = 'm'"), "40")

    def test_a_model_that_nobody_serves(self):
        self.s.apply({"paths": [{"name": "p", "url": "http://127.0.0.1:9",
                                 "models": ["m*"], "limits": []}]})
        who = self.key()
        got = self.end(self.start(who, "--model", "nothing", "--callers", "3",
                                  "--asks", "9"))
        self.assertEqual((got["no_model"], got["yes"]), (9, 0))

    def test_batches_wait_outside(self):
        account, key = self.s.sql(
            "select account_id || ' ' || k.id from sluice.api_key k join "
            "sluice.account a on a.id = account_id where a.name = 'default'").split()
        limits = self.edit(f"""
            insert into sluice.caller_limit (account_id, per, dimension, window_s,
                amount, applies)
            values ({account}, 'account', 'enqueued_requests', 0, 10, 'batch'),
                ({account}, 'account', 'enqueued_tokens', 0, 8000, 'batch'),
                ({account}, 'account', 'money', {DAY}, 100000, 'both')
            returning id""").split()
        self.s.sql("insert into sluice.price (path_id, model, output) "
                   "select id, 'm1', 2000000 from sluice.path")

        def up(n, **more):
            a = self.s.upload(lines(n, model="m1", **more))
            self.assertEqual(a.status, 200, a.body)
            return a.json["id"]

        six = up(6, max_tokens=1000)
        first = self.s.batch(six)
        self.assertEqual(first.status, 200, first.body)
        self.assertEqual(self.state(limits[0]), (0, 6))
        bytes_of = self.s.sql("select sum(ceil(len / 3.0)) from sluice.chunk c, "
                              "unnest(c.body_len) len where cardinality(c.cap) = 6")
        self.assertEqual(self.state(limits[1]), (0, 6000 + int(bytes_of)))
        self.assertEqual(self.state(limits[2]), (0, 12000))
        no = self.s.batch(up(5, max_tokens=1))
        self.assertEqual((no.status, no.error["code"], no.headers["retry-after"]),
                         (429, "rate_limit_exceeded", "60"), no.body)
        self.assertEqual((no.error["limit"], no.error["scope"]),
                         ("enqueued_requests", "account"))
        no = self.s.batch(up(1, max_tokens=9000))
        self.assertEqual((no.status, no.error["code"], no.error["limit"],
                          no.headers["retry-after"], no.headers["x-should-retry"]),
                         (429, "request_exceeds_limit", "enqueued_tokens", None,
                          "false"), no.body)
        self.assertEqual(len(self.s.get("/v1/batches").json["data"]), 1)
        self.assertEqual(self.state(limits[0]), (0, 6), "a refused one holds nothing")
        self.assertEqual(self.s.batch(up(4, max_tokens=1)).status, 200)
        self.assertEqual(self.state(limits[0]), (0, 10))
        a = self.s.call("POST", f"/v1/batches/{first.json['id']}/cancel")
        self.assertEqual(a.status, 200, a.body)
        until(lambda: self.state(limits[0]) == (0, 4), 30, "its end lets others in")
        self.assertEqual(self.s.batch(six).status, 200)


if __name__ == "__main__":
    unittest.main()
