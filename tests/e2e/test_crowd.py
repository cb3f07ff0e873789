"""200 callers at 3 sluiced over HTTP: exactly what the limits allow is let in,
whatever is edited and whoever dies meanwhile."""
import http.client
import json
import threading
import time
import unittest

from .harness import CHAT, KEY, Sluice, serial, until
from .live import Steered, answer

DAY = 86400
CALLERS = 200
# Estimated at 10,000 tokens: a quarter of its bytes and the cap.
BODY = json.dumps({"model": "m1", "max_tokens": 9900,
                   "messages": [{"role": "user", "content": ""}]})
BODY = BODY[:-4] + "x" * (400 - len(BODY)) + BODY[-4:]
USED = json.dumps({"usage": {"prompt_tokens": 4000, "completion_tokens": 1000,
                             "total_tokens": 5000}}).encode()


class Crowd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.up = Steered(answer(body=USED))
        cls.up.server.handle_error = lambda *_: None    # calls that are cut off
        cls.s = Sluice(schedulers=3)
        cls.s.path(cls.up)
        until(lambda: cls.s.sql("select count(*) from sluice.worker where live_url "
                                "is not null") == "1")

    @classmethod
    def tearDownClass(cls):
        cls.up.stop()
        cls.s.stop()

    def setUp(self):
        self.up.act = answer(body=USED)
        self.before = len(self.up.seen)

    def edit(self, sql):
        return self.s.sql("begin; update sluice.config set callers_revision ="
                          f" callers_revision + 1; {sql}; commit")

    def key(self):
        """A fresh key of an account of its own: (its secret, its id)."""
        secret = ("sk-slc-" + serial("crowd")).ljust(len(KEY), "C")
        return secret, self.s.sql(f"""
            with a as (insert into sluice.account (name) values ('{secret}')
                       returning id)
            insert into sluice.api_key (account_id, name, hash, hint, scopes)
            select id, 'k', sha256('{secret}'::bytea), 'xxxx', '{{live}}' from a
            returning id""")

    def requests_a_day(self, key, amount):
        return self.edit(f"""
            insert into sluice.caller_limit (key_id, per, dimension, window_s,
                amount, algorithm)
            values ({key}, 'key', 'requests', {DAY}, {amount}, 'fixed')
            returning id""")

    def amount(self, limit, n):
        self.edit(f"update sluice.caller_limit set amount = {n} where id = {limit}")

    def state(self, limit):
        used, reserved = self.s.sql(
            "select coalesce(sum(used), 0), coalesce(sum(reserved), 0) from "
            f"sluice.caller_state where limit_id = {limit}").split("|")
        return int(used), int(reserved)

    def idle(self, limit):
        until(lambda: self.s.sql("select count(*) from sluice.admission") == "0",
              60, "every call is settled")
        used, reserved = self.state(limit)
        self.assertEqual(reserved, 0)
        return used

    def sent(self):
        return len(self.up.seen) - self.before

    def crowd(self, secret, asks=None):
        """Callers that ask so often, or until stop() is called: a thread for each,
        spread over the sluiced; (join, stop, what they were answered)."""
        told, over = [], threading.Event()

        def caller(i):
            c, left = None, asks
            while (left is None or left > 0) and not over.is_set():
                left = None if left is None else left - 1
                p = self.s.schedulers[i % len(self.s.schedulers)]
                try:
                    if c is None:
                        c = http.client.HTTPConnection("127.0.0.1", p.port,
                                                       timeout=60)
                    begun = time.time()
                    c.request("POST", CHAT, BODY, {
                        "Authorization": f"Bearer {secret}",
                        "Content-Type": "application/json"})
                    r = c.getresponse()
                    r.read()
                    told.append((r.status, r.headers["retry-after"], begun,
                                 time.time()))
                    if r.status == 429 and asks is None:
                        over.wait(0.5)  # or these threads do nothing but ask
                except (OSError, http.client.HTTPException):
                    told.append((0, None, 0, 0))    # its sluiced has died
                    c = None
                    over.wait(0.5)
            if c is not None:
                c.close()

        threads = [threading.Thread(target=caller, args=(i,))
                   for i in range(CALLERS)]
        for t in threads:
            t.start()

        def join(stop=False):
            if stop:
                over.set()
            for t in threads:
                t.join(120)
            return told

        return join, told

    def count(self, told, status):
        return sum(t[0] == status for t in told)

    def check_retry_after(self, told):
        """A second's truth: the day of UTC ends then."""
        refused = [t for t in told if t[0] == 429]
        self.assertTrue(refused)
        for _, wait, begun, heard in refused:
            ends = (begun // DAY + 1) * DAY
            self.assertGreaterEqual(heard + int(wait), ends)
            self.assertLessEqual(begun + int(wait), ends + 1)

    def test_exactly_the_limit_while_it_is_edited(self):
        secret, key = self.key()
        limit = self.requests_a_day(key, 50)
        told = self.crowd(secret, asks=2)[0]()
        self.assertEqual((self.count(told, 200), self.count(told, 429)), (50, 350))
        self.check_retry_after(told)
        self.assertEqual((self.idle(limit), self.sent()), (50, 50))
        join, told = self.crowd(secret)
        self.amount(limit, 30)
        n = len(told)
        until(lambda: len(told) > n + CALLERS, 60, "all have heard of it")
        self.assertEqual(self.state(limit)[0], 50)
        self.amount(limit, 80)
        until(lambda: self.state(limit)[0] == 80, 60, "up to the new limit at once")
        n = len(told)
        until(lambda: len(told) > n + CALLERS, 60, "all have asked for more")
        told = join(stop=True)
        self.assertEqual(self.count(told, 200), 30)
        self.check_retry_after(told)
        self.assertEqual((self.idle(limit), self.sent()), (80, 80))

    def test_a_million_tokens_of_a_model(self):
        secret, _ = self.key()
        name = serial("crowd-")
        limit = self.edit(f"""
            with n as (insert into sluice.named_limit (name) values ('{name}')
                       returning id),
                 t as (insert into sluice.named_attach (named_id, model)
                       select id, 'm1' from n)
            insert into sluice.caller_limit (named_id, per, dimension, window_s,
                amount, algorithm)
            select id, 'attached', 'tokens', {DAY}, 1000000, 'fixed' from n
            returning id""")
        join, told = self.crowd(secret)
        most = 0

        def full():
            nonlocal most
            used, reserved = self.state(limit)
            most = max(most, used + reserved)
            return used > 990000 and reserved == 0

        # 199 have used 995,000: what is left is too little for another one.
        until(full, 60, "no further call passes")
        told = join(stop=True)
        self.assertLessEqual(most, 1000000)
        self.assertEqual((self.idle(limit), self.sent()), (995000, 199))
        self.assertEqual(self.count(told, 200), 199)
        self.check_retry_after(told[-100:])
        self.edit(f"update sluice.caller_limit set removed_at = now() "
                  f"where id = {limit}")

    def test_a_sluiced_that_is_killed_with_calls_under_way(self):
        go = threading.Event()

        def act(h, body):
            go.wait(60)
            answer(body=USED)(h, body)

        self.up.act = act
        secret, key = self.key()
        limit = self.requests_a_day(key, 80)
        tokens = self.edit(f"""
            insert into sluice.caller_limit (key_id, per, dimension, window_s,
                amount, algorithm)
            values ({key}, 'key', 'tokens', {DAY}, 1000000, 'fixed') returning id""")
        join, told = self.crowd(secret)
        until(lambda: self.state(limit)[0] == 80 and self.sent() == 80, 60,
              "as many as may are under way")
        self.assertEqual(self.state(tokens), (0, 800000))
        self.s.schedulers[2].kill()
        del self.s.schedulers[2]
        until(lambda: self.count(told, 0) > 0, 60, "its callers have noticed")
        go.set()
        n = len(told)
        until(lambda: len(told) > n + 2 * CALLERS, 60, "all have asked again")
        told = join(stop=True)
        self.assertEqual((self.idle(limit), self.sent()), (80, 80))
        # Who was cut off is charged as estimated, the others what they used.
        answered = self.count(told, 200)
        self.assertTrue(0 < answered < 80, answered)
        self.assertEqual(self.idle(tokens),
                         5000 * answered + 10000 * (80 - answered))


if __name__ == "__main__":
    unittest.main()
