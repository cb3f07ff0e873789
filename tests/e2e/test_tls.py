"""Upstreams behind TLS: only whom we trust gets the secret."""
import http.server
import json
import os
import ssl
import subprocess
import threading
import unittest

from e2e.harness import Sluice, folder, lines, until


def certificate(name, host):
    """A self-signed one, as its own authority."""
    base = os.path.join(folder(), name)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                    "-keyout", f"{base}.key", "-out", f"{base}.pem", "-days",
                    "2", "-subj", f"/CN={host}", "-addext",
                    f"subjectAltName={host}"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return base


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.secrets.append(self.headers["Authorization"])
        body = json.dumps({"id": "x", "object": "chat.completion", "choices": [],
                           "usage": {"prompt_tokens": 1, "completion_tokens": 1,
                                     "total_tokens": 2}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Quiet(http.server.ThreadingHTTPServer):
    def handle_error(self, request, address):
        pass  # handshakes that fail are what is tested


class Tls(unittest.TestCase):
    def setUp(self):
        self.s = Sluice()
        self.servers = []
        self.secret = os.path.join(folder(), "tls-secret")
        with open(self.secret, "w") as f:
            f.write("sk-for-friends-only\n")

    def tearDown(self):
        self.s.stop()
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def serve(self, base):
        server = Quiet(("127.0.0.1", 0), Handler)
        server.secrets = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{base}.pem", f"{base}.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.servers.append(server)
        return server

    def path(self, server, **more):
        self.s.apply({"paths": [{
            "name": "tls", "url": f"https://127.0.0.1:{server.server_port}/v1",
            "models": ["*"], "secret_file": self.secret, **more}]})

    def down(self):
        return until(lambda: (lambda p: p.get("why") if p["health"] != "up"
                              else None)(
            self.s.get("/admin/v1/paths/tls").json), 20, "path down")

    def test_an_authority_of_ones_own(self):
        base = certificate("good", "IP:127.0.0.1")
        server = self.serve(base)
        self.path(server)
        b = self.s.submit(lines(5))
        self.assertIn("certificate", self.down())
        self.assertEqual(server.secrets, [])
        self.path(server, ca_file=f"{base}.pem")
        d = self.s.wait(b, 60)
        self.assertEqual(d["request_counts"]["completed"], 5)
        self.assertEqual(set(server.secrets), {"Bearer sk-for-friends-only"})

    def test_a_certificate_for_another_host(self):
        base = certificate("other", "DNS:other.example")
        server = self.serve(base)
        self.path(server, ca_file=f"{base}.pem")
        self.s.submit(lines(2))
        self.assertTrue(self.down())
        self.assertEqual(server.secrets, [])


if __name__ == "__main__":
    unittest.main()
