"""Lines through an upstream's own /v1/files + /v1/batches (paths of kind batches)."""
import unittest

from e2e.harness import Sluice, line, lines, until
from e2e.provider import Provider


class Batches(unittest.TestCase):
    def start(self, limits=(), more=None, **options):
        self.up = Provider(**options)
        self.addCleanup(self.up.p.kill)
        s = Sluice()
        self.addCleanup(s.stop)
        self.up.path(s, limits=limits, **(more or {}))
        return s

    def test_a_batch_there_is_a_batch_here(self):
        s = self.start()
        b = s.submit(lines(300))
        done = s.wait(b)
        self.assertEqual(done["status"], "completed")
        self.assertEqual(done["request_counts"],
                         {"total": 300, "completed": 300, "failed": 0})
        got = s.results(b)
        self.assertEqual(len(got), 300)
        for i in (0, 7, 299):
            r = got[f"r-{i}"]["response"]
            self.assertEqual(r["status_code"], 200)
            self.assertIn(f"re: hello {i}", str(r["body"]["choices"]))
        a = s.get(f"/v1/files/{done['output_file_id']}/content")
        self.assertIn(b'"exact": 12345678901234567890', a.body)
        self.assertGreater(done["usage"]["input_tokens"], 300)
        until(lambda: self.up.stats()["files"] == 0, what="no files are left")
        self.assertEqual(self.up.stats()["created"], 1)
