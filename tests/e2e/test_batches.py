"""POST/GET /v1/batches: their whole life over HTTP."""
import json
import unittest

from e2e.harness import CHAT, OTHER_KEY, Sluice, Upstream, line, lines, until


class Batches(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.up = Upstream()
        cls.s = Sluice()
        cls.s.path(cls.up)

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()
        cls.up.stop()

    def bad(self, status=400, **body):
        doc = {"input_file_id": self.file, "endpoint": CHAT,
               "completion_window": "24h", **body}
        a = self.s.call("POST", "/v1/batches", json_body={
            k: v for k, v in doc.items() if v != "absent"})
        self.assertEqual(a.status, status, a.body)
        return a.error

    @property
    def file(self):
        return self.s.upload(lines(1)).json["id"]

    def test_the_main_job(self):
        made = self.s.batch(self.s.upload(lines(300)).json["id"],
                            metadata={"job": "main"}, sluice={"priority": 3})
        b = made.json
        self.assertEqual(made.status, 200)
        self.assertRegex(b["id"], r"^batch_[0-9a-f]{32}$")
        self.assertEqual(b["object"], "batch")
        self.assertEqual(b["status"], "validating")
        self.assertEqual(b["metadata"], {"job": "main"})
        self.assertEqual(b["sluice"]["priority"], 3)
        self.assertEqual(b["expires_at"] - b["created_at"], 86400)
        done = self.s.wait(b["id"])
        self.assertEqual(done["status"], "completed")
        self.assertEqual(done["request_counts"],
                         {"total": 300, "completed": 300, "failed": 0})
        for at in ("in_progress_at", "finalizing_at", "completed_at"):
            self.assertGreaterEqual(done[at], b["created_at"])
        self.assertNotIn("error_file_id", done)
        self.assertEqual(done["model"], "m1")
        got = self.s.results(b["id"])
        self.assertEqual(set(got), {f"r-{i}" for i in range(300)})
        total = {"input": 0, "output": 0}
        for one in got.values():
            self.assertEqual(set(one), {"id", "custom_id", "response", "error"})
            self.assertIsNone(one["error"])
            self.assertEqual(one["response"]["status_code"], 200)
            self.assertTrue(one["response"]["request_id"])
            u = one["response"]["body"]["usage"]
            total["input"] += u["prompt_tokens"]
            total["output"] += u["completion_tokens"]
        self.assertEqual(done["usage"]["input_tokens"], total["input"])
        self.assertEqual(done["usage"]["output_tokens"], total["output"])
        self.assertEqual(done["usage"]["total_tokens"], sum(total.values()))
        out = self.s.get(f"/v1/files/{done['output_file_id']}").json
        self.assertEqual(out["purpose"], "batch_output")
        body = self.s.get(f"/v1/files/{done['output_file_id']}/content").body
        self.assertEqual(out["bytes"], len(body))
        self.assertEqual(self.s.sql(
            f"select count(*) from sluice.batch_result('{b['id']}')"), "300")

    def test_bodies_reach_the_upstream_byte_for_byte(self):
        bodies = [
            '{"model":"m1","messages":[],"seed":12345678901234567890}',
            '{ "model" : "m1" ,\t"t":0.1000, "big":1e400, "messages": [ ] }',
            '{"messages":[{"content":"\\u00e9\\/\\ud83d\\ude00 é"}],"model":"m1"}',
            '{"model":"m1","a":{"model":"x"},"z":-0,"y":1E5,"z":-0}',
        ]
        text = "".join('{"body": %s, "custom_id": "b-%d", "url": "%s", '
                       '"method": "POST"}\n' % (b, i, CHAT)
                       for i, b in enumerate(bodies))
        b = self.s.submit(text)
        self.s.wait(b)
        got = self.s.results(b)
        for i, body in enumerate(bodies):
            h = 0xcbf29ce484222325
            for byte in body.encode():
                h = ((h ^ byte) * 0x100000001b3) & (2 ** 64 - 1)
            said = got[f"b-{i}"]["response"]["body"]["choices"][0]["message"]
            self.assertIn(f"echo:{h:016x}", said["content"])

    def test_every_endpoint(self):
        for url, body in (("/v1/completions", {"prompt": "x"}),
                          ("/v1/embeddings", {"input": "x"}),
                          ("/v1/responses", {"input": "x"}),
                          ("/v1/moderations", {"input": "x"})):
            with self.subTest(url):
                text = json.dumps({"custom_id": "a", "method": "POST",
                                   "url": url, "body": {"model": "m1", **body}})
                b = self.s.submit(text, endpoint=url)
                self.assertEqual(self.s.wait(b)["status"], "completed")
                self.assertEqual(
                    self.s.results(b)["a"]["response"]["status_code"], 200)

    def test_several_models_in_one_file(self):
        text = "".join(line(f"r-{i}", model=f"m{i % 5}") + "\n"
                       for i in range(700))
        b = self.s.submit(text)
        done = self.s.wait(b)
        self.assertNotIn("model", done)
        self.assertEqual(len(self.s.results(b)), 700)

    def test_create_refuses_what_makes_no_sense(self):
        for change, code, param in (
                ({"input_file_id": "absent"}, "missing_required_parameter",
                 "input_file_id"),
                ({"input_file_id": 7}, "invalid_type", "input_file_id"),
                ({"endpoint": "/v1/images"}, "invalid_value", "endpoint"),
                ({"endpoint": "absent"}, "missing_required_parameter",
                 "endpoint"),
                ({"completion_window": "24"}, "invalid_value",
                 "completion_window"),
                ({"completion_window": "59s"}, "invalid_value",
                 "completion_window"),
                ({"completion_window": "31d"}, "invalid_value",
                 "completion_window"),
                ({"completion_window": 24}, "invalid_type",
                 "completion_window"),
                ({"metadata": []}, "invalid_type", "metadata"),
                ({"metadata": {"tags": [1]}}, "invalid_type",
                 "metadata.tags"),
                ({"metadata": {str(i): "x" for i in range(17)}},
                 "invalid_value", "metadata"),
                ({"metadata": {"k" * 65: "x"}}, "invalid_value", "metadata"),
                ({"metadata": {"k": "é" * 513}}, "invalid_value",
                 "metadata.k"),
                ({"sluice": {"priority": 5}}, "invalid_value",
                 "sluice.priority"),
                ({"sluice": {"priority": "urgent"}}, "invalid_value",
                 "sluice.priority"),
                ({"output_expires_after": {"anchor": "created_at",
                                           "seconds": 3599}}, "invalid_value",
                 "output_expires_after.seconds"),
                ({"output_expires_after": {"seconds": 7200}}, "invalid_value",
                 "output_expires_after.anchor")):
            with self.subTest(change):
                e = self.bad(**change)
                self.assertEqual((e["code"], e["param"]), (code, param))
        for text in (b"", b"{", b"[]", b'{"a":1,"a":2}', b"\xff"):
            a = self.s.call("POST", "/v1/batches", text,
                            {"Content-Type": "application/json"})
            self.assertEqual(a.status, 400, text)
        a = self.s.call("POST", "/v1/batches", b" " * 65537,
                        {"Content-Type": "application/json"})
        self.assertEqual(a.status, 413)
        self.assertEqual(self.bad(404, input_file_id="file-" + "0" * 32)["param"],
                         "input_file_id")
        self.assertEqual(self.bad(404, input_file_id="nonsense")["param"],
                         "input_file_id")

    def test_limits_of_metadata_and_windows_are_met(self):
        for more in ({"metadata": {f"{i:064}": "é" * 512 for i in range(16)}},
                     {"completion_window": "1m"}, {"completion_window": "60s"},
                     {"completion_window": "30d"}, {"metadata": None},
                     {"unknown": {"x": 1}}, {"sluice": {"max_tokens": 1}},
                     {"sluice": None},
                     {"output_expires_after": {"anchor": "created_at",
                                               "seconds": 3600}}):
            with self.subTest(more):
                a = self.s.call("POST", "/v1/batches", json_body={
                    "input_file_id": self.file, "endpoint": CHAT,
                    "completion_window": "24h", **more})
                self.assertEqual(a.status, 200, a.body)

    def test_own_options_are_checked_by_name(self):
        for own, param in (({"dedupe!": True}, "sluice.dedupe!"),
                           ({"priority": "urgent"}, "sluice.priority"),
                           ({"priority": 5}, "sluice.priority"),
                           ({"max_tokens": 0}, "sluice.max_tokens"),
                           ({"max_tokens": "1"}, "sluice.max_tokens"),
                           ([], "sluice")):
            with self.subTest(own):
                self.assertEqual(self.bad(400, sluice=own)["param"], param)
        a = self.s.call("POST", "/v1/batches", json_body={
            "input_file_id": self.file, "endpoint": CHAT,
            "completion_window": "24h", "sluice": {"priority": "high"}})
        self.assertEqual(a.json["sluice"]["priority"], 3)

    def test_failed_when_lines_and_endpoint_or_models_do_not_fit(self):
        b = self.s.batch(self.file, endpoint="/v1/embeddings").json
        self.assertEqual((b["status"], b["errors"]["data"][0]["code"]),
                         ("failed", "url_mismatch"))
        s = Sluice(workers=0)
        try:
            s.path(self.up, models=["gpt-*"])
            b = s.batch(s.upload(lines(1)).json["id"]).json
            self.assertEqual((b["status"], b["errors"]["data"][0]["code"]),
                             ("failed", "model_not_found"))
            self.assertIn("sluice path add", b["errors"]["data"][0]["message"])
            self.assertIn("m1", b["errors"]["data"][0]["message"])
            self.assertEqual(b["request_counts"],
                             {"total": 0, "completed": 0, "failed": 0})
        finally:
            s.stop()

    def test_idempotency_key_makes_one_batch(self):
        f = self.file
        h = {"Idempotency-Key": "b-1"}
        a = self.s.batch(f, headers=h).json["id"]
        self.assertEqual(self.s.batch(f, headers=h).json["id"], a)
        self.assertEqual(self.s.batch(f, headers=h, window="2h").status, 422)
        self.assertNotEqual(self.s.batch(f).json["id"], a)

    def test_a_replay_finds_its_batch_when_the_input_is_gone(self):
        f = self.s.upload(lines(1)).json["id"]
        h = {"Idempotency-Key": "b-2"}
        a = self.s.batch(f, headers=h).json["id"]
        self.s.wait(a)
        self.assertEqual(self.s.call("DELETE", f"/v1/files/{f}").status, 200)
        again = self.s.batch(f, headers=h)
        self.assertEqual((again.status, again.json.get("id")), (200, a))
        self.assertEqual(self.s.batch(f, headers=h, window="2h").status, 422)
        self.assertEqual(self.s.batch(f).status, 404)

    def test_others_batches_do_not_exist(self):
        b = self.s.batch(self.file).json["id"]
        for method, path in (("GET", ""), ("POST", "/cancel")):
            for name in (b, "batch_" + "0" * 32, "batch_x", "x"):
                a = self.s.call(method, f"/v1/batches/{name}{path}",
                                key=OTHER_KEY)
                self.assertEqual(a.status, 404)
        self.assertEqual(self.s.get("/v1/batches", key=OTHER_KEY).json["data"],
                         [])
        done = self.s.wait(b)
        self.assertEqual(self.s.get(
            f"/v1/files/{done['output_file_id']}/content",
            key=OTHER_KEY).status, 404)

    def test_list_is_paged_newest_first(self):
        s = Sluice(workers=0)
        try:
            s.path(self.up)
            f = s.upload(lines(1)).json["id"]
            ids = [s.batch(f).json["id"] for _ in range(25)][::-1]
            page = s.get("/v1/batches").json
            self.assertEqual([b["id"] for b in page["data"]], ids[:20])
            self.assertTrue(page["has_more"])
            page = s.get(f"/v1/batches?limit=100&after={page['last_id']}").json
            self.assertEqual([b["id"] for b in page["data"]], ids[20:])
            self.assertFalse(page["has_more"])
            self.assertEqual(s.get("/v1/batches?limit=0").json["data"], [])
            for query, code in (("limit=101", "integer_above_max_value"),
                                ("limit=-5", "integer_below_min_value"),
                                ("limit=%zz", "invalid_query")):
                a = s.get(f"/v1/batches?{query}")
                self.assertEqual((a.status, a.error["code"]), (400, code))
            self.assertEqual(s.get("/v1/batches?after=batch_" + "0" * 32).status,
                             404)
        finally:
            s.stop()

    def test_a_file_in_use_cannot_be_deleted(self):
        up = Upstream("--latency", "600000")
        s = Sluice()
        try:
            s.path(up)
            f = s.upload(lines(5)).json["id"]
            b = s.batch(f).json["id"]
            a = s.call("DELETE", f"/v1/files/{f}")
            self.assertEqual((a.status, a.error["code"]), (409, "file_in_use"))
            self.assertEqual(a.headers["x-should-retry"], "false")
            self.assertIn(b, a.error["message"])
        finally:
            for w in s.workers:
                w.kill()
            s.workers = []
            s.stop()
            up.stop()


class Ends(unittest.TestCase):
    """Cancelled and expired: what is done is kept, the rest gets its line."""

    def setUp(self):
        self.up = Upstream("--latency", "200")
        self.s = Sluice()
        self.s.path(self.up, limits=[("requests", 60, 600)])

    def tearDown(self):
        self.s.stop()
        self.up.stop()

    def check(self, b, code, n):
        done = self.s.show(b)
        got = self.s.results(b)
        self.assertEqual(len(got), n)
        ended = [x for x in got.values() if x["error"]]
        self.assertTrue(all(x["error"]["code"] == code and x["response"] is None
                            for x in ended))
        self.assertTrue(0 < len(ended) < n)
        self.assertEqual(done["request_counts"], {
            "total": n, "completed": n - len(ended), "failed": len(ended)})
        sent = self.up.stats()["accepted"]
        self.assertEqual(sent, n - len(ended))
        for table in ("run", "retry", "batch_lane", "unplaced"):
            self.assertEqual(
                self.s.sql(f"select count(*) from sluice.{table}"), "0", table)

    def test_cancel(self):
        b = self.s.submit(lines(1000))
        until(lambda: self.s.show(b)["request_counts"]["completed"] >= 5)
        a = self.s.call("POST", f"/v1/batches/{b}/cancel")
        self.assertEqual((a.status, a.json["status"]), (200, "cancelling"))
        self.assertIn("cancelling_at", a.json)
        done = self.s.wait(b)
        self.assertEqual(done["status"], "cancelled")
        self.assertIn("cancelled_at", done)
        self.check(b, "batch_cancelled", 1000)
        again = self.s.call("POST", f"/v1/batches/{b}/cancel")
        self.assertEqual((again.status, again.json["status"]),
                         (200, "cancelled"))

    def test_expiry(self):
        b = self.s.submit(lines(1000), window="1m")
        until(lambda: self.s.show(b)["request_counts"]["completed"] >= 5)
        self.s.sql("update sluice.batch set deadline = now()")
        done = self.s.wait(b)
        self.assertEqual(done["status"], "expired")
        self.assertIn("expired_at", done)
        self.check(b, "batch_expired", 1000)

    def test_counts_outlive_the_files(self):
        up = Upstream()
        s = Sluice()
        s.path(up)
        b = s.submit(lines(3) + line("bad", model="m1", n="?") + "\n")
        before = s.wait(b)
        self.assertGreater(before["usage"]["total_tokens"], 0)
        self.assertEqual(s.call("DELETE", "/v1/files/" +
                                before["output_file_id"]).status, 200)
        s.sql("delete from sluice.place p using sluice.file f where "
              "f.id = p.file_id and f.purpose = 'batch_output'")
        self.assertEqual(s.show(b), before)
        s.stop()
        up.stop()

    def test_cancel_of_what_has_ended(self):
        b = self.s.submit(lines(2))
        self.s.wait(b)
        a = self.s.call("POST", f"/v1/batches/{b}/cancel")
        self.assertEqual(a.status, 409)
        self.assertEqual(a.error["message"],
                         "Cannot cancel a batch with status 'completed'.")

    def test_output_can_be_read_while_it_grows(self):
        b = self.s.submit(lines(60))
        seen = b""
        while True:
            d = self.s.show(b)
            if "output_file_id" in d:
                body = self.s.get(
                    f"/v1/files/{d['output_file_id']}/content").body
                self.assertTrue(body.startswith(seen))
                self.assertTrue(body.endswith(b"\n"))
                seen = body
            if d["status"] == "completed":
                break
        self.assertEqual(seen.count(b"\n"), 60)


if __name__ == "__main__":
    unittest.main()


class Duplicates(unittest.TestCase):
    def test_the_same_body_is_sent_once_and_answered_each(self):
        up = Upstream()
        s = Sluice()
        s.path(up)
        n = 1200
        text = "".join(line(f"r-{i}", f"hello {i % 30}", model=f"m{i % 2}") + "\n"
                       for i in range(n))
        b = s.submit(text, sluice={"dedupe": True})
        done = s.wait(b)
        self.assertEqual(done["request_counts"],
                         {"total": n, "completed": n, "failed": 0})
        self.assertEqual(done["sluice"]["duplicates"], n - 30)
        self.assertEqual(up.stats()["accepted"], 30)
        got = s.results(b)
        self.assertEqual(set(got), {f"r-{i}" for i in range(n)})
        self.assertEqual(len({g["id"] for g in got.values()}), n)
        used = 0
        for i in range(n):
            self.assertEqual(got[f"r-{i}"]["response"],
                             got[f"r-{i % 30}"]["response"])
            used += got[f"r-{i}"]["response"]["body"]["usage"]["total_tokens"] \
                if i < 30 else 0
        self.assertEqual(done["usage"]["total_tokens"], used)
        s.stop()
        up.stop()

    def test_not_unless_asked_for_nor_in_vain(self):
        up = Upstream("--latency", "20")
        s = Sluice()
        s.path(up, limits=[("concurrent", 0, 1)])
        text = line("a", "x") + "\n" + line("b", "x") + "\n"
        s.wait(s.submit(text))
        self.assertEqual(up.stats()["accepted"], 2)
        # Cancelled while the first waits: each line ends, once.
        text = "".join(line(f"r-{i}", f"{i % 100}") + "\n" for i in range(400))
        b = s.submit(text, sluice={"dedupe": True})
        until(lambda: up.stats()["accepted"] > 5)
        self.assertEqual(s.call("POST", f"/v1/batches/{b}/cancel").status, 200)
        done = s.wait(b)
        self.assertEqual(done["status"], "cancelled")
        self.assertEqual(len(s.results(b)), 400)
        self.assertEqual(sum(done["request_counts"][k] for k in
                             ("completed", "failed")), 400)
        self.assertEqual(s.sql("select count(*) from sluice.twin"), "0")
        s.stop()
        up.stop()
