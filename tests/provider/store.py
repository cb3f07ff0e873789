"""Files and batches of a simulated provider, and the time they take.

A batch goes on by itself: whoever looks at it first brings it up to date.  What
a line is worth is counted by its text, whatever it is called: that is how a test
finds out what was paid for twice.
"""
import collections
import json
import random
import threading
import time


def tokens_of(body):
    return max(1, len(json.dumps(body)) // 4)


def text_of(body):
    return body["messages"][0]["content"] if "messages" in body else str(
        body.get("input"))


class Refused(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Batch:
    def __init__(self, name, file_id, endpoint, metadata, now):
        self.id, self.file_id, self.endpoint = name, file_id, endpoint
        self.metadata, self.created = metadata, now
        self.status = "validating"
        self.errors = None
        self.lines, self.tokens, self.done = [], 0, 0
        self.started = self.work_s = None
        self.stops_at = None        # so many lines, then it expires
        self.cancelling = None      # since
        self.out = {"output": [], "error": []}
        self.files = {}

    def open(self):
        return self.status in ("validating", "in_progress", "finalizing",
                               "cancelling")

    def json(self):
        b = {"id": self.id, "object": "batch", "endpoint": self.endpoint,
             "input_file_id": self.file_id, "completion_window": "24h",
             "status": self.status, "created_at": int(self.created),
             "metadata": self.metadata,
             "output_file_id": self.files.get("output"),
             "error_file_id": self.files.get("error"),
             "request_counts": {"total": len(self.lines),
                                "completed": len(self.out["output"]),
                                "failed": len(self.out["error"])}}
        if self.errors:
            b["errors"] = {"object": "list", "data": self.errors}
        return b


class Store:
    def __init__(self):
        self.lock = threading.RLock()
        self.files, self.batches = {}, {}
        self.serial = 0
        self.options = {
            "enqueued": None,   # tokens, of all batches under way
            "work_s": 0.2,      # of one batch
            "validate_s": 0.05,
            "cancel_s": 0.2,
            "expire": [],       # of the next batches: the part that is done
            "fail": [],         # of the next batches: how they fail
            "answers": {},      # text in a line -> [status, ..., last for ever]
            "see_files_s": 0,   # a file is not known to batches for so long
        }
        self.stats = {"created": 0, "uploaded": 0, "deleted": 0, "cancelled": 0,
                      "over": 0, "enqueued_max": 0, "tokens_paid": 0,
                      "duplicates": 0}
        self.paid = collections.Counter()       # by text
        self.asked = collections.Counter()
        self.order = random.Random(1)

    def name(self, prefix):
        self.serial += 1
        return f"{prefix}{self.serial:06d}"

    # Files ------------------------------------------------------------------

    def upload(self, filename, data, purpose="batch"):
        with self.lock:
            if not data:
                raise Refused(400, "empty_file", "The file is empty.")
            name = self.name("file-")
            self.files[name] = (filename, data, purpose, time.time())
            self.stats["uploaded"] += purpose == "batch"
            return name

    def file_json(self, name):
        filename, data, purpose, at = self.files[name]
        return {"id": name, "object": "file", "bytes": len(data),
                "created_at": int(at), "filename": filename,
                "purpose": purpose, "status": "processed"}

    def delete(self, name):
        with self.lock:
            if self.files.pop(name, None) is None:
                raise Refused(404, "not_found", f"No such File object: {name}")
            self.stats["deleted"] += 1

    # Batches ----------------------------------------------------------------

    def create(self, doc):
        now = time.time()
        with self.lock:
            file = self.files.get(doc["input_file_id"])
            if file is None or now - file[3] < self.options["see_files_s"]:
                raise Refused(400, "invalid_request",
                              f"Cannot find file {doc['input_file_id']}.")
            if any(b.metadata == doc.get("metadata") or
                   b.file_id == doc["input_file_id"]
                   for b in self.batches.values()):
                self.stats["duplicates"] += 1
            b = Batch(self.name("batch_"), doc["input_file_id"], doc["endpoint"],
                      doc.get("metadata") or {}, now)
            b.work_s = self.options["work_s"]
            self.batches[b.id] = b
            self.stats["created"] += 1
            return b

    def enqueued(self):
        return sum(b.tokens for b in self.batches.values()
                   if b.started is not None and b.open())

    def fail(self, b, *errors):
        b.status, b.errors = "failed", list(errors)

    def validate(self, b, now):
        o = self.options
        if o["fail"]:
            code = o["fail"].pop(0)
            line = None
            if ":" in code:
                code, line = code.split(":")
            return self.fail(b, {"code": code, "message": f"{code} it is",
                                 "param": None,
                                 "line": int(line) if line else None})
        names = set()
        for n, text in enumerate(self.files[b.file_id][1].splitlines(), 1):
            doc = json.loads(text)
            if doc["custom_id"] in names or doc["url"] != b.endpoint:
                return self.fail(b, {"code": "duplicate_custom_id", "line": n,
                                     "message": "once only", "param": None})
            names.add(doc["custom_id"])
            b.lines.append((doc["custom_id"], doc["body"]))
        if len({body["model"] for _, body in b.lines}) > 1:
            return self.fail(b, {"code": "mismatched_model", "line": 1,
                                 "message": "one model", "param": None})
        if len(b.lines) > 50000:
            return self.fail(b, {"code": "too_many_requests", "line": None,
                                 "message": "50,000 lines", "param": None})
        b.tokens = sum(tokens_of(body) for _, body in b.lines)
        if o["enqueued"] and self.enqueued() + b.tokens > o["enqueued"]:
            self.stats["over"] += 1
            return self.fail(b, {
                "code": "token_limit_exceeded", "param": None, "line": None,
                "message": "Enqueued token limit reached for m1. Please try "
                           "again once some in_progress batches have been "
                           "completed."})
        self.order.shuffle(b.lines)
        b.status, b.started = "in_progress", now
        if o["expire"]:
            b.stops_at = int(len(b.lines) * o["expire"].pop(0))
        self.stats["enqueued_max"] = max(self.stats["enqueued_max"],
                                         self.enqueued())

    def answer(self, b, name, body):
        text, status = text_of(body), 200
        self.asked[text] += 1
        for mark, plan in self.options["answers"].items():
            if mark in text:
                status = plan[min(self.asked[text], len(plan)) - 1]
        made = {"id": self.name("batch_req_"), "custom_id": name,
                "response": {"status_code": status,
                             "request_id": self.name("req_")}, "error": None}
        if status == 200:
            n = tokens_of(body)
            self.paid[text] += 1
            self.stats["tokens_paid"] += n
            made["response"]["body"] = {
                "id": "x", "object": "chat.completion", "model": body["model"],
                "exact": 12345678901234567890,
                "choices": [{"index": 0, "finish_reason": "stop", "message": {
                    "role": "assistant", "content": f"re: {text[:100]}"}}],
                "usage": {"prompt_tokens": n, "completion_tokens": 5,
                          "total_tokens": n + 5}}
        elif status == 0:
            made["response"] = None
            made["error"] = {"code": "request_timeout", "message": "too slow"}
        else:
            made["response"]["body"] = {"error": {
                "message": f"{status} it is", "type": "x", "param": None,
                "code": "rate_limit_exceeded" if status == 429 else "bad"}}
        b.out["output" if status == 200 else "error"].append(json.dumps(made))

    def work(self, b, upto):
        while b.done < upto:
            self.answer(b, *b.lines[b.done])
            b.done += 1

    def finish(self, b, status):
        code = {"expired": "batch_expired", "cancelled": "batch_cancelled"}.get(
            status)
        for name, _ in b.lines[b.done:]:
            b.out["error"].append(json.dumps({
                "id": self.name("batch_req_"), "custom_id": name,
                "response": None,
                "error": {"code": code, "message": "not run"}}))
        for kind, lines in b.out.items():
            if lines:
                b.files[kind] = self.upload(f"{b.id}_{kind}.jsonl", "".join(
                    x + "\n" for x in lines).encode(), "batch_output")
        b.status = status

    def advance(self, b, now):
        if b.status == "validating" and \
                now >= b.created + self.options["validate_s"]:
            self.validate(b, now)
        if b.started is None or not b.open():
            return
        part = (now - b.started) / max(b.work_s, 1e-9)
        due = min(len(b.lines), int(len(b.lines) * part))
        if b.stops_at is not None:
            due = min(due, b.stops_at)
        if b.cancelling is None:
            self.work(b, due)
            if b.stops_at is not None and b.done >= b.stops_at:
                self.finish(b, "expired")
            elif part >= 1:
                self.finish(b, "completed")
        elif now >= b.cancelling + self.options["cancel_s"]:
            self.finish(b, "cancelled")

    def look(self, name):
        with self.lock:
            if name not in self.batches:
                raise Refused(404, "not_found", f"No batch {name}")
            for b in self.batches.values():
                self.advance(b, time.time())
            return self.batches[name]

    def cancel(self, name):
        with self.lock:
            b = self.look(name)
            if b.status == "validating":
                b.status = "cancelled"
            elif b.open():
                if b.cancelling is None:
                    b.cancelling = time.time()
                    self.stats["cancelled"] += 1
                b.status = "cancelling"
            elif b.status != "cancelled":
                raise Refused(409, "conflict", "Cannot cancel a batch with "
                              f"status '{b.status}'.")
            return b

    def all_stats(self):
        with self.lock:
            for b in self.batches.values():
                self.advance(b, time.time())
            return {**self.stats, "enqueued": self.enqueued(),
                    "files": len(self.files),
                    "paid": len(self.paid),
                    "paid_twice": sum(n > 1 for n in self.paid.values()),
                    "batches": {b.id: [b.status, len(b.lines), b.done]
                                for b in self.batches.values()}}
