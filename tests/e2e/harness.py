"""What end-to-end tests stand on: a private PostgreSQL, the programs, clients.

Everything listens on loopback or on sockets in a temporary folder, on free
ports, and is stopped by pid when the run ends.
"""
import atexit
import hashlib
import http.client
import http.server
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

BUILD = os.environ.get("SLUICE_BUILD") or os.path.join(
    os.path.dirname(__file__), "..", "..", "build")
KEY = "sk-slc-" + "T" * 43
OTHER_KEY = "sk-slc-" + "U" * 43
CHAT = "/v1/chat/completions"


def program(name):
    return os.path.join(os.path.abspath(BUILD), name)


def until(check, seconds=20, what="condition", every=0.02):
    """The first true value of check(); never a fixed sleep."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(every)


class Process:
    """A program of ours or not; its output goes to a file."""

    def __init__(self, args, log, env=None, **more):
        self.args = args
        self.log = log
        self.out = open(log, "ab")
        full = dict(os.environ, ASAN_OPTIONS="abort_on_error=0:exitcode=99",
                    UBSAN_OPTIONS="print_stacktrace=1", **(env or {}))
        self.p = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=self.out,
                                  stderr=self.out, env=full, **more)
        _started.append(self)

    def alive(self):
        return self.p.poll() is None

    def send(self, signum):
        if self.alive():
            self.p.send_signal(signum)

    def kill(self):
        """As a crash: no warning."""
        if self.alive():
            self.p.kill()
        self.p.wait()
        self.out.close()

    def stop(self, signum=signal.SIGTERM, seconds=45):
        self.send(signum)
        try:
            code = self.p.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.args[0]} did not stop") from None
        self.out.close()
        return code

    def text(self):
        with open(self.log, errors="replace") as f:
            return f.read()


_started = []
_folder = None


def folder():
    """Of this run, readable for the database's user; removed at the end."""
    global _folder
    if _folder is None:
        _folder = tempfile.mkdtemp(prefix="sluice-test.")
        os.chmod(_folder, 0o755)
    return _folder


@atexit.register
def _clean_up():
    for p in reversed(_started):
        if p.alive():
            p.p.kill()
            p.p.wait()
    if _folder and not os.environ.get("SLUICE_TEST_KEEP"):
        shutil.rmtree(_folder, ignore_errors=True)


class Postgres:
    """A private cluster, without durability unless asked for."""

    def __init__(self, name="pg", durable=False):
        self.dir = os.path.join(folder(), name)
        versions = sorted(os.listdir("/usr/lib/postgresql"), key=int)
        self.bin = f"/usr/lib/postgresql/{versions[-1]}/bin"
        self.as_user = {}
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            self.as_user = {"user": user.pw_uid, "group": user.pw_gid,
                            "extra_groups": []}
        self.durable = durable
        os.mkdir(self.dir)
        os.chmod(self.dir, 0o755)
        if self.as_user:
            os.chown(self.dir, user.pw_uid, user.pw_gid)
        subprocess.run([f"{self.bin}/initdb", "-D", f"{self.dir}/data", "-U",
                        "sluice", "-E", "UTF8", "--locale", "C.UTF-8", "-A",
                        "trust", "--no-sync"], check=True, cwd="/",
                       stdout=subprocess.DEVNULL, **self.as_user)
        self.start()

    def start(self):
        options = ["-c", "listen_addresses=", "-k", self.dir,
                   "-c", "max_connections=200",
                   "-c", "recovery_init_sync_method=syncfs"]
        if not self.durable:
            options += ["-c", "fsync=off", "-c", "full_page_writes=off"]
        self.p = Process([f"{self.bin}/postgres", "-D", f"{self.dir}/data",
                          *options], f"{self.dir}.log", cwd="/", **self.as_user)
        until(lambda: self.sql("postgres", "select 1", check=False) == "1", 120,
              "PostgreSQL up")

    def stop_immediate(self):
        """pg_ctl stop -m immediate: as a crash of the server."""
        self.p.send(signal.SIGQUIT)
        self.p.p.wait()

    def dsn(self, database, user=None):
        return f"host={self.dir} dbname={database}" + (
            f" user={user}" if user else "")

    def sql(self, database, text, check=True, user="sluice"):
        p = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d",
                            self.dsn(database, user), "-c", text],
                           capture_output=True, text=True)
        if p.returncode and check:
            raise AssertionError(f"{text}: {p.stderr}")
        return p.stdout.strip() if p.returncode == 0 else None


_postgres = None


def postgres():
    """The cluster that tests share; migrated once, copied for each."""
    global _postgres
    if _postgres is None:
        _postgres = Postgres()
        _postgres.sql("postgres", "create database template_sluice")
        subprocess.run([program("sluice"), "migrate", "--database",
                        _postgres.dsn("template_sluice", "sluice")], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return _postgres


_serial = 0


def serial(prefix):
    global _serial
    _serial += 1
    return f"{prefix}{_serial}"


class Upstream:
    """The simulated provider."""

    def __init__(self, *options):
        name = os.path.join(folder(), serial("upstream"))
        self.p = Process([program("upstream"), "--listen", "127.0.0.1:0",
                          "--port-file", f"{name}.port", *options],
                         f"{name}.log")
        until(lambda: os.path.exists(f"{name}.port") or not self.p.alive())
        if not self.p.alive():
            raise AssertionError(self.p.text())
        with open(f"{name}.port") as f:
            self.port = int(f.read())
        self.url = f"http://127.0.0.1:{self.port}"

    def get(self, path):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        c.request("GET", path)
        body = c.getresponse().read()
        c.close()
        return body

    def stats(self, query=""):
        return json.loads(self.get("/_stats" + query))

    def sends(self):
        return [json.loads(x) for x in self.get("/_sends").splitlines()]

    def control(self, **doc):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        c.request("POST", "/_control", json.dumps(doc))
        r = c.getresponse()
        text = r.read()
        c.close()
        assert r.status == 200, text

    def stop(self):
        self.p.stop()


class Listening:
    """An HTTP server of the test's own, on a free port."""

    def __init__(self, handler):
        handler.log_message = lambda *args: None
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Answering(Listening):
    """An upstream of the test's own: answer(body, headers) -> (status, bytes)."""

    def __init__(self, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                got = self.rfile.read(int(self.headers["content-length"]))
                status, body = answer(got, self.headers)
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True

        super().__init__(Handler)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]


class Sluice:
    """A database, one or more sluiced and workers, and a client of them."""

    def __init__(self, scheduler_options=(), worker_options=(), schedulers=1,
                 workers=1, pg=None):
        self.pg = pg or postgres()
        self.db = serial("sluice_")
        self.pg.sql("postgres",
                    f"create database {self.db} template template_sluice")
        for account, key in (("default", KEY), ("other", OTHER_KEY)):
            self.sql(f"""
                with a as (insert into sluice.account (name) values ('{account}')
                           returning id)
                insert into sluice.api_key (account_id, name, hash, hint, scopes)
                select id, 'test', '\\x{hashlib.sha256(key.encode()).hexdigest()}',
                       '{key[-4:]}', '{{batch,live,read,admin}}' from a""")
        self.schedulers = [self.start_scheduler(*scheduler_options)
                           for _ in range(schedulers)]
        self.workers = [self.start_worker(*worker_options)
                        for _ in range(workers)]
        self.port = self.schedulers[0].port if schedulers else None

    def start_scheduler(self, *options, **more):
        name = os.path.join(folder(), serial("sluiced"))
        p = Process([program("sluiced"), "--database",
                     self.pg.dsn(self.db, "sluice_api"), "--listen",
                     "127.0.0.1:0", "--port-file", f"{name}.port", *options],
                    f"{name}.log", **more)
        until(lambda: os.path.exists(f"{name}.port") or not p.alive())
        if not p.alive():
            raise AssertionError(p.text())
        with open(f"{name}.port") as f:
            p.port = int(f.read())
        return p

    def start_worker(self, *options, **more):
        name = os.path.join(folder(), serial("worker"))
        return Process([program("sluice-worker"), "--database",
                        self.pg.dsn(self.db, "sluice_worker"), "--live",
                        f"unix:{name}.live", *options], f"{name}.log", **more)

    def stop(self):
        codes = [p.stop() for p in self.workers + self.schedulers if p.alive()]
        for p in self.workers + self.schedulers:
            if "ERROR: AddressSanitizer" in p.text() or \
                    "runtime error:" in p.text() or \
                    "LeakSanitizer" in p.text():
                raise AssertionError(p.text()[-6000:])
        assert all(c == 0 for c in codes), codes

    def sql(self, text):
        return self.pg.sql(self.db, text)

    # The API, as a client sees it --------------------------------------

    def call(self, method, path, body=None, headers=None, key=KEY, port=None,
             json_body=None):
        h = {"Authorization": f"Bearer {key}"} if key else {}
        if json_body is not None:
            body = json.dumps(json_body)
            h["Content-Type"] = "application/json"
        h.update(headers or {})
        c = http.client.HTTPConnection("127.0.0.1", port or self.port,
                                       timeout=120)
        try:
            c.request(method, path, body, h)
            return Answer(c.getresponse())
        finally:
            c.close()

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def upload(self, data, name="in.jsonl", purpose="batch", key=KEY, fields=(),
               headers=None, port=None):
        """As the official SDKs send it: the file first, then the fields."""
        if isinstance(data, str):
            data = data.encode()
        mark = "----sluice-test-boundary"
        name = name.replace('"', "%22")
        out = [(f"--{mark}\r\nContent-Disposition: form-data; name=\"file\"; "
                f"filename=\"{name}\"\r\nContent-Type: application/octet-stream"
                f"\r\n\r\n").encode() + data + b"\r\n"]
        for k, v in [("purpose", purpose), *fields]:
            if v is not None:
                out.append(f"--{mark}\r\nContent-Disposition: form-data; name="
                           f"\"{k}\"\r\n\r\n{v}\r\n".encode())
        out.append(f"--{mark}--\r\n".encode())
        return self.call("POST", "/v1/files", b"".join(out), {
            "Content-Type": f"multipart/form-data; boundary={mark}",
            **(headers or {})}, key=key, port=port)

    def batch(self, file_id, endpoint=CHAT, window="24h", key=KEY, headers=None,
              **more):
        return self.call("POST", "/v1/batches", key=key, headers=headers,
                         json_body={"input_file_id": file_id,
                                    "endpoint": endpoint,
                                    "completion_window": window, **more})

    def submit(self, data, **more):
        """Upload and create; the batch's id."""
        up = self.upload(data)
        assert up.status == 200, up.body
        made = self.batch(up.json["id"], **more)
        assert made.status == 200, made.body
        return made.json["id"]

    def show(self, batch):
        a = self.get(f"/v1/batches/{batch}")
        assert a.status == 200, a.body
        return a.json

    def wait(self, batch, seconds=60, states=("completed", "failed", "expired",
                                              "cancelled")):
        return until(lambda: (lambda b: b if b["status"] in states else None)(
            self.show(batch)), seconds, f"{batch} in {states}", 0.1)

    def results(self, batch):
        """Output and error lines by custom_id; each must stand once."""
        b = self.show(batch)
        found = {}
        for kind in ("output_file_id", "error_file_id"):
            if kind not in b:
                continue
            a = self.get(f"/v1/files/{b[kind]}/content")
            assert a.status == 200, a.body
            for text in a.body.splitlines():
                line = json.loads(text)
                assert line["custom_id"] not in found, line["custom_id"]
                found[line["custom_id"]] = line
        return found

    def apply(self, doc, query=""):
        a = self.call("POST", f"/admin/v1/apply{query}", json_body=doc)
        assert a.status == 200, a.body
        return a.json["changes"]

    def path(self, upstream, name="sim", models=("*",), limits=(), **more):
        """A way to an upstream; limits as ("requests", 60, 600)."""
        return self.apply({"paths": [{
            "name": name, "url": upstream.url, "models": list(models),
            "limits": [{"dimension": d, "window_s": w, "amount": a}
                       for d, w, a in limits], **more}]})


def line(custom_id, content="hello", model="m1", url=CHAT, **body):
    return json.dumps({
        "custom_id": custom_id, "method": "POST", "url": url,
        "body": {"model": model,
                 "messages": [{"role": "user", "content": content}], **body}})


def lines(n, **more):
    return "".join(line(f"r-{i}", f"hello {i}", **more) + "\n"
                   for i in range(n))


def raw(port, data, seconds=10):
    """Send bytes, return all that comes back until the peer closes."""
    s = socket.create_connection(("127.0.0.1", port), timeout=seconds)
    try:
        s.sendall(data)
        got = b""
        while True:
            piece = s.recv(65536)
            if not piece:
                return got
            got += piece
    except (TimeoutError, ConnectionResetError):
        return got
    finally:
        s.close()
