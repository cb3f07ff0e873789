"""Several lines in one upstream call."""
import json
import signal
import unittest

from e2e.harness import Sluice, Upstream, until

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
