"""POST/GET/DELETE /v1/files over HTTP, as SDKs use them."""
import http.client
import json
import unittest

from e2e.harness import CHAT, KEY, OTHER_KEY, Sluice, line, lines


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = Sluice(["--max-file-bytes", "1m", "--max-file-lines", "3000"],
                       workers=0)

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()

    def good(self, data, **more):
        a = self.s.upload(data, **more)
        self.assertEqual(a.status, 200, a.body)
        return a.json

    def bad(self, data, status=400, **more):
        a = self.s.upload(data, **more)
        self.assertEqual(a.status, status, a.body)
        self.assertEqual(set(a.error), {"message", "type", "param", "code"})
        return a.error

    def test_upload_answers_a_file_object(self):
        f = self.good(lines(3), name='my "file" é.jsonl')
        self.assertRegex(f["id"], r"^file-[0-9a-f]{32}$")
        self.assertEqual(f["object"], "file")
        self.assertEqual(f["filename"], 'my "file" é.jsonl')
        self.assertEqual(f["bytes"], len(lines(3)))
        self.assertEqual(f["purpose"], "batch")
        self.assertEqual(f["status"], "processed")
        self.assertEqual(f["sluice"]["lines"], 3)
        self.assertEqual(f["expires_at"] - f["created_at"], 30 * 86400)
        self.assertEqual(self.s.get(f"/v1/files/{f['id']}").json, f)

    def test_content_comes_back_byte_for_byte(self):
        odd = (b'\xef\xbb\xbf' + line("a").encode() + b"\r\n" +
               b'  {"custom_id":"b","method":"POST","url":"' + CHAT.encode() +
               b'","body":{"model":"m","seed":12345678901234567890,"x":1e400,'
               b'"y":0.1000,"z":"\\u0041\\/","z2":"\xc3\xa9"}}  \n\n \r\n')
        for data in (odd, lines(1000).encode(), line("x").encode()):
            f = self.good(data)
            self.assertEqual(f["status"], "processed", f)
            self.assertEqual(
                self.s.get(f"/v1/files/{f['id']}/content").body, data)

    def test_bytes_that_are_no_request_are_kept_too(self):
        """Blank lines that begin a chunk, a line that is too long for one."""
        for data in (lines(256) + "\n", lines(512) + "\r\n \n"):
            f = self.good(data)
            self.assertEqual(f["status"], "processed")
            self.assertEqual(self.s.get(
                f"/v1/files/{f['id']}/content").body.decode(), data)
        s = Sluice(workers=0)
        try:
            data = lines(2) + "x" * (5 << 20) + "\n" + lines(1)
            f = s.upload(data).json
            self.assertEqual(f["status"], "error")
            self.assertIn("line 3", f["status_details"])
            self.assertEqual(s.get(
                f"/v1/files/{f['id']}/content").body.decode(), data)
        finally:
            s.stop()

    def test_ranges(self):
        data = lines(700).encode()
        n = len(data)
        f = self.good(data)["id"]

        def part(value):
            return self.s.get(f"/v1/files/{f}/content",
                              headers={"Range": value})
        for value, a, b in (("bytes=0-9", 0, 10), ("bytes=100-", 100, n),
                            ("bytes=-7", n - 7, n), ("bytes=5-999999999", 5, n),
                            (f"bytes={n-1}-", n - 1, n)):
            r = part(value)
            self.assertEqual(r.status, 206, value)
            self.assertEqual(r.body, data[a:b], value)
            self.assertEqual(r.headers["Content-Range"],
                             f"bytes {a}-{b-1}/{n}")
        for value in (f"bytes={n}-", "bytes=-0"):
            r = part(value)
            self.assertEqual(r.status, 416, value)
            self.assertEqual(r.headers["Content-Range"], f"bytes */{n}")
        for value in ("lines=1-2", "bytes=2-1", "bytes=a-b", "bytes=0-1,3-4"):
            r = part(value)
            self.assertEqual((r.status, r.body), (200, data), value)
        # No validator is ours, so a part of what it names is none of ours.
        r = self.s.get(f"/v1/files/{f}/content", key=None, headers={
            "Range": "bytes=0-9", "If-Range": '"x"',
            "Authorization": f"BEARER   {KEY}"})
        self.assertEqual((r.status, r.body), (200, data))
        r = self.s.call("HEAD", f"/v1/files/{f}/content")
        self.assertEqual((r.status, r.body), (200, b""))
        self.assertEqual(r.headers["Content-Length"], str(n))

    def test_head_of_content_reads_nothing(self):
        data = lines(2000).encode()
        f = self.good(data)["id"]
        self.s.sql("update sluice.chunk c set bytes = '' from sluice.file f "
                   f"where f.id = c.file_id and f.uid = '{f[5:]}'")
        for headers in ({}, {"Range": "bytes=0-9"}):
            a = self.s.call("HEAD", f"/v1/files/{f}/content", headers=headers)
            self.assertEqual((a.status, a.body), (200, b""))
            self.assertEqual(a.headers["Content-Length"], str(len(data)))
        c = http.client.HTTPConnection("127.0.0.1", self.s.port, timeout=20)
        for _ in range(2):  # the connection lives on
            c.request("HEAD", f"/v1/files/{f}/content",
                      headers={"Authorization": f"Bearer {KEY}"})
            r = c.getresponse()
            self.assertEqual((r.status, r.read()), (200, b""))
            self.assertNotEqual(r.headers["Connection"], "close")
        c.close()

    def test_refused_uploads(self):
        for why, data, text in (
                ("empty", "", "empty"),
                ("only blank lines", "\n \n\r\n", "empty"),
                ("not JSON", "hello\n", "Line 1"),
                ("cut JSON", '{"custom_id": \n', "Line 1"),
                ("an array", "[]\n", "must be a JSON object")):
            with self.subTest(why):
                self.assertIn(text, self.bad(data)["message"])
        self.assertEqual(self.bad(lines(1), purpose="fine-tune")["type"],
                         "invalid_request_error")
        self.assertEqual(self.bad(lines(1), purpose=None)["param"], "purpose")
        self.assertEqual(self.bad(lines(1), purpose="x")["param"], "purpose")
        self.assertEqual(self.bad("hello\n")["param"], "file")
        a = self.s.call("POST", "/v1/files", b"x", {
            "Content-Type": "multipart/form-data; boundary=X",
            "Content-Encoding": "gzip"})
        self.assertEqual(a.status, 415)
        self.assertIn("Content-Encoding", a.error["message"])

    def test_what_is_wrong_is_kept_with_its_line(self):
        ok = line("a")
        for why, wrong, code, param in (
                ("broken", "{", "invalid_json_line", None),
                ("blank in the middle", "", "invalid_json_line", None),
                ("no custom_id", '{"method":"POST","url":"%s","body":'
                 '{"model":"m"}}' % CHAT, "missing_required_parameter",
                 "custom_id"),
                ("twice", ok, "duplicate_custom_id", "custom_id"),
                ("twice, escaped", ok.replace('"a"', '"\\u0061"'),
                 "duplicate_custom_id", "custom_id"),
                ("GET", line("b").replace("POST", "GET"), "invalid_value",
                 "method"),
                ("other url", line("b", url="/v1/embeddings"), "url_mismatch",
                 "url"),
                ("unknown url", line("b", url="/v1/nothing"), "invalid_url",
                 "url"),
                ("full url", line("b", url="http://evil/v1/chat/completions"),
                 "invalid_url", "url"),
                ("no model", '{"custom_id":"b","method":"POST","url":"%s",'
                 '"body":{}}' % CHAT, "missing_required_parameter",
                 "body.model"),
                ("streamed", line("b", stream=True), "streaming_unsupported",
                 "body.stream")):
            with self.subTest(why):
                f = self.good(f"{ok}\n{wrong}\n{line('z')}\n")
                self.assertEqual(f["status"], "error")
                self.assertIn("line 2", f["status_details"])
                b = self.s.batch(f["id"]).json
                self.assertEqual(b["status"], "failed")
                e = b["errors"]["data"]
                self.assertEqual((e[0]["code"], e[0].get("param"), e[0]["line"]),
                                 (code, param, 2))
                self.assertEqual(len(e), 1)
                self.assertIn("failed_at", b)

    def test_a_thousand_faults_are_kept_and_no_more(self):
        f = self.good(line("a") + "\n" + "{\n" * 1500)
        e = self.s.batch(f["id"]).json["errors"]["data"]
        self.assertEqual(len(e), 1000)
        self.assertEqual(e[-1]["line"], 1001)

    def test_limits_one_past(self):
        self.good(lines(3000))
        f = self.good(lines(3001))
        e = self.s.batch(f["id"]).json["errors"]["data"][0]
        self.assertEqual((e["code"], e["line"]), ("too_many_tasks", 3001))
        size = 1 << 20
        fit = line("a", "x" * (size - len(line("a", "")))).encode()
        self.assertEqual(len(fit), size)
        self.good(fit)
        self.bad(fit + b"\n", status=413)
        self.bad(b"x" * (size + (65 << 10)), status=413)
        self.assertIn("255", self.bad(lines(1), name="n" * 256)["message"])
        self.good(lines(1), name="n" * 255)

    def test_expiry(self):
        def fields(seconds, anchor="created_at"):
            return [("expires_after[anchor]", anchor),
                    ("expires_after[seconds]", seconds)]
        f = self.good(lines(1), fields=fields(3600))
        self.assertEqual(f["expires_at"] - f["created_at"], 3600)
        for wrong in (fields(3599), fields(30 * 86400 + 1), fields("1e5"),
                      fields(3600, "now")):
            self.assertIn("expires_after", self.bad(
                lines(1), fields=wrong)["param"])
        for alone, missing in ((0, "seconds"), (1, "anchor")):
            self.assertEqual(
                self.bad(lines(1), fields=[fields(3600)[alone]])["param"],
                f"expires_after[{missing}]")

    def test_delete(self):
        f = self.good(lines(1))["id"]
        a = self.s.call("DELETE", f"/v1/files/{f}")
        self.assertEqual(a.json, {"id": f, "object": "file", "deleted": True})
        for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
            self.assertEqual(
                self.s.call(method, f"/v1/files/{f}{path}").status, 404)

    def test_others_files_do_not_exist(self):
        f = self.good(lines(1))["id"]
        unknown = "file-" + "0" * 32
        for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
            mine = self.s.call(method, f"/v1/files/{f}{path}", key=OTHER_KEY)
            none = self.s.call(method, f"/v1/files/{unknown}{path}",
                               key=OTHER_KEY)
            self.assertEqual(mine.status, 404)
            self.assertEqual(mine.body.replace(f.encode(), b""),
                             none.body.replace(unknown.encode(), b""))
        self.assertNotIn(f, str(self.s.get("/v1/files", key=OTHER_KEY).json))
        self.assertEqual(self.s.batch(f, key=OTHER_KEY).status, 404)

    def test_idempotency_key(self):
        h = {"Idempotency-Key": "up-1"}
        a = self.good(lines(2), headers=h)
        b = self.good(lines(2), headers=h)
        self.assertEqual(a["id"], b["id"])
        self.bad(lines(3), status=422, headers=h)
        self.good(lines(3), headers=h, key=OTHER_KEY)
        self.bad(lines(1), headers={"Idempotency-Key": "k" * 256})

    def test_list_is_paged(self):
        s = Sluice(workers=0)
        try:
            ids = [s.upload(lines(1)).json["id"] for _ in range(7)]
            page = s.get("/v1/files?limit=3").json
            self.assertEqual([f["id"] for f in page["data"]], ids[:3:-1])
            self.assertEqual((page["first_id"], page["last_id"],
                              page["has_more"]), (ids[6], ids[4], True))
            page = s.get(f"/v1/files?limit=4&after={ids[4]}").json
            self.assertEqual([f["id"] for f in page["data"]], ids[3::-1])
            self.assertFalse(page["has_more"])
            page = s.get(f"/v1/files?order=asc&limit=2&after={ids[1]}").json
            self.assertEqual([f["id"] for f in page["data"]], ids[2:4])
            self.assertEqual(s.get("/v1/files?purpose=batch").json["data"],
                             s.get("/v1/files").json["data"])
            empty = s.get("/v1/files?purpose=vision").json
            self.assertEqual(empty, {"object": "list", "data": [],
                                     "first_id": "", "last_id": "",
                                     "has_more": False})
            self.assertEqual(s.get("/v1/files?limit=0").json["data"], [])
            for query, code in (("limit=10001", "integer_above_max_value"),
                                ("limit=-1", "integer_below_min_value"),
                                ("limit=x", "invalid_type"),
                                ("order=up", "invalid_value"),
                                ("after=file-" + "0" * 32, "invalid_value")):
                a = s.get(f"/v1/files?{query}")
                self.assertEqual((a.status, a.error["code"]), (400, code))
        finally:
            s.stop()

    def test_broken_uploads_leave_nothing(self):
        import socket
        c = socket.create_connection(("127.0.0.1", self.s.port))
        c.sendall(b"POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                  b"sk-slc-" + b"T" * 43 + b"\r\nContent-Type: multipart/"
                  b"form-data; boundary=b\r\nContent-Length: 900000\r\n\r\n"
                  b"--b\r\nContent-Disposition: form-data; name=\"file\"; "
                  b"filename=\"f\"\r\n\r\n" + lines(1500).encode())
        from e2e.harness import until
        until(lambda: self.s.sql("select count(*) from sluice.file where state "
                                 "= 'receiving'") == "1")
        c.close()
        until(lambda: self.s.sql("select count(*) from sluice.file where state "
                                 "= 'receiving'") == "0")

    def test_an_upload_whose_sender_has_left_is_published(self):
        import socket
        from e2e.harness import until
        data = lines(2000).encode()
        body = (b'--b\r\nContent-Disposition: form-data; name="file"; filename='
                b'"left.jsonl"\r\n\r\n' + data + b'\r\n--b\r\n'
                b'Content-Disposition: form-data; name="purpose"\r\n\r\nbatch'
                b'\r\n--b--\r\n')
        head = (f"POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                f"{KEY}\r\nIdempotency-Key: left-%d\r\nContent-Type: multipart/"
                f"form-data; boundary=b\r\nContent-Length: {len(body)}\r\n\r\n")
        for i in range(5):
            c = socket.create_connection(("127.0.0.1", self.s.port))
            c.sendall((head % i).encode() + body)
            c.close()
        until(lambda: not self.s.schedulers[0].alive() or self.s.sql(
            "select count(*) from sluice.file where name = 'left.jsonl' and "
            "state = 'ready'") == "5")
        self.assertTrue(self.s.schedulers[0].alive())
        self.assertEqual(self.s.sql("select count(*) from sluice.idempotency "
                                    "where key like 'left-%'"), "5")

    def test_a_key_too_long_is_refused_before_the_body(self):
        from e2e.harness import raw
        got = raw(self.s.port, (
            f"POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}"
            f"\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            f"Idempotency-Key: {'k' * 256}\r\nContent-Length: 900000\r\n\r\n"
        ).encode())
        self.assertIn(b" 400 ", got.split(b"\r\n")[0])

    def test_wrong_media_types(self):
        a = self.s.call("POST", "/v1/files", b"{}",
                        {"Content-Type": "application/json"})
        self.assertEqual(a.status, 415)
        a = self.s.call("POST", "/v1/batches", b"a=b", {
            "Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual(a.status, 415)

    def test_chunked_upload_with_the_official_order_of_parts(self):
        """As the node SDK streams it: no length, tiny pieces."""
        body = (b'--X\r\ncontent-disposition: form-data; name="file"; '
                b'filename="a%22b.jsonl"\r\ncontent-type: '
                b'application/octet-stream\r\n\r\n' + lines(20).encode() +
                b'\r\n--X\r\ncontent-disposition: form-data; name="purpose"'
                b'\r\n\r\nbatch\r\n--X--\r\n')
        c = http.client.HTTPConnection("127.0.0.1", self.s.port, timeout=30)
        c.request("POST", "/v1/files",
                  (body[i:i + 7] for i in range(0, len(body), 7)),
                  {"Authorization": "Bearer sk-slc-" + "T" * 43,
                   "Content-Type": "multipart/form-data; boundary=X"},
                  encode_chunked=True)
        r = c.getresponse()
        f = json.loads(r.read())
        c.close()
        self.assertEqual(r.status, 200, f)
        self.assertEqual(f["filename"], 'a"b.jsonl')


if __name__ == "__main__":
    unittest.main()
