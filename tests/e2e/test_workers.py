"""Workers against what the database believes of them."""
import os
import select
import socket
import subprocess
import threading
import unittest

from e2e import harness
from e2e.harness import Process, Sluice, Upstream, lines, program, until


class Session:
    """A connection that keeps its transaction open."""

    def __init__(self, s):
        self.p = subprocess.Popen(
            ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d",
             s.pg.dsn(s.db, "sluice")], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)

    def send(self, text):
        self.p.stdin.write(f"{text};\n\\echo done\n")
        self.p.stdin.flush()

    def run(self, text):
        self.send(text)
        rows = []
        while (row := self.p.stdout.readline().strip()) != "done":
            assert row or self.p.poll() is None, text
            rows.append(row)
        return rows

    def close(self):
        self.p.communicate()


class Proxy:
    """Stands before PostgreSQL; lose() drops the answer of the next statement
    with this text that returns rows, once it is committed, and its connection."""

    def __init__(self, pg):
        self.server = pg.dir + "/.s.PGSQL.5432"
        self.dir = os.path.join(harness.folder(), harness.serial("proxy"))
        os.mkdir(self.dir)
        self.text = None
        self.lost = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.dir + "/.s.PGSQL.5432")
        self.listener.listen(20)
        threading.Thread(target=self.serve, daemon=True).start()

    def lose(self, text):
        self.text = text

    def serve(self):
        try:
            while True:
                c, _ = self.listener.accept()
                threading.Thread(target=self.pump, args=(c,), daemon=True).start()
        except OSError:
            pass

    def pump(self, client):
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.server)
        asked = b""
        with client, server:
            while True:
                ready = select.select([client, server], [], [])[0]
                if client in ready:
                    asked = client.recv(1 << 20)
                    if not asked:
                        return
                    server.sendall(asked)
                if server in ready:
                    said = server.recv(1 << 20)
                    if not said:
                        return
                    if self.text and self.text in asked and b"/v1/chat" in said:
                        while not said.endswith(b"Z\0\0\0\5I"):
                            said += server.recv(1 << 20)
                        self.text = None
                        self.lost += 1
                        return
                    client.sendall(said)

    def close(self):
        self.listener.close()


class Takes(unittest.TestCase):
    def worker_behind_proxy(self, s):
        proxy = Proxy(s.pg)
        name = os.path.join(harness.folder(), harness.serial("worker"))
        s.workers = [Process(
            [program("sluice-worker"), "--database",
             f"host={proxy.dir} dbname={s.db} user=sluice_worker"],
            f"{name}.log")]
        until(lambda: "worker.started" in s.workers[0].text())
        return proxy

    def test_a_take_whose_answer_is_lost_is_made_good(self):
        """The worker does not know of its runs: others get them, once."""
        n = 50
        up = Upstream("--latency", "300")
        s = Sluice(workers=0)
        s.path(up)
        proxy = self.worker_behind_proxy(s)
        proxy.lose(b"take_runs")
        b = s.submit(lines(n))
        done = s.wait(b, 20)
        self.assertEqual(done["request_counts"]["completed"], n)
        self.assertEqual(proxy.lost, 1)
        self.assertIn("worker.take_lost", s.workers[0].text())
        self.assertEqual(up.stats()["arrivals"], n)
        self.assertEqual(s.sql("select sum(attempts) from "
                               f"sluice.batch_result('{b}')"), str(n))
        self.assertEqual(s.sql("select count(*) from sluice.worker"), "1",
                         "the worker went on as who it was")
        s.stop()
        proxy.close()
        up.stop()

    def test_a_worker_that_stops_gives_back_a_lost_take_unsent(self):
        up = Upstream("--latency", "3000")
        s = Sluice(workers=0)
        s.path(up)
        proxy = self.worker_behind_proxy(s)
        proxy.lose(b"take_runs")
        s.submit(lines(5))
        until(lambda: proxy.lost == 1)
        s.workers[0].stop()
        self.assertEqual(s.sql(
            "select coalesce(sum(n), 0) from (select sends from sluice.retry union "
            "all select unnest(sends) from sluice.run) x (n)"), "0")
        self.assertEqual(s.sql("select count(*) from sluice.run "
                               "where worker_id is not null"), "0")
        s.stop()
        proxy.close()
        up.stop()

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


class Seats(unittest.TestCase):
    def test_calls_that_are_given_up_keep_their_seats(self):
        """The upstream still works on them."""
        up = Upstream("--latency", "30000")
        s = Sluice(worker_options=["--drain", "1s"])
        s.path(up, limits=[("concurrent", 0, 4)])
        s.submit(lines(40))
        until(lambda: len(up.sends()) == 4)
        s.workers[0].stop()
        self.assertEqual(s.sql("select granted, frozen_until > now() from "
                               "sluice.seat"), "4|t")
        s.workers = [s.start_worker("--drain", "1s")]
        until(lambda: "worker.started" in s.workers[0].text())
        # Looked at with that worker there: no seat is free.
        until(lambda: s.sql("""
            select now -> 'binds' ->> 'limit' = 'concurrent'
                and (now ->> 'at')::float8 > extract(epoch from (
                    select max(started_at) from sluice.worker)) + 1
            from sluice.path_state""") == "t")
        self.assertEqual(len(up.sends()), 4)
        s.stop()
        up.stop()


class Locks(unittest.TestCase):
    def test_batches_are_locked_in_the_order_of_their_ids(self):
        """Else two that lock several wait for each other."""
        s = Sluice(schedulers=1, workers=0)
        s.apply({"paths": [{"name": "p", "url": "http://127.0.0.1:1",
                            "models": ["*"]}]})
        for _ in range(20):
            s.submit(lines(1))
        s.schedulers[0].stop()
        s.sql("update sluice.batch set deadline = now() - make_interval(secs => id)")
        first, end = Session(s), Session(s)
        first.run("begin")
        first.run("select from sluice.batch where id = 1 for update")
        end.send("select sluice.batches_end(sluice.lease_take('t', 60000), 100)")
        until(lambda: s.sql("select count(*) from pg_stat_activity where datname = "
                            "current_database() and wait_event_type = 'Lock'") ==
              "1")
        self.assertEqual(s.sql("select count(*) from (select from sluice.batch "
                               "for update skip locked) x"), "19")
        first.run("commit")
        first.close()
        end.close()
        s.schedulers = []
        s.stop()


if __name__ == "__main__":
    unittest.main()
