"""Webhooks: signed, tried until heard, from the database, and never inside."""
import base64
import hashlib
import hmac
import http.server
import json
import os
import subprocess
import threading
import time
import unittest

from e2e.harness import KEY, Listening, Sluice, Upstream, folder, lines, program, serial, until

LOCAL = ("--webhook-nets", "127.0.0.0/8", "--webhook-ports", "*",
         "--webhook-schemes", "https,http")


class Receiver(Listening):
    """answer(n) -> status of the n-th request, or None: hold it until released."""

    def __init__(self, answer):
        self.got = []
        self.release = threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append((dict(self.headers.items()), body, self.path))
                status = answer(len(receiver.got))
                if status is None:
                    receiver.release.wait(60)
                    status = 200
                try:
                    self.send_response(status)
                    if status == 302:
                        self.send_header("location", receiver.url + "/elsewhere")
                    self.send_header("content-length", "0")
                    self.end_headers()
                except OSError:
                    pass

        super().__init__(Handler)

    def stop(self):
        self.release.set()
        super().stop()


class Hooks(unittest.TestCase):
    def setUp(self):
        self.up = Upstream()
        self.s = Sluice(worker_options=LOCAL)
        self.s.path(self.up)
        self.secret = os.path.join(folder(), serial("hook") + ".key")
        made = subprocess.run([program("sluice"), "webhook", "secret"],
                              capture_output=True, text=True, check=True)
        with open(self.secret, "w") as f:
            f.write(made.stdout)
        self.key = base64.b64decode(made.stdout.strip()[len("whsec_"):])

    def tearDown(self):
        self.s.stop()
        self.up.stop()

    def cli(self, *args):
        return subprocess.run(
            [program("sluice"), "--server", f"http://127.0.0.1:{self.s.port}",
             "webhook", *args], capture_output=True, text=True,
            env=dict(os.environ, SLUICE_API_KEY=KEY))

    def add(self, url, *more):
        p = self.cli("add", url, "--account", "default", "--secret-file",
                     self.secret, "--json", *more)
        self.assertEqual(p.returncode, 0, p.stderr)
        return json.loads(p.stdout)["id"]

    def check(self, got):
        headers, body, _ = got
        h = {k.lower(): v for k, v in headers.items()}
        text = f"{h['webhook-id']}.{h['webhook-timestamp']}.".encode() + body
        want = base64.b64encode(hmac.new(self.key, text, hashlib.sha256).digest())
        self.assertEqual(h["webhook-signature"], "v1," + want.decode())
        self.assertLess(abs(time.time() - int(h["webhook-timestamp"])), 60)
        doc = json.loads(body)
        self.assertEqual(doc["id"], h["webhook-id"])
        return doc

    def now(self):
        """Do not wait for what is due later."""
        self.s.sql("update sluice.outbox set due_at = now(), held_until = null "
                   "where state = 'due'")

    def test_told_until_heard_whatever_crashes(self):
        # Fails, is held while the worker dies, hears it.
        r = Receiver(lambda n: {1: 500, 2: None}.get(n, 204))
        hook = self.add(r.url + "/x?y=1", "--event", "completed")
        b = self.s.submit(lines(3), metadata={"job": "nightly"})
        until(lambda: len(r.got) == 1, what="the first try")
        until(lambda: self.s.sql("select status from sluice.outbox") == "500")
        self.now()
        until(lambda: len(r.got) == 2, what="the second try")
        self.s.workers[0].kill()
        self.assertEqual(self.s.sql("select state, tries from sluice.outbox"),
                         "due|2")
        self.s.workers = [self.s.start_worker(*LOCAL)]
        self.now()
        until(lambda: len(r.got) == 3, what="the third try")
        docs = [self.check(g) for g in r.got]
        self.assertEqual(r.got[0][2], "/x?y=1")
        self.assertEqual(len({g[1] for g in r.got}), 1, "the same bytes")
        self.assertEqual(docs[0]["type"], "batch.completed")
        self.assertEqual(docs[0]["data"]["id"], b)
        self.assertEqual(docs[0]["data"]["metadata"], {"job": "nightly"})
        self.assertEqual(docs[0]["data"]["request_counts"],
                         {"total": 3, "completed": 3, "failed": 0})
        until(lambda: self.s.sql("select state, tries from sluice.outbox")
              == "delivered|3")
        shown = json.loads(self.cli("show", hook, "--json").stdout)
        self.assertEqual(shown["recent"][0]["batch"], b)
        self.assertEqual(shown["waiting"], 0)
        r.stop()

    def test_test_says_what_came_of_it(self):
        r = Receiver(lambda n: {1: 200, 2: 302}.get(n, 410))
        hook = self.add(r.url)
        p = self.cli("test", hook)
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
        self.assertIn("delivered", p.stdout)
        self.assertEqual(self.check(r.got[0])["type"], "webhook.test")
        p = self.cli("test", hook, "--json")
        self.assertEqual(p.returncode, 1)
        self.assertIn("redirects", json.loads(p.stdout)["why"])
        self.assertEqual(len(r.got), 2, "a redirect is not followed")
        self.assertEqual(self.cli("test", hook).returncode, 1)
        self.assertEqual(json.loads(self.cli("list", "--json").stdout)
                         ["data"][0]["status"], "disabled")
        with open(self.secret, "w") as f:
            f.write("sk-of-an-upstream\n")
        p = self.cli("test", hook, "--json")
        self.assertIn("whsec_", json.loads(p.stdout)["why"])
        self.assertEqual(len(r.got), 3, "without a signature nothing is sent")
        self.assertEqual(self.cli("remove", hook).returncode, 0)
        self.assertEqual(self.cli("show", hook).returncode, 5)
        r.stop()

    def test_nothing_goes_inside_unless_the_operator_says_so(self):
        r = Receiver(lambda n: 200)
        self.s.workers[0].stop()
        self.s.workers = [self.s.start_worker("--webhook-ports", "*",
                                              "--webhook-schemes", "https,http")]
        port = r.url.rsplit(":", 1)[1]
        for host in ("localhost", "0x7f.1", "[::ffff:127.0.0.1]"):
            hook = self.add(f"http://{host}:{port}/")
            p = self.cli("test", hook, "--json")
            self.assertEqual(p.returncode, 1, host)
            self.assertIn("not allowed", json.loads(p.stdout)["why"], host)
        self.s.workers[0].stop()
        self.s.workers = [self.s.start_worker("--webhook-nets", "127.0.0.0/8",
                                              "--webhook-ports", "*")]
        hook = self.add(r.url)
        self.assertIn("TLS", json.loads(self.cli("test", hook, "--json").stdout)["why"])
        self.assertEqual(r.got, [])
        r.stop()

    def test_what_cannot_be_one_is_refused(self):
        for url in ("ftp://x/", "https://", "https:///x", "https://u@x/",
                    "https://x/#f", "https://x/ y", "x"):
            a = self.s.call("POST", "/admin/v1/webhooks", json_body={
                "account": "default", "url": url, "secret_file": "/k"})
            self.assertEqual((a.status, a.error["param"]), (400, "url"), url)
        for change in ({"events": ["batch.started"]}, {"events": []},
                       {"secret_file": ""}, {"more": 1}, {"account": 7}):
            a = self.s.call("POST", "/admin/v1/webhooks", json_body={
                "account": "default", "url": "https://x/", "secret_file": "/k",
                **change})
            self.assertEqual(a.status, 400, a.body)
        p = self.cli("add", "https://x/", "--account", "nobody", "--secret-file", "k")
        self.assertEqual(p.returncode, 5, p.stderr)

    def test_who_listens_hears_of_ends(self):
        p = subprocess.Popen(
            ["psql", "-XAtq", "-d", self.s.pg.dsn(self.s.db, "sluice_reader")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        p.stdin.write("listen sluice_batch;\nselect 'ready';\n")
        p.stdin.flush()
        self.assertEqual(p.stdout.readline().strip(), "ready")
        b = self.s.submit(lines(1))
        self.s.wait(b)
        out, _ = p.communicate("select 1;\n")
        self.assertIn('{"id" : "%s", "status" : "completed"}' % b, out)
