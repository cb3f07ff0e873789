#!/usr/bin/env python3
"""provider PORT-FILE: a simulated provider of /v1/files and /v1/batches.

On a free port of loopback.  POST /_control changes its options (store.py) and
what befalls the next calls of a kind (upload, create, list, poll, cancel,
content, delete): {"answer": {kind: [status, ...]}} in place of doing it, {"lose":
{kind: n}} does it and never answers, {"cut": n} breaks downloads off halfway.
GET /_stats says what came of it all.
"""
import http.server
import json
import os
import sys
import threading
import time
import urllib.parse

from store import Refused, Store

store = Store()
befalls = {"answer": {}, "lose": {}, "cut": 0}
lost = threading.Event()
calls = {"lost": 0, "latency_s": 0}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def body(self):
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            pieces = []
            while True:
                n = int(self.rfile.readline().split(b";")[0], 16)
                pieces.append(self.rfile.read(n))
                self.rfile.readline()
                if n == 0:
                    return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def reply(self, status, data, kind="application/json"):
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.send_header("x-request-id", "req_sim")
        self.end_headers()
        self.wfile.write(data)

    def error(self, status, code, message):
        self.reply(status, {"error": {"message": message, "type": "x",
                                      "param": None, "code": code}})

    # What the calls do ------------------------------------------------------

    def upload(self, body):
        kind = self.headers.get("content-type", "")
        if not kind.startswith("multipart/form-data; boundary="):
            raise Refused(400, "invalid_request", "no multipart")
        mark = b"--" + kind.split("boundary=")[1].encode()
        parts, name = {}, ""
        for part in body.split(mark)[1:-1]:
            head, data = part[2:-2].split(b"\r\n\r\n", 1)
            field = head.split(b'name="')[1].split(b'"')[0].decode()
            if b'filename="' in head:
                name = head.split(b'filename="')[1].split(b'"')[0].decode()
            parts[field] = data
        if parts.get("purpose") != b"batch":
            raise Refused(400, "invalid_request", "purpose must be batch")
        return store.file_json(store.upload(name, parts["file"]))

    def page(self, items, query):
        """Newest first, after one of them."""
        limit = int(query.get("limit", ["20"])[0])
        after = query.get("after", [None])[0]
        if after is not None:
            at = [x["id"] for x in items].index(after)
            items = items[at + 1:]
        return {"object": "list", "data": items[:limit],
                "has_more": len(items) > limit}

    def content(self, name):
        if name not in store.files:
            raise Refused(404, "not_found", f"No file {name}")
        data = store.files[name][1]
        with store.lock:
            cut, befalls["cut"] = befalls["cut"], max(0, befalls["cut"] - 1)
        if not cut:
            return data
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:len(data) // 2])
        self.wfile.flush()
        self.connection.close()
        self.close_connection = True
        return None

    def act(self, kind, arg, query, body):
        if kind == "upload":
            return self.upload(body)
        if kind == "create":
            return store.create(json.loads(body)).json()
        if kind == "poll":
            return store.look(arg).json()
        if kind == "cancel":
            return store.cancel(arg).json()
        if kind == "content":
            return self.content(arg)
        if kind == "delete":
            store.delete(arg)
            return {"id": arg, "object": "file", "deleted": True}
        with store.lock:
            if kind == "list":
                return self.page([b.json() for b in reversed(
                    store.batches.values())], query)
            return self.page([store.file_json(n) for n in reversed(store.files)
                              if store.files[n][2] == "batch"], query)

    KINDS = [("POST", ["files"], "upload"), ("GET", ["files"], "files"),
             ("GET", ["files", "*", "content"], "content"),
             ("DELETE", ["files", "*"], "delete"),
             ("POST", ["batches"], "create"), ("GET", ["batches"], "list"),
             ("GET", ["batches", "*"], "poll"),
             ("POST", ["batches", "*", "cancel"], "cancel")]

    def kind(self, parts):
        for method, pattern, kind in self.KINDS:
            if method == self.command and len(parts) == len(pattern) and all(
                    p in ("*", x) for p, x in zip(pattern, parts)):
                return kind
        raise Refused(404, "not_found", self.path)

    def befall(self, kind):
        """(status to answer instead, the answer gets lost)"""
        with store.lock:
            statuses = befalls["answer"].get(kind)
            if statuses:
                return statuses.pop(0), False
            n = befalls["lose"].get(kind, 0)
            befalls["lose"][kind] = max(0, n - 1)
            return None, n > 0

    def v1(self, url, body):
        parts = url.path.split("/")[2:]
        if self.headers.get("authorization") != "Bearer sk-provider":
            raise Refused(401, "invalid_api_key", "who are you?")
        kind = self.kind(parts)
        time.sleep(calls["latency_s"])
        status, loses = self.befall(kind)
        if status is not None:
            raise Refused(status, "as_told", f"told to answer {status}")
        answer = self.act(kind, parts[1] if len(parts) > 1 else None,
                          urllib.parse.parse_qs(url.query), body)
        if loses:
            calls["lost"] += 1
            lost.wait(600)
            self.close_connection = True
        elif answer is not None:
            self.reply(200, answer, "application/octet-stream"
                       if isinstance(answer, bytes) else "application/json")

    def control(self, doc):
        with store.lock:
            for k in ("answer", "lose"):
                befalls[k].update(doc.pop(k, {}))
            befalls["cut"] = doc.pop("cut", befalls["cut"])
            calls["latency_s"] = doc.pop("latency_s", calls["latency_s"])
            unknown = set(doc) - set(store.options)
            assert not unknown, unknown
            store.options.update(doc)

    def handle_call(self):
        body = self.body()
        url = urllib.parse.urlsplit(self.path)
        try:
            if url.path == "/_stats":
                self.reply(200, {**store.all_stats(), "lost": calls["lost"]})
            elif url.path == "/_control":
                self.control(json.loads(body))
                self.reply(200, {})
            else:
                self.v1(url, body)
        except Refused as e:
            self.error(e.status, e.code, e.message)
        except OSError:
            self.close_connection = True

    do_GET = do_POST = do_DELETE = handle_call


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


server = Server(("127.0.0.1", 0), Handler)
with open(sys.argv[1] + ".tmp", "w") as f:
    f.write(str(server.server_port))
os.rename(sys.argv[1] + ".tmp", sys.argv[1])
server.serve_forever()
