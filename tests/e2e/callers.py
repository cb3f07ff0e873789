"""What tests of callers stand on: a Sluice and the command line to set it."""
import unittest

from e2e.cli import sluice
from e2e.harness import Sluice, raw, serial


class CallersCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = Sluice(workers=0)
        cls.url = f"http://127.0.0.1:{cls.s.port}"

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()

    def ok(self, *args, **more):
        p = sluice(*args, url=self.url, **more)
        self.assertEqual(p.returncode, 0, (args, p.stderr))
        return p.stdout

    def bad(self, code, *args, **more):
        p = sluice(*args, url=self.url, **more)
        self.assertEqual(p.returncode, code, (args, p.stdout, p.stderr))
        return p.stderr

    def post(self, path, doc, status=200):
        a = self.s.call("POST", path, json_body=doc)
        self.assertEqual(a.status, status, a.body)
        return a.json

    def key(self, account, *args):
        return self.ok("key", "create", "--account", account, *args).strip()

    def caller(self, *plan):
        """A plan, an account that has it, a key of that."""
        name = serial("caller")
        self.ok("plan", "add", name, *plan)
        self.ok("account", "create", name, "--plan", name)
        return name, self.key(name, "--name", name)

    def headers(self, key, path="/v1/files"):
        """As they stand in the answer, letter by letter."""
        head = raw(self.s.port, f"GET {path} HTTP/1.1\r\nHost: x\r\n"
                   f"Authorization: Bearer {key}\r\nConnection: close\r\n\r\n"
                   .encode()).split(b"\r\n\r\n")[0].decode()
        return dict(x.split(": ", 1) for x in head.split("\r\n")[1:])

    def use(self, name, units, window=60, suffix=""):
        """As the door leaves it: so much has been used just now."""
        self.s.sql(f"""
            with l as (select l.*, case l.per when 'key' then 'key:' || k.id
                    else 'account:' || a.id end || '{suffix}' as subject
                from sluice.plan p join sluice.caller_limit l on l.plan_id = p.id
                join sluice.account a on a.plan_id = p.id
                join sluice.api_key k on k.account_id = a.id
                where p.name = '{name}' and l.dimension = 'requests'
                    and l.window_s = {window} and l.model = '*'
            ), c as (insert into sluice.caller_cell
                select id, subject, floor(extract(epoch from clock_timestamp())),
                    {units} from l where algorithm = 'sliding')
            insert into sluice.caller_state (limit_id, subject, used, since)
            select id, subject, {units}, clock_timestamp() from l""")
