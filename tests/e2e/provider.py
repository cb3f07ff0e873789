"""The simulated provider of batches (tests/provider) for tests and benchmarks."""
import http.client
import json
import os
import sys

from e2e.harness import Process, folder, serial, until

PROGRAM = os.path.join(os.path.dirname(__file__), "..", "provider",
                       "provider.py")


class Provider:
    def __init__(self, **options):
        name = os.path.join(folder(), serial("provider"))
        self.p = Process([sys.executable, PROGRAM, f"{name}.port"],
                         f"{name}.log")
        until(lambda: os.path.exists(f"{name}.port") or not self.p.alive())
        if not self.p.alive():
            raise AssertionError(self.p.text())
        with open(f"{name}.port") as f:
            self.port = int(f.read())
        self.url = f"http://127.0.0.1:{self.port}"
        self.secret = f"{name}.key"
        with open(self.secret, "w") as f:
            f.write("sk-provider\n")
        if options:
            self.control(**options)

    def call(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        c.request(method, path, body,
                  {"Authorization": "Bearer sk-provider"})
        r = c.getresponse()
        text = r.read()
        c.close()
        assert r.status == 200, text
        return json.loads(text)

    def control(self, **doc):
        self.call("POST", "/_control", json.dumps(doc))

    def stats(self):
        return self.call("GET", "/_stats")

    def path(self, s, name="cheap", limits=(), **more):
        """A way of kind batches to it, quick for tests."""
        return s.path(self, name, limits=[(d, 0, a) for d, a in limits],
                      kind="batches", secret_file=self.secret,
                      **{"poll_ms": 100, "linger_ms": 100, **more})

    def stop(self):
        self.p.stop(seconds=10) if self.p.alive() else None
