"""Several lines in one upstream call."""
import json
import unittest

from e2e.harness import Sluice, Upstream, until
from e2e.test_cli import sluice, write

EMBEDDINGS, COMPLETIONS = "/v1/embeddings", "/v1/completions"


def fnv(data):
    h = 0xcbf29ce484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001b3 % 2 ** 64
    return h


def embedding(i, text=None, **body):
    return json.dumps({
        "custom_id": f"e-{i}", "method": "POST", "url": EMBEDDINGS,
        "body": {"model": "m1", "input": text or f"text number {i}", **body}})


def vector(h):
    return [(h >> s & 0xffff) / 100000 for s in (48, 32, 16, 0)]


class Combine(unittest.TestCase):
    def check_embedding(self, line, request):
        """Alone the upstream answers the body's hash, else the text's."""
        body = json.loads(request)["body"]
        got = line["response"]["body"]
        self.assertEqual(line["response"]["status_code"], 200)
        self.assertEqual(len(got["data"]), 1)
        self.assertEqual(got["data"][0]["index"], 0)
        self.assertIn(got["data"][0]["embedding"][:4], [
            vector(fnv(json.dumps(body["input"]).encode())),
            vector(fnv(json.dumps(body).encode()))])
        self.assertEqual(got["usage"]["prompt_tokens"],
                         got["usage"]["total_tokens"])

    def test_a_call_for_many_lines_is_one_request(self):
        up = Upstream("--reversed", "--limit", "requests/4s=4:log")
        s = Sluice()
        s.path(up, limits=[("requests", 4, 4)], combine=50)
        sent = [embedding(i) for i in range(200)]
        b = s.submit("\n".join(sent) + "\n", endpoint=EMBEDDINGS)
        self.assertEqual(s.sql("select alike from sluice.batch_lane"), "t")
        done = s.wait(b, 90)
        self.assertEqual(done["request_counts"],
                         {"total": 200, "completed": 200, "failed": 0})
        self.assertEqual(up.stats()["arrivals"], 4)
        results = s.results(b)
        for i, request in enumerate(sent):
            self.check_embedding(results[f"e-{i}"], request)
        self.assertEqual(done["usage"]["input_tokens"], sum(
            r["response"]["body"]["usage"]["prompt_tokens"]
            for r in results.values()))
        s.stop()
        up.stop()

    def test_what_only_seems_alike_is_sent_alone(self):
        """Bodies that differ, of one hash."""
        up = Upstream()
        s = Sluice()
        s.path(up, combine=50)
        sent = [embedding(i, user="one" if i % 3 else "another")
                for i in range(12)]
        file = s.upload("\n".join(sent) + "\n").json["id"]
        self.assertEqual(s.sql("update sluice.chunk set combine = "
                               "array_fill(7, array[12]) returning 1"), "1")
        b = s.batch(file, endpoint=EMBEDDINGS).json["id"]
        done = s.wait(b)
        self.assertEqual(done["request_counts"]["completed"], 12)
        results = s.results(b)
        for i, request in enumerate(sent):
            self.check_embedding(results[f"e-{i}"], request)
        # Four are as the first is; each of the others goes by itself.
        self.assertEqual(up.stats()["arrivals"], 1 + 8)
        s.stop()
        up.stop()

    def check_calls(self, up):
        """A body that comes again does so with its key, another with another."""
        keys = {}
        for send in up.sends():
            keys.setdefault(send["body"], set()).add(send["key"])
        self.assertTrue(all(len(k) == 1 for k in keys.values()))
        self.assertEqual(len(set.union(*keys.values())), len(keys))

    def test_one_line_spoils_no_other_and_a_crash_none(self):
        """By a cheap way, with a cap put in, with twins; killed while out."""
        up = Upstream("--latency", "400", "--limit", "requests/2s=10:log",
                      "--fault-match", "poison=400",
                      "--fault-match", "odd=badindex")
        s = Sluice()
        s.path(up, limits=[("requests", 2, 10)], combine=16, suffix=":batch")
        prompts = [f"prompt {i}" for i in range(60)]
        prompts[20], prompts[41] = "a poison in it", "an odd one"
        prompts[7] = prompts[3]
        sent = [json.dumps({
            "custom_id": f"c-{i}", "method": "POST", "url": COMPLETIONS,
            "body": {"prompt": p, "model": "m1", "seed": 5}})
            for i, p in enumerate(prompts)]
        b = s.submit("\n".join(sent) + "\n", endpoint=COMPLETIONS, sluice={
            "dedupe": True, "max_tokens": 9, "details": True})
        until(lambda: up.stats()["running"] > 0, what="a call is out")
        s.workers[0].kill()
        s.workers[0] = s.start_worker()
        done = s.wait(b, 120)
        self.assertEqual(done["request_counts"],
                         {"total": 60, "completed": 59, "failed": 1})
        stats = up.stats()
        self.assertEqual(stats["refused"], 0)
        self.assertLessEqual(stats["limits"][0]["max_in_window"], 10)
        # Four calls of 16, some twice; and what the halving takes.
        self.assertLess(stats["arrivals"], 30)
        self.check_calls(up)
        results, used = s.results(b), 0
        for i, prompt in enumerate(prompts):
            got = results[f"c-{i}"]["response"]
            if "poison" in prompt:
                self.assertEqual(got["status_code"], 400)
                self.assertEqual(got["body"]["error"]["code"], "invalid_value")
                continue
            choices = got["body"]["choices"]
            self.assertEqual([c["index"] for c in choices], [0])
            self.assertEqual(got["body"]["model"], "m1:batch")
            alone = (f'{{"max_tokens":9,"prompt": "{prompt}", "model": '
                     f'"m1:batch", "seed": 5}}')
            echo = {how: f"echo:{fnv(text.encode()):016x}" for how, text in
                    (("shared", f'"{prompt}"'), ("alone", alone))}
            self.assertIn(choices[0]["text"][:21], echo.values())
            told = results[f"c-{i}"]["sluice"]
            self.assertEqual(choices[0]["text"][:21], echo[
                "shared" if told.get("combined", 1) > 1 or i == 7 else
                "alone"])
            usage = got["body"]["usage"]
            self.assertEqual(usage["total_tokens"], usage["prompt_tokens"] +
                             usage["completion_tokens"])
            if i != 7:
                used += usage["total_tokens"]
        self.assertEqual(done["usage"]["total_tokens"], used)
        self.assertEqual(s.sql("select count(*) from sluice.retry"), "0")
        s.stop()
        up.stop()

    def test_a_bad_line_in_each_call_is_no_outage(self):
        """The upstream fails whatever holds it: others are answered."""
        up = Upstream("--fault-match", "poison=500")
        s = Sluice()
        s.path(up, combine=16, attempts=1)
        texts = [f"text number {i}" for i in range(64)]
        for i in (0, 16, 32 + 15, 48 + 15):
            texts[i] = f"poison {i}"
        sent = [embedding(i, t) for i, t in enumerate(texts)]
        b = s.submit("\n".join(sent) + "\n", endpoint=EMBEDDINGS)
        health = set()
        until(lambda: health.add(s.get("/admin/v1/paths/sim").json["health"])
              or s.get(f"/v1/batches/{b}").json["status"] == "completed", 60)
        self.assertEqual(health, {"up"})
        done = s.wait(b)
        self.assertEqual(done["request_counts"],
                         {"total": 64, "completed": 60, "failed": 4})
        results = s.results(b)
        for i, request in enumerate(sent):
            if "poison" in texts[i]:
                self.assertEqual(
                    results[f"e-{i}"]["response"]["status_code"], 500)
            else:
                self.check_embedding(results[f"e-{i}"], request)
        s.stop()
        up.stop()

    def test_an_upstream_that_takes_no_lists_is_not_asked_for_ever(self):
        up = Upstream("--fault-match", '"input":[=400',
                      "--fault-match", '"input": [=400')
        s = Sluice()
        s.path(up, combine=16)
        for text, arrivals in (("first", 2 * 16 - 1), ("second", 16)):
            before = up.stats()["arrivals"]
            b = s.submit("".join(embedding(i, f"{text} {i}") + "\n"
                                 for i in range(16)), endpoint=EMBEDDINGS)
            self.assertEqual(s.wait(b, 60)["request_counts"]["completed"], 16)
            self.assertEqual(up.stats()["arrivals"] - before, arrivals)
        s.stop()
        up.stop()

    def test_an_outage_is_one_whatever_shares_calls(self):
        """The path is left alone, no line is charged and few calls made."""
        up = Upstream("--fault", "503=1")
        s = Sluice()
        s.path(up, combine=32, attempts=3)
        b = s.submit("".join(embedding(i) + "\n" for i in range(256)),
                     endpoint=EMBEDDINGS)
        until(lambda: s.get("/admin/v1/paths/sim").json["health"] == "down",
              20, "path down")
        self.assertLess(up.stats()["arrivals"], 100)
        up.control(fault=[])
        done = s.wait(b, 60)
        self.assertEqual(done["request_counts"],
                         {"total": 256, "completed": 256, "failed": 0})
        s.stop()
        up.stop()


class Settings(unittest.TestCase):
    def test_a_path_says_how_many(self):
        s = Sluice(workers=0)
        url = f"http://127.0.0.1:{s.port}"

        def path(*args):
            return sluice("path", *args, url=url)

        add = ("add", "p", "--url", "http://127.0.0.1:9", "--models", "m*")
        for wrong in ("0", "-1", "2049", "x", "1.5"):
            p = path(*add, f"--combine={wrong}")
            self.assertNotEqual(p.returncode, 0, wrong)
            self.assertIn("a number from 1 to 2048", p.stderr)
        p = path(*add, "--combine", "2", "--kind", "batches")
        self.assertNotEqual(p.returncode, 0)
        self.assertIn("no calls to combine", p.stderr)
        for wrong in (0, -1, 2049, "x", 1.5, True):
            a = s.call("POST", "/admin/v1/apply", json_body={"paths": [{
                "name": "p", "url": "http://127.0.0.1:9", "models": ["m"],
                "combine": wrong}]})
            self.assertEqual((a.status, a.error["param"]), (400, "combine"))
        self.assertEqual(path(*add, "--combine", "2048").returncode, 0)
        self.assertRegex(path("show", "p").stdout, r"combine\s+2048")
        self.assertEqual(s.get("/admin/v1/paths/p").json["combine"], 2048)
        self.assertNotEqual(path("edit", "p", "--kind", "batches").returncode, 0)
        p = path("edit", "p", "--combine", "1", "--kind", "batches")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertNotIn("combine", s.get("/admin/v1/paths/p").json)
        doc = write("[path p]\nurl = http://127.0.0.1:9\nmodels = m*\n"
                    "combine = 7\n")
        self.assertIn("combine 1 -> 7", sluice("apply", "-f", doc,
                                               url=url).stdout)
        s.stop()
