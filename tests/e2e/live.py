"""What tests of live requests stand on: an upstream that they steer."""
import http.client
import http.server
import os
import unittest

from .harness import CHAT, KEY, Listening, Sluice, folder, serial, until

SECRET = "sk-upstream-SECRET-0123456789abcdef"
ODD = (b'{ "model" : "m1",\t"n": 12345678901234567890,"z":1e400, "a":-0.0,'
       b'"u":"\\u00e9\xc3\xa9\\ud83d\\ude00", "b" :[ ] ,"a2": {"model":"no"}}\r\n')


class Steered(Listening):
    """An upstream of the test's own: act(handler, body) does all of it."""

    def __init__(self, act):
        outer = self
        self.seen = []  # (method, target, headers, body)

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                n = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(n)
                outer.seen.append((self.command, self.path, self.headers, body))
                outer.act(self, body)

        self.act = act
        super().__init__(Handler)


def answer(status=200, body=b"{}", kind="application/json", **headers):
    """An act that answers at once."""
    def act(h, got):
        h.send_response(status)
        if kind:
            h.send_header("content-type", kind)
        for k, v in headers.items():
            h.send_header(k.replace("_", "-"), v)
        h.send_header("content-length", str(len(body)))
        h.end_headers()
        h.wfile.write(body)
    return act


def chunk(h, data):
    h.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
    h.wfile.flush()


def begin_events(h, kind="text/event-stream"):
    h.send_response(200)
    h.send_header("content-type", kind)
    h.send_header("transfer-encoding", "chunked")
    h.end_headers()


class LiveCase(unittest.TestCase):
    """An upstream, and a Sluice once a test has started it."""

    def setUp(self):
        self.up = Steered(answer())
        self.s = None

    def tearDown(self):
        self.up.stop()
        if self.s is not None:
            self.s.stop()

    def start(self, secret=SECRET, path=None, **more):
        self.s = Sluice(**more)
        self.secret = os.path.join(folder(), serial("secret"))
        with open(self.secret, "w") as f:
            f.write(secret + "\n")
        self.s.path(self.up, secret_file=self.secret, **(path or {}))
        n = more.get("workers", 1)
        until(lambda: self.s.sql("select count(*) from sluice.worker where "
                                 "live_url is not null") == str(n))
        return self.s

    def post(self, body=b'{"model":"m1"}', path=CHAT, kind="application/json",
             headers=None, **more):
        return self.s.call("POST", path, body,
                           {"Content-Type": kind, **(headers or {})}, **more)

    def open(self, body=b'{"model":"m1","stream":true}', path=CHAT):
        """A call whose answer is read by the test: (connection, response)."""
        c = http.client.HTTPConnection("127.0.0.1", self.s.port, timeout=60)
        c.request("POST", path, body, {"Content-Type": "application/json",
                                       "Authorization": f"Bearer {KEY}"})
        return c, c.getresponse()

    def settled(self):
        until(lambda: self.s.sql("select count(*) from sluice.admission") == "0",
              what="all calls settled")

    def used(self):
        """Calls, failed ones, tokens in and out; also what is not summed yet."""
        self.settled()
        return self.s.sql("select sum(requests), sum(failed), sum(input_tokens), "
                          "sum(output_tokens) from sluice.usage_all").replace("|", " ")
