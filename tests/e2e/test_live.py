"""Live requests: through sluiced and a worker to an upstream, and back."""
import hashlib
import http.client
import json
import socket
import threading
import time

from .harness import CHAT, KEY, until
from .live import ODD, SECRET, LiveCase, Steered, answer, begin_events, chunk


class Live(LiveCase):
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
        edit(max_priority=3)
        self.assertEqual(self.post(key=key, headers=high).status, 200)
        edit(expires_at=int(time.time()) + 2)
        self.assertEqual(self.post(key=key).status, 200)
        until(lambda: self.post(b"[]", key=key).status == 401, what="it ends")
        edit(expires_at=None)
        self.assertEqual(self.post(key=key).status, 200)
        self.assertEqual(self.s.call("DELETE", "/admin/v1/keys/a-key").status, 200)
        self.assertEqual(self.post(key=key).status, 401)
        self.assertEqual(len(self.up.seen), 4)

    def test_a_failover_that_forgot_a_revision_lets_nobody_in(self):
        self.start()
        self.assertEqual(self.post().status, 200)
        self.assertEqual(self.post().status, 200)
        was = self.s.sql("select callers_revision from sluice.config")
        ours = ("from pg_stat_activity where datname = current_database() "
                "and pid <> pg_backend_pid()")
        self.s.sql("begin; update sluice.api_key set revoked_at = now() "
                   "where name = 'test'; update sluice.config "
                   f"set callers_revision = {was}; commit;"
                   f"select pg_terminate_backend(pid, 20000) {ours}")
        a = until(lambda: (lambda r: r if r.status != 503 else None)(self.post()),
                  what="the database is there again")
        self.assertEqual(a.status, 401)
        self.assertEqual(len(self.up.seen), 2)

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
