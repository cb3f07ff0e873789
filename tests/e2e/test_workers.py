"""Workers against what the database believes of them."""
import subprocess
import unittest

from e2e import harness
from e2e.harness import Sluice, until


class Session:
    """A connection that keeps its transaction open."""

    def __init__(self, s):
        self.p = subprocess.Popen(
            ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d",
             s.pg.dsn(s.db, "sluice")], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)

    def run(self, text):
        self.p.stdin.write(f"{text};\n\\echo done\n")
        self.p.stdin.flush()
        rows = []
        while (row := self.p.stdout.readline().strip()) != "done":
            assert row or self.p.poll() is None, text
            rows.append(row)
        return rows

    def close(self):
        self.p.communicate()


class Takes(unittest.TestCase):
    def test_a_worker_does_not_die_in_the_middle_of_a_take(self):
        """Else it would get runs that no one gives back."""
        s = Sluice(schedulers=0, workers=0)
        w = s.sql("select sluice.worker_start('w', 10, 60000)")
        s.sql("insert into sluice.batch_lane (batch_id, account_id, file_id, "
              "purge_day, model, model_index, endpoint, priority, deadline, "
              "lines_left) values (1, 1, 1, '2030-01-01', 'm', 1, '/', 2, now(), 1);"
              "insert into sluice.run (batch_id, lane_id, path_id, purge_day, "
              "chunk_id, first_line, line, send_at, keep_us, open) select 1, id, 1, "
              "purge_day, 1, 1, '{1}', now(), 0, '1' from sluice.batch_lane")
        take = Session(s)
        take.run("begin")
        take.run(f"select * from sluice.take_runs({w}, '[{{\"path\":1,\"lines\":1}}]', 0)")
        self.assertIsNone(s.pg.sql(
            s.db, "set lock_timeout = '200ms'; update sluice.worker set state = "
            "'dead'", check=False), "the take holds the worker's row")
        take.run("commit")
        s.sql("update sluice.worker set state = 'dead'")
        take.close()
        s.stop()


if __name__ == "__main__":
    unittest.main()
