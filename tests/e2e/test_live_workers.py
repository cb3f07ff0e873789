"""Live requests: workers that come and go, room at the upstream, what is learned."""
import http.client
import signal
import socket
import threading
import time

from .harness import CHAT, lines, until
from .live import LiveCase, answer, begin_events, chunk


class Workers(LiveCase):
    def test_a_worker_that_dies_breaks_its_calls_only(self):
        hold = threading.Event()

        def act(h, body):
            begin_events(h)
            chunk(h, b"data: {}\n\n")
            hold.wait(60)
            chunk(h, b"")

        self.start(path={"limits": [("concurrent", 0, 9)]})
        self.up.act = act
        c, r = self.open()
        r.readline()
        until(lambda: self.s.sql("select coalesce(sum(granted), 0) from sluice.seat")
              == "0",
              what="no line wants a seat")
        self.s.workers[0].kill()
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            r.read()
        c.close()
        hold.set()
        # Nobody is there yet; what comes now is told so, and is not lost.
        a = self.post()
        self.assertEqual(a.status, 503, a.body)
        self.s.workers = [self.s.start_worker()]
        until(lambda: self.s.sql("select count(*) from sluice.worker where state "
                                 "= 'live' and live_url like '%/worker%'") != "0")
        self.up.act = answer()
        until(lambda: self.post().status == 200)
        # The upstream may work on the broken call for as long as the path allows.
        self.settled()
        self.assertEqual(self.s.sql(
            "select c.units, o.until > now() + interval '20 min' from "
            "sluice.live_cell c join sluice.live_orphan o using (limit_id)"), "1|t")

    def test_a_dead_worker_is_passed_over(self):
        self.start(workers=2)
        self.s.workers[0].kill()
        n = len(self.up.seen)
        for _ in range(12):
            self.assertEqual(self.post().status, 200)
        self.assertEqual(len(self.up.seen) - n, 12)
        self.s.workers.pop(0)

    def test_a_worker_that_stops_ends_what_it_has(self):
        go = threading.Event()

        def act(h, body):
            begin_events(h)
            chunk(h, b"data: 1\n\n")
            go.wait(30)
            chunk(h, b"data: 2\n\n")
            chunk(h, b"")

        self.start()
        self.up.act = act
        c, r = self.open()
        r.readline()
        self.s.workers[0].send(signal.SIGTERM)
        until(lambda: self.s.sql("select count(*) from sluice.worker where "
                                 "state = 'stopping'") == "1")
        go.set()
        self.assertTrue(r.read().endswith(b"data: 2\n\n"))
        c.close()
        until(lambda: not self.s.workers[0].alive())
        self.assertEqual(self.s.workers.pop(0).p.returncode, 0)
        self.assertEqual(self.used().split()[:2], ["1", "0"])

    def test_who_does_not_know_the_word_gets_nothing(self):
        self.start()
        where = self.s.sql("select live_url from sluice.worker")
        good = self.s.sql("select live_token from sluice.worker")
        path = self.s.sql("select id from sluice.path")
        for token in ("", "x" * len(good), good[:-1], good[:-1] + "g", good + "0"):
            s = socket.socket(socket.AF_UNIX)
            s.connect(where[5:])
            s.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nx-sluice-token: {token}"
                      f"\r\nx-sluice-admission: 1\r\nx-sluice-path: {path}\r\n"
                      "x-sluice-model: m1\r\nContent-Length: 2\r\n"
                      "Connection: close\r\n\r\n{}".encode())
            got = b""
            while data := s.recv(65536):
                got += data
            s.close()
            self.assertIn(b" 403 ", got.split(b"\r\n")[0], token)
        self.assertEqual(self.up.seen, [])


class Room(LiveCase):
    def refused(self):
        return self.s.sql(
            "select coalesce(sum(refused), 0) from sluice.usage_all")

    def test_calls_wait_for_room(self):
        self.start(scheduler_options=["--live-wait", "30s"],
                   path={"limits": [("requests", 1, 1)]})
        times, got = [], []
        self.up.act = lambda h, body: (times.append(time.monotonic()),
                                       answer()(h, body))
        threads = [threading.Thread(
            target=lambda: got.append(self.post().status)) for _ in range(5)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        self.assertEqual(got, [200] * 5)
        for a, b in zip(times, times[1:]):
            self.assertGreater(b - a, 0.99)
        # To wait is not to be refused; seconds are time enough to tell.
        self.assertEqual(self.refused(), "0")

    def test_a_call_that_would_wait_too_long_is_told_how_long(self):
        self.start(path={"limits": [("requests", 60, 1)]})
        self.assertEqual(self.post().status, 200)
        begun = time.monotonic()
        a = self.post()
        self.assertEqual((a.status, a.error["code"]), (429, "rate_limit_exceeded"))
        self.assertLess(time.monotonic() - begun, 2)
        self.assertTrue(30 < int(a.headers["retry-after"]) <= 62)
        self.assertEqual(len(self.up.seen), 1)
        until(lambda: self.refused() == "1", what="it is counted")

    def test_a_call_that_leaves_late_counts_from_then_on(self):
        hold = threading.Event()

        def act(h, body):
            begin_events(h)
            hold.wait(60)
            chunk(h, b"")

        self.start(path={"limits": [("requests", 60, 9)]})
        self.up.act = act
        self.s.workers[0].send(signal.SIGSTOP)
        caller = threading.Thread(target=self.post)
        caller.start()
        until(lambda: self.s.sql(
            "select count(*) from sluice.admission where made_at < "
            "clock_timestamp() - interval '1500 ms'") == "1")
        first = self.s.sql("select cell[1] from sluice.admission")
        self.s.workers[0].send(signal.SIGCONT)
        until(lambda: self.s.sql(
            f"select a.cell[1] - {first} > 8 and c.units = 1 from sluice.admission a "
            "join sluice.live_cell c on c.limit_id = rate_id[1] and c.cell = "
            "a.cell[1]") == "t", what="it stands where it left, and is open")
        hold.set()
        caller.join(60)
        self.settled()
        self.assertEqual(self.s.sql("select sum(units) from sluice.live_cell"), "1")

    def test_concurrency_that_nobody_declared_is_found_and_obeyed(self):
        lock, open_now, refused = threading.Lock(), [0], [0]

        def act(h, body):
            with lock:
                no = open_now[0] == 3
                refused[0] += no
                open_now[0] += not no
            if no:
                answer(429, b'{"error":{"message":"Too many concurrent requests",'
                       b'"code":"concurrency_limit_exceeded"}}')(h, body)
                return
            time.sleep(0.2)     # it works on it
            with lock:
                open_now[0] -= 1
            answer()(h, body)

        self.start(scheduler_options=["--live-wait", "30s"])
        self.up.act = act

        def crowd(n):
            got = []
            threads = [threading.Thread(
                target=lambda: got.append(self.post().status)) for _ in range(n)]
            for t in threads:
                t.start()
            for t in threads:
                t.join(60)
            return sorted(got)

        self.assertEqual(crowd(3), [200] * 3)
        self.assertIn(429, crowd(12))
        learned = "select learned #>> '{concurrency,limit}' from sluice.path_state"
        # Calls may overtake each other on their way.
        until(lambda: self.s.sql(learned) in ("3", "2"), what="it is found")
        refused[0] = 0
        self.assertEqual(crowd(12), [200] * 12)
        self.assertEqual(refused[0], 0)

    # For the dispatcher --------------------------------------------------

    def test_what_live_answers_say_of_limits_is_learned(self):
        told = answer(x_ratelimit_limit_requests="600",
                      x_ratelimit_remaining_requests="599",
                      x_ratelimit_reset_requests="100ms")
        self.start(path={"limits": [("requests", 60, 600)]})
        self.up.act = lambda h, body: (told if b"live" in body else answer())(
            h, body)

        def shown():
            self.assertEqual(
                self.post(b'{"model":"m1","live":1}').status, 200)
            # The dispatcher shows what it knows while it has work.
            self.s.wait(self.s.submit(lines(2)))
            return (b"x-ratelimit-remaining-requests" in
                    self.s.get("/admin/v1/paths/sim").body)

        until(shown, what="the reading in the path's state")
        # A refusal pauses the limit for lines, too.
        self.up.act = answer(429, retry_after="60")
        self.assertEqual(self.post().status, 429)
        until(lambda: self.s.sql(
            "select count(*) from sluice.rate_limit_state "
            "where paused_until > now() + interval '30 s'") == "1")
