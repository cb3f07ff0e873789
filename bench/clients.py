"""clients KIND PORT CALLS LIMIT: the usual ways to send many requests.

Written from descriptions, for bench/naive; none of it is others' code.

  bucket   a token bucket that starts full with a minute's worth and fills
           continuously; after a 429 nothing new for 15 s, and the call goes to
           the end of the queue, five tries in all (the parallel script of a
           well-known cookbook; synthetic-data tools do much the same)
  sdk      64 at once; on a 429 the SDK waits for Retry-After up to a minute,
           else 0.5 s x 2^n to 8 s less up to a quarter, two retries; then the
           loop outside puts the call at the end of the queue
  fixed8   8 threads, 32 threads; on a 429 a random wait of 1 s to 2^n s, a
  fixed32  minute at most, six tries (the usual decorator); then to the end of
           the queue

Prints as JSON: calls that were answered, calls given up, seconds, tokens of
prompts and of answers.
"""
import collections
import http.client
import json
import random
import sys
import threading
import time

BUCKET_TRIES, BUCKET_PAUSE_S = 5, 15
SDK_THREADS, SDK_RETRIES, SDK_WAIT_MAX_S = 64, 2, 60
DECORATOR_TRIES, DECORATOR_WAIT_MAX_S = 6, 60


class Work:
    def __init__(self, port, calls):
        self.port = port
        self.queue = collections.deque((i, 0) for i in range(calls))
        self.lock = threading.Lock()
        self.left, self.answered, self.lost = calls, 0, 0
        self.prompt, self.completion = 0, 0

    def call(self, connection, i):
        """(status, Retry-After or None)"""
        connection.request("POST", "/v1/chat/completions", json.dumps({
            "model": "m1", "messages": [{"role": "user",
                                         "content": f"hello {i}"}]}),
            {"Content-Type": "application/json"})
        r = connection.getresponse()
        body = r.read()
        if r.status == 200:
            usage = json.loads(body)["usage"]
            with self.lock:
                self.prompt += usage["prompt_tokens"]
                self.completion += usage["completion_tokens"]
        after = r.getheader("retry-after")
        return r.status, float(after) if after else None

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def take(self):
        with self.lock:
            return self.queue.popleft() if self.queue else None

    def again(self, i, tries):
        with self.lock:
            self.queue.append((i, tries))

    def done(self, answered=True):
        with self.lock:
            self.left -= 1
            if answered:
                self.answered += 1
            else:
                self.lost += 1


def bucket(work, limit):
    paused_until = 0.0

    def one(i, tries):
        nonlocal paused_until
        connection = work.connect()
        status, _ = work.call(connection, i)
        connection.close()
        if status == 200:
            work.done()
            return
        paused_until = time.monotonic() + BUCKET_PAUSE_S
        if tries + 1 < BUCKET_TRIES:
            work.again(i, tries + 1)
        else:
            work.done(answered=False)

    have, filled = float(limit), time.monotonic()
    while work.left:
        now = time.monotonic()
        have = min(limit, have + (now - filled) * limit / 60)
        filled = now
        job = work.take() if have >= 1 and now >= paused_until else None
        if job is None:
            time.sleep(0.002)
            continue
        have -= 1
        threading.Thread(target=one, args=job, daemon=True).start()


def pool(work, threads, attempt):
    """attempt(connection, i): True, or False to put it at the end."""
    def run():
        connection = work.connect()
        while work.left:
            job = work.take()
            if job is None:
                time.sleep(0.05)
            elif attempt(connection, job[0]):
                work.done()
            else:
                work.again(*job)
    all_threads = [threading.Thread(target=run) for _ in range(threads)]
    for t in all_threads:
        t.start()
    for t in all_threads:
        t.join()


def sdk(work, _):
    def attempt(connection, i):
        for n in range(SDK_RETRIES + 1):
            status, after = work.call(connection, i)
            if status == 200:
                return True
            if n == SDK_RETRIES:
                return False
            if after is None or after > SDK_WAIT_MAX_S:
                after = min(0.5 * 2 ** n, 8) * (1 - 0.25 * random.random())
            time.sleep(after)
    pool(work, SDK_THREADS, attempt)


def fixed(threads):
    def run(work, _):
        def attempt(connection, i):
            for n in range(DECORATOR_TRIES):
                if work.call(connection, i)[0] == 200:
                    return True
                time.sleep(max(1, random.uniform(
                    0, min(2 ** n, DECORATOR_WAIT_MAX_S))))
            return False
        pool(work, threads, attempt)
    return run


KINDS = {"bucket": bucket, "sdk": sdk, "fixed8": fixed(8), "fixed32": fixed(32)}


def main():
    kind, port, calls, limit = sys.argv[1], *map(int, sys.argv[2:5])
    random.seed(1)
    work = Work(port, calls)
    begun = time.monotonic()
    KINDS[kind](work, limit)
    print(json.dumps({"answered": work.answered, "lost": work.lost,
                      "seconds": time.monotonic() - begun,
                      "prompt": work.prompt, "completion": work.completion}))


if __name__ == "__main__":
    main()
