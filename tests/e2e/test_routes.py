"""Which way lines go: kinds of paths, prices, deadlines, caps."""
import json
import unittest

from e2e.harness import CHAT, Answering, Sluice, line, until

OK = json.dumps({"object": "chat.completion", "choices": [], "usage": {
    "prompt_tokens": 1000, "completion_tokens": 100}}).encode()
ODD = b'{ "model" : "m1",\t"n": 12345678901234567890,"z":1e400, "a":-0.0}'


class Suffix(unittest.TestCase):
    def test_the_suffix_is_all_that_changes(self):
        seen = []
        up = Answering(lambda body, headers: (seen.append(body), (200, OK))[1])
        s = Sluice()
        s.path(up, name="cheap", suffix=":batch")
        odd = ('{"custom_id":"odd","method":"POST","url":"' + CHAT +
               '","body":' + ODD.decode() + '}')
        capped = line("capped")
        done = line("done", model="m1:batch")
        b = s.submit("\n".join([odd, done]) + "\n")
        s.wait(b)
        c = s.submit(capped + "\n", sluice={"max_tokens": 321})
        s.wait(c)
        body = json.dumps(json.loads(capped)["body"])
        self.assertEqual(sorted(seen), sorted([
            ODD.replace(b'"m1"', b'"m1:batch"'),
            json.dumps(json.loads(done)["body"]).encode(),
            ('{"max_tokens":321,' + body[1:]).replace(
                '"m1"', '"m1:batch"').encode()]))
        s.stop()
        up.stop()

    def test_a_live_call_that_names_the_suffix_goes_that_way(self):
        seen = []

        def answer(name):
            return lambda body, headers: (
                seen.append((name, body)), (200, OK))[1]

        direct, cheap = Answering(answer("direct")), Answering(answer("cheap"))
        s = Sluice()
        s.path(direct, name="main", models=["m*"])
        s.path(cheap, name="flex", models=["m*"], suffix=":flex")
        until(lambda: s.sql("select count(*) from sluice.worker where "
                            "live_url is not null") == "1")
        body = ODD.replace(b"m1", b"m1:batch")

        def call(sent):
            return s.call("POST", CHAT, sent,
                          {"Content-Type": "application/json"})
        no = call(body)
        self.assertEqual((no.status, no.error["code"]), (400, "no_cheap_path"))
        s.path(cheap, name="cheap", models=["m1"], suffix=":batch")
        self.assertEqual(call(body).status, 200)
        self.assertEqual(call(ODD).status, 200)
        self.assertEqual(call(body.replace(b"m1", b"m2")).status, 400)
        self.assertEqual(seen, [("cheap", body), ("direct", ODD)])
        s.stop()
        direct.stop()
        cheap.stop()


if __name__ == "__main__":
    unittest.main()
