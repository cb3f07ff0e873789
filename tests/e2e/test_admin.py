"""The operator's API: what it refuses, and by which name."""
import unittest

from e2e.harness import Sluice, lines


class Admin(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = Sluice(workers=0)

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()

    def apply(self, doc):
        return self.s.call("POST", "/admin/v1/apply", json_body=doc)

    def test_what_is_wrong_with_a_document_is_named(self):
        def path(**more):
            return {"paths": [{"name": "p", "url": "http://127.0.0.1:9",
                               "models": ["*"], **more}]}
        for doc, param in (
                (path(name="a@b"), "name"), (path(pool="a@b"), "pool"),
                (path(pool=5), "pool"), (path(secret_file=[]), "secret_file"),
                (path(ca_file={}), "ca_file"), (path(http2="maybe"), "http2"),
                (path(http2=1), "http2"), (path(limits=5), "limits"),
                (path(limits=None), "limits"), (path(limits={}), "limits"),
                (path(limits=[5]), "limits.dimension"),
                ({"pools": [{"name": "a@b"}]}, "name"),
                ({"pools": [{"name": "a", "limits": "x"}]}, "limits"),
                ({"pools": 1}, "pools"), ({"paths": {}}, "paths"),
                ({"paths": None}, "paths"), ({"paths": [7]}, "name"),
                ({"remove_paths": {}}, "remove_paths"),
                ({"remove_pools": "a"}, "remove_pools")):
            with self.subTest(doc):
                a = self.apply(doc)
                self.assertEqual((a.status, a.error["param"]), (400, param),
                                 a.body)
        for doc in (path(http2=None, secret_file=None, pool=None),
                    path(http2=True, limits=[])):
            self.assertEqual(self.apply(doc).status, 200)

    def test_what_nobody_looked_at_is_still_the_callers_fault(self):
        """A value the database refuses; the log has it with the request."""
        a = self.apply({"remove_paths": [{"a": 1}, "\x7f" * 200]})
        self.assertEqual(a.status, 404)
        self.s.sql("alter table sluice.account add check (name <> 'thirteen')")
        a = self.s.call("POST", "/admin/v1/accounts",
                        json_body={"name": "thirteen"})
        self.assertEqual((a.status, a.error["code"]), (400, "invalid_value"))
        self.assertIn("request=" + a.headers["x-request-id"],
                      self.s.schedulers[0].text())

    def test_names_in_urls_are_decoded(self):
        self.apply({"paths": [{"name": "a-b", "url": "http://127.0.0.1:9",
                               "models": ["*"]}]})
        for name, status in (("a-b", 200), ("%61%2Db", 200), ("a+b", 404),
                             ("%ff", 404), ("%00", 404), ("%6", 404),
                             ("a%2fb", 404)):
            with self.subTest(name):
                a = self.s.get(f"/admin/v1/paths/{name}")
                self.assertEqual(a.status, status, a.body)

    def test_bytes_that_are_no_text_are_refused(self):
        a = self.s.get("/v1/files?purpose=%ff")
        self.assertEqual((a.status, a.error["param"]), (400, "purpose"))
        up = self.s.upload(lines(1)).json["id"]
        for body, path, kind in (
                (b"--b--\r\n", "/v1/files", "multipart/form-data; boundary=b"),
                (b'{"input_file_id":"%s","endpoint":"/v1/chat/completions",'
                 b'"completion_window":"24h"}' % up.encode(), "/v1/batches",
                 "application/json")):
            a = self.s.call("POST", path, body, {"Content-Type": kind,
                                                 "Idempotency-Key": b"\xff"})
            self.assertEqual((a.status, a.error["param"]),
                             (400, "Idempotency-Key"), a.body)
        body = (b'--b\r\nContent-Disposition: form-data; name="file"; filename='
                b'"\xff"\r\n\r\n' + lines(1).encode() + b'\r\n--b--\r\n')
        a = self.s.call("POST", "/v1/files", body, {
            "Content-Type": "multipart/form-data; boundary=b"})
        self.assertEqual(a.status, 400, a.body)


if __name__ == "__main__":
    unittest.main()
