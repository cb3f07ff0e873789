"""Live requests: through sluiced and a worker to an upstream, and back."""
import hashlib
import http.client
import http.server
import json
import os
import signal
import socket
import threading
import time
import unittest

from .harness import CHAT, KEY, OTHER_KEY, Sluice, folder, lines, serial, until

SECRET = "sk-upstream-SECRET-0123456789abcdef"
ODD = (b'{ "model" : "m1",\t"n": 12345678901234567890,"z":1e400, "a":-0.0,'
       b'"u":"\\u00e9\xc3\xa9\\ud83d\\ude00", "b" :[ ] ,"a2": {"model":"no"}}\r\n')


class Steered:
    """An upstream of the test's own: act(handler, body) does all of it."""

    def __init__(self, act):
        outer = self
        self.seen = []  # (method, target, headers, body)

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):
                n = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(n)
                outer.seen.append((self.command, self.path, self.headers, body))
                outer.act(self, body)

        self.act = act
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


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


class Live(unittest.TestCase):
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

    # Bytes ---------------------------------------------------------------

    def test_bodies_pass_byte_for_byte_both_ways(self):
        self.start()
        said = ODD.replace(b'"model"', b'"no-model"')
        self.up.act = answer(body=said, kind="application/json; odd=\"1\"")
        a = self.post(ODD, CHAT + "?api-version=1&x=%20y&&z")
        self.assertEqual((a.status, a.body), (200, said))
        self.assertEqual(a.headers["content-type"], "application/json; odd=\"1\"")
        method, target, headers, body = self.up.seen[0]
        self.assertEqual((method, target), ("POST", CHAT +
                                            "?api-version=1&x=%20y&&z"))
        self.assertEqual(body, ODD)

    def test_forms_and_sounds_pass_byte_for_byte(self):
        self.start()
        sound = bytes(range(256)) * 4000
        form = (b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n'
                b'whisper-1\r\n--x\r\nContent-Disposition: form-data; '
                b'name="file"; filename="a.wav"\r\n\r\n' + sound + b'\r\n--x--\r\n')
        self.up.act = answer(body=sound, kind="audio/mpeg")
        kind = "multipart/form-data; boundary=x"
        a = self.post(form, "/v1/audio/transcriptions", kind)
        self.assertEqual((a.status, a.body), (200, sound))
        self.assertEqual(a.headers["content-type"], "audio/mpeg")
        self.assertEqual(self.up.seen[0][3], form)
        self.assertEqual(self.up.seen[0][2]["content-type"], kind)

    def test_every_endpoint_goes_to_its_own(self):
        self.start()
        for path in ("chat/completions", "completions", "embeddings", "responses",
                     "moderations", "images/generations", "images/edits",
                     "images/variations", "audio/speech", "audio/transcriptions",
                     "audio/translations"):
            self.assertEqual(self.post(path="/v1/" + path).status, 200, path)
            self.assertEqual(self.up.seen[-1][1], "/v1/" + path)

    def test_headers_that_describe_pass_and_credentials_do_not(self):
        self.start()
        self.up.act = answer(set_cookie="a=b", x_ratelimit_limit_requests="9",
                             openai_organization="ours", openai_version="2020",
                             x_request_id="req_theirs", cache_control="no-store")
        a = self.post(headers={
            "OpenAI-Beta": "assistants=v2", "User-Agent": "tester/1",
            "x-stainless-lang": "python", "Accept": "text/event-stream",
            "Cookie": "c=d", "OpenAI-Organization": "theirs", "x-api-key": "k",
            "x-sluice-path": "77", "x-sluice-token": "t", "X-Forwarded-For": "1",
            "Accept-Encoding": "gzip", "Idempotency-Key": "once"})
        self.assertEqual(a.status, 200)
        got = {k.lower(): v for k, v in self.up.seen[0][2].items()}
        host = self.up.url[7:]
        self.assertEqual(got, {
            "host": host, "authorization": f"Bearer {SECRET}",
            "content-type": "application/json", "content-length": "14",
            "openai-beta": "assistants=v2", "user-agent": "tester/1",
            "x-stainless-lang": "python", "accept": "text/event-stream",
            "idempotency-key": "once"})
        said = {k.lower(): v for k, v in a.headers.items()}
        for name in ("set-cookie", "openai-organization", "server"):
            self.assertNotIn(name, said)
        self.assertNotEqual(said.get("x-ratelimit-limit-requests"), "9")
        self.assertEqual(said["openai-version"], "2020")
        self.assertEqual(said["cache-control"], "no-store")
        self.assertEqual(said["x-upstream-request-id"], "req_theirs")
        self.assertTrue(said["x-request-id"].startswith("req_"))
        self.assertNotEqual(said["x-request-id"], "req_theirs")

    # Streams -------------------------------------------------------------

    def test_a_stream_arrives_as_it_comes(self):
        go, last = threading.Event(), threading.Event()

        def act(h, body):
            begin_events(h)
            chunk(h, b": keep-alive\n\n")
            chunk(h, b'data: {"n":1}\n\n')
            assert go.wait(30)
            chunk(h, b'data: {"usage":{"prompt_tokens":5,'
                     b'"completion_tokens":6}}\n\n')
            last.set()
            chunk(h, b"data: [DONE]\n\n")
            chunk(h, b"")

        self.start(path={"limits": [("requests", 60, 600)]})
        self.up.act = act
        c, r = self.open()
        self.assertEqual(r.status, 200)
        self.assertEqual(r.headers["content-type"], "text/event-stream")
        self.assertEqual(r.readline(), b": keep-alive\n")
        self.assertEqual(r.readline(), b"\n")
        self.assertEqual(r.readline(), b'data: {"n":1}\n')
        self.assertFalse(last.is_set())

        def shown():
            now = self.s.get("/admin/v1/paths/sim").json.get("now", {})
            limit = now.get("limits", [{}])[0]
            return (now.get("live_out"), sum(now.get("live_sends", [])),
                    limit.get("live"), limit.get("used"), limit.get("amount"))

        until(lambda: shown() == (1, 1, 1, 1, 600), what="people see it go")
        go.set()
        rest = r.read()
        self.assertTrue(rest.endswith(b"data: [DONE]\n\n"))
        c.close()
        self.assertEqual(self.used(), "1 0 5 6")
        until(lambda: shown() == (0, 1, 1, 1, 600), what="and that it went")

    def test_who_leaves_ends_the_call_upstream(self):
        begun, ended = threading.Event(), threading.Event()

        def act(h, body):
            begin_events(h)
            try:
                while True:
                    chunk(h, b"data: {}\n\n")
                    begun.set()
                    time.sleep(0.01)
            except OSError:
                ended.set()
            h.close_connection = True

        self.start()
        self.up.act = act
        c, r = self.open()
        r.readline()
        self.assertTrue(begun.wait(20))
        r.close()
        c.close()
        self.assertTrue(ended.wait(20))
        self.assertEqual(self.used().split()[:2], ["1", "1"])

    def test_who_leaves_before_the_answer_ends_the_call_too(self):
        here, ended = threading.Event(), threading.Event()

        def act(h, body):
            here.set()
            h.connection.settimeout(30)
            if h.connection.recv(1) == b"":
                ended.set()
            h.close_connection = True

        self.start()
        self.up.act = act
        s = socket.create_connection(("127.0.0.1", self.s.port))
        body = b'{"model":"m1"}'
        s.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}"
                  f"\r\nContent-Type: application/json\r\nContent-Length: "
                  f"{len(body)}\r\n\r\n".encode() + body)
        self.assertTrue(here.wait(20))
        s.close()
        self.assertTrue(ended.wait(20))
        self.settled()

    def test_a_slow_reader_holds_the_upstream_back(self):
        total, piece = 192 << 20, bytes(range(256)) * 256
        sent = [0]

        def act(h, body):
            begin_events(h, "application/octet-stream")
            while sent[0] < total:
                chunk(h, piece)
                sent[0] += len(piece)
            chunk(h, b"")

        self.start()
        self.up.act = act
        c, r = self.open()
        before = [-1]

        def still():
            was, before[0] = before[0], sent[0]
            return was == sent[0]

        until(still, 60, "the upstream stands still", 0.5)
        # What the kernel keeps for five sockets, and 64 KiB twice.
        self.assertLess(sent[0], total // 3)
        h, n = hashlib.sha256(), 0
        while data := r.read(1 << 20):
            h.update(data)
            n += len(data)
        c.close()
        self.assertEqual(n, total)
        want = hashlib.sha256()
        for _ in range(total // len(piece)):
            want.update(piece)
        self.assertEqual(h.digest(), want.digest())

    def test_an_answer_cut_off_is_cut_off_for_the_caller(self):
        def act(h, body):
            begin_events(h)
            chunk(h, b"data: {}\n\n")
            h.close_connection = True

        self.start()
        self.up.act = act
        c, r = self.open()
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            r.read()
        c.close()
        self.assertEqual(self.used().split()[:2], ["1", "1"])

    # Workers -------------------------------------------------------------

    def test_a_worker_that_dies_breaks_its_calls_only(self):
        hold = threading.Event()

        def act(h, body):
            begin_events(h)
            chunk(h, b"data: {}\n\n")
            hold.wait(60)
            chunk(h, b"")

        self.start(path={"limits": [("concurrent", 0, 9)]})
        self.up.act = act
        c, r = self.open()
        r.readline()
        until(lambda: self.s.sql("select coalesce(sum(granted), 0) from sluice.seat")
              == "0",
              what="no line wants a seat")
        self.s.workers[0].kill()
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            r.read()
        c.close()
        hold.set()
        # Nobody is there yet; what comes now is told so, and is not lost.
        a = self.post()
        self.assertEqual(a.status, 503, a.body)
        self.s.workers = [self.s.start_worker()]
        until(lambda: self.s.sql("select count(*) from sluice.worker where state "
                                 "= 'live' and live_url like '%/worker%'") != "0")
        self.up.act = answer()
        until(lambda: self.post().status == 200)
        # The upstream may work on the broken call for as long as the path allows.
        self.settled()
        self.assertEqual(self.s.sql(
            "select c.units, o.until > now() + interval '20 min' from "
            "sluice.live_cell c join sluice.live_orphan o using (limit_id)"), "1|t")

    def test_a_dead_worker_is_passed_over(self):
        self.start(workers=2)
        self.s.workers[0].kill()
        n = len(self.up.seen)
        for _ in range(12):
            self.assertEqual(self.post().status, 200)
        self.assertEqual(len(self.up.seen) - n, 12)
        self.s.workers.pop(0)

    def test_a_worker_that_stops_ends_what_it_has(self):
        go = threading.Event()

        def act(h, body):
            begin_events(h)
            chunk(h, b"data: 1\n\n")
            go.wait(30)
            chunk(h, b"data: 2\n\n")
            chunk(h, b"")

        self.start()
        self.up.act = act
        c, r = self.open()
        r.readline()
        self.s.workers[0].send(signal.SIGTERM)
        until(lambda: self.s.sql("select count(*) from sluice.worker where "
                                 "state = 'stopping'") == "1")
        go.set()
        self.assertTrue(r.read().endswith(b"data: 2\n\n"))
        c.close()
        until(lambda: not self.s.workers[0].alive())
        self.assertEqual(self.s.workers.pop(0).p.returncode, 0)
        self.assertEqual(self.used().split()[:2], ["1", "0"])

    def test_who_does_not_know_the_word_gets_nothing(self):
        self.start()
        where = self.s.sql("select live_url from sluice.worker")
        good = self.s.sql("select live_token from sluice.worker")
        path = self.s.sql("select id from sluice.path")
        for token in ("", "x" * len(good), good[:-1], good[:-1] + "g", good + "0"):
            s = socket.socket(socket.AF_UNIX)
            s.connect(where[5:])
            s.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nx-sluice-token: {token}"
                      f"\r\nx-sluice-admission: 1\r\nx-sluice-path: {path}\r\n"
                      "x-sluice-model: m1\r\nContent-Length: 2\r\n"
                      "Connection: close\r\n\r\n{}".encode())
            got = b""
            while data := s.recv(65536):
                got += data
            s.close()
            self.assertIn(b" 403 ", got.split(b"\r\n")[0], token)
        self.assertEqual(self.up.seen, [])

    # Errors --------------------------------------------------------------

    def test_upstream_errors_pass_as_they_came(self):
        self.start()
        error = (b'{ "error": {"message":"bad \\u00e9 \xc3\xa9 1e400", '
                 b'"type":"x","code":"y"} }')
        for status in (400, 404, 409, 422, 500, 503):
            self.up.act = answer(status, error)
            a = self.post()
            self.assertEqual((a.status, a.body), (status, error))
        self.up.act = answer(429, error, retry_after="7")
        a = self.post()
        self.assertEqual((a.status, a.body), (429, error))
        self.assertEqual(a.headers["retry-after"], "7")
        self.assertEqual(self.used().split()[:2], ["7", "7"])

    def test_our_secret_stays_ours(self):
        self.start(path={"models": ["other"]})
        told = json.dumps({"error": {
            "message": f"Incorrect key {SECRET}, or Bearer {SECRET}"}}).encode()
        # Each on a path of its own: it is left alone afterwards.
        self.s.apply({"paths": [
            {"name": f"p{n}", "url": self.up.url, "models": [f"m{n}"],
             "secret_file": self.secret, "limits": []}
            for n in (401, 402, 403, 400)]})
        for status in (401, 402, 403):
            self.up.act = answer(status, told)
            a = self.post(b'{"model":"m%d"}' % status)
            self.assertEqual((a.status, a.error["code"]),
                             (503, "upstream_refused_us"))
            self.assertNotIn(b"SECRET", a.body)
        self.up.act = answer(400, told)
        a = self.post(b'{"model":"m400"}')
        self.assertEqual(a.status, 400)
        self.assertNotIn(b"SECRET", a.body)
        self.assertIn(b"Incorrect key ****", a.body)
        self.assertEqual(len(a.body), len(told))
        self.settled()
        for p in self.s.workers + self.s.schedulers:
            self.assertNotIn("SECRET", p.text())
        self.assertEqual(self.in_memory(self.s.schedulers[0], b"SECRET-01234"), 0)

    def in_memory(self, process, needle):
        """How often needle stands in what the process can write."""
        n = 0
        with open(f"/proc/{process.p.pid}/maps") as maps, \
                open(f"/proc/{process.p.pid}/mem", "rb", 0) as mem:
            for line in maps:
                span, mode = line.split()[:2]
                a, b = (int(x, 16) for x in span.split("-"))
                if not mode.startswith("rw") or b - a > 256 << 20:
                    continue
                try:
                    mem.seek(a)
                    n += mem.read(b - a).count(needle)
                except OSError:
                    continue
        return n

    def test_redirects_are_not_followed(self):
        self.start()
        self.up.act = answer(302, b"", location="http://127.0.0.1:1/")
        a = self.post()
        self.assertEqual((a.status, a.error["code"]), (502, "upstream_redirect"))
        self.assertNotIn("location", a.headers)

    def test_nobody_there_is_told_and_costs_nothing(self):
        self.start()
        self.up.stop()
        a = self.post()
        self.assertEqual(a.status, 503, a.body)
        self.assertIn(a.error["code"], ("upstream_unreachable", "no_path"))
        self.settled()
        self.assertEqual(self.s.sql("select count(*) from sluice.usage_all"), "0")
        self.up = Steered(answer())

    def test_a_connection_that_breaks_is_not_tried_again(self):
        def act(h, body):
            h.close_connection = True
            h.connection.shutdown(socket.SHUT_RDWR)

        self.start()
        self.up.act = act
        a = self.post()
        self.assertEqual((a.status, a.error["code"]), (502, "upstream_broken"))
        self.assertEqual(len(self.up.seen), 1)
        self.settled()

    def test_callers_mistakes(self):
        self.start(path={"models": ["m1", "team/*"]})
        cases = [
            (b"{", 400, None), (b"{}", 400, "model"), (b"[]", 400, None),
            (b'{"model":1}', 400, "model"), (b'{"model":"m2"}', 404, "model"),
            (b'{"model":"m1","model":"m1"}', 400, None),
        ]
        for body, status, param in cases:
            a = self.post(body)
            self.assertEqual((a.status, a.error["param"]), (status, param), body)
        self.assertEqual(self.up.seen, [])
        a = self.s.call("POST", CHAT, b"{}", {"Content-Length": str(33 << 20)})
        self.assertEqual(a.status, 413)
        self.s.sql("update sluice.api_key set scopes = '{batch,read}' "
                   "where name = 'test'")
        self.assertEqual(self.post().status, 403)
        self.assertEqual(self.post(key="sk-slc-" + "x" * 43).status, 401)

    def test_a_key_acts_as_it_is_now(self):
        """Whose it is, is remembered, but not against the database."""
        self.start()

        def edit(**doc):
            a = self.s.call("POST", "/admin/v1/keys/a-key", json_body=doc)
            self.assertEqual(a.status, 200, a.body)

        a = self.s.call("POST", "/admin/v1/keys", json_body={
            "account": "default", "name": "a-key", "scopes": ["live"]})
        self.assertEqual(a.status, 200, a.body)
        key = a.json["key"]
        high = {"X-Request-Priority": "3"}
        self.assertEqual(self.post(key=key, headers=high).status, 200)
        edit(max_priority=2)
        a = self.post(key=key, headers=high)
        self.assertEqual((a.status, a.error["param"]), (400, "X-Request-Priority"))
        edit(expires_at=int(time.time()) + 2)
        self.assertEqual(self.post(key=key).status, 200)
        until(lambda: self.post(b"[]", key=key).status == 401, what="it ends")
        edit(expires_at=None)
        self.assertEqual(self.post(key=key).status, 200)
        self.assertEqual(self.s.call("DELETE", "/admin/v1/keys/a-key").status, 200)
        self.assertEqual(self.post(key=key).status, 401)
        self.assertEqual(len(self.up.seen), 3)

    def test_models_are_those_that_paths_name(self):
        self.start(path={"models": ["m1", "a/b", "gpt-*"]})
        a = self.s.get("/v1/models")
        self.assertEqual([m["id"] for m in a.json["data"]], ["a/b", "m1"])
        self.assertEqual(a.json["object"], "list")
        self.assertEqual({m["object"] for m in a.json["data"]}, {"model"})
        for name, status in (("m1", 200), ("a%2Fb", 200), ("gpt-5", 200),
                             ("m2", 404), ("%00", 404)):
            self.assertEqual(self.s.get("/v1/models/" + name).status, status, name)
        self.assertEqual(self.s.get("/v1/models/gpt-5").json["id"], "gpt-5")

    # Room at the upstream -----------------------------------------------

    def test_calls_wait_for_room(self):
        self.start(scheduler_options=["--live-wait", "30s"],
                   path={"limits": [("requests", 1, 1)]})
        times, got = [], []
        self.up.act = lambda h, body: (times.append(time.monotonic()),
                                       answer()(h, body))
        threads = [threading.Thread(
            target=lambda: got.append(self.post().status)) for _ in range(5)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        self.assertEqual(got, [200] * 5)
        for a, b in zip(times, times[1:]):
            self.assertGreater(b - a, 0.99)

    def test_a_call_that_would_wait_too_long_is_told_how_long(self):
        self.start(path={"limits": [("requests", 60, 1)]})
        self.assertEqual(self.post().status, 200)
        begun = time.monotonic()
        a = self.post()
        self.assertEqual((a.status, a.error["code"]), (429, "rate_limit_exceeded"))
        self.assertLess(time.monotonic() - begun, 2)
        self.assertTrue(30 < int(a.headers["retry-after"]) <= 62)
        self.assertEqual(len(self.up.seen), 1)

    def test_a_call_that_leaves_late_counts_from_then_on(self):
        hold = threading.Event()

        def act(h, body):
            begin_events(h)
            hold.wait(60)
            chunk(h, b"")

        self.start(path={"limits": [("requests", 60, 9)]})
        self.up.act = act
        self.s.workers[0].send(signal.SIGSTOP)
        caller = threading.Thread(target=self.post)
        caller.start()
        until(lambda: self.s.sql(
            "select count(*) from sluice.admission where made_at < "
            "clock_timestamp() - interval '1500 ms'") == "1")
        first = self.s.sql("select cell[1] from sluice.admission")
        self.s.workers[0].send(signal.SIGCONT)
        until(lambda: self.s.sql(
            f"select a.cell[1] - {first} > 8 and c.units = 1 from sluice.admission a "
            "join sluice.live_cell c on c.limit_id = rate_id[1] and c.cell = "
            "a.cell[1]") == "t", what="it stands where it left, and is open")
        hold.set()
        caller.join(60)
        self.settled()
        self.assertEqual(self.s.sql("select sum(units) from sluice.live_cell"), "1")

    def test_concurrency_that_nobody_declared_is_found_and_obeyed(self):
        lock, open_now, refused = threading.Lock(), [0], [0]

        def act(h, body):
            with lock:
                no = open_now[0] == 3
                refused[0] += no
                open_now[0] += not no
            if no:
                answer(429, b'{"error":{"message":"Too many concurrent requests",'
                       b'"code":"concurrency_limit_exceeded"}}')(h, body)
                return
            time.sleep(0.2)     # it works on it
            with lock:
                open_now[0] -= 1
            answer()(h, body)

        self.start(scheduler_options=["--live-wait", "30s"])
        self.up.act = act

        def crowd(n):
            got = []
            threads = [threading.Thread(
                target=lambda: got.append(self.post().status)) for _ in range(n)]
            for t in threads:
                t.start()
            for t in threads:
                t.join(60)
            return sorted(got)

        self.assertEqual(crowd(3), [200] * 3)
        self.assertIn(429, crowd(12))
        learned = "select learned #>> '{concurrency,limit}' from sluice.path_state"
        # Calls may overtake each other on their way.
        until(lambda: self.s.sql(learned) in ("3", "2"), what="it is found")
        refused[0] = 0
        self.assertEqual(crowd(12), [200] * 12)
        self.assertEqual(refused[0], 0)

    # For the dispatcher --------------------------------------------------

    def test_what_live_answers_say_of_limits_is_learned(self):
        told = answer(x_ratelimit_limit_requests="600",
                      x_ratelimit_remaining_requests="599",
                      x_ratelimit_reset_requests="100ms")
        self.start(path={"limits": [("requests", 60, 600)]})
        self.up.act = lambda h, body: (told if b"live" in body else answer())(
            h, body)

        def shown():
            self.assertEqual(
                self.post(b'{"model":"m1","live":1}').status, 200)
            # The dispatcher shows what it knows while it has work.
            self.s.wait(self.s.submit(lines(2)))
            return (b"x-ratelimit-remaining-requests" in
                    self.s.get("/admin/v1/paths/sim").body)

        until(shown, what="the reading in the path's state")
        # A refusal pauses the limit for lines, too.
        self.up.act = answer(429, retry_after="60")
        self.assertEqual(self.post().status, 429)
        until(lambda: self.s.sql(
            "select count(*) from sluice.rate_limit_state "
            "where paused_until > now() + interval '30 s'") == "1")
