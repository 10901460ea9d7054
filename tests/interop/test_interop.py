# SPDX-License-Identifier: Apache-2.0
"""dokiem run against the web servers of Debian: nginx, apache2 and lighttpd, with PHP and without, HTTP and HTTPS with
TLS 1.2 and TLS 1.3."""
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, os.pardir, "hostile")]
import servers  # noqa: E402
from agent import Agent  # noqa: E402

SKIP = 77
STREAMS = 4
PHP_UPLOAD_BYTES = 20 << 20
# Between two programs of one machine anything below this is a fault, not a slow machine.
LEAST_BPS = 20_000_000
TLS = {"http": None, "tls12": "TLSv1.2 ", "tls13": "TLSv1.3 "}


class Interop(unittest.TestCase):
    def setUp(self):
        self.agent = Agent().__enter__()
        self.addCleanup(self.agent.__exit__)

    def measure(self, server, port, path, *words, upload_url=""):
        config = self.agent.configuration("[test]\nduration = 1s\nmax_bytes = 100GB\n[latency]\ncount = 5\n"
                                          "method = http\n"
                                          f"[server]\nca_file = {server.ca_file}\nupload_url = \"{upload_url}\"\n")
        done = self.agent.run("run", "--config", config, "--server", server.url(port, path),
                              "--streams", str(STREAMS), *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        record = self.agent.last()
        self.assertEqual(record["kind"], "measurement")
        if TLS[port]:
            self.assertEqual(record["server"]["tls"][:8], TLS[port])
        else:
            self.assertNotIn("tls", record["server"])
        parts = [record["server"].get(name, 0) for name in ("resolve_ns", "connect_ns", "tls_ns", "first_byte_ns")]
        self.assertEqual("tls_ns" in record["server"], "tls" in record["server"])
        # What is left of the access time is libcurl's own, between the parts.
        self.assertIn(record["server"]["access_ns"] - sum(parts), range(-1_000_000, 200_000_000))
        idle = record["latency"]["idle"]
        self.assertEqual((idle["status"], idle["method"], idle["received"]), ("ok", "http", 5), idle)
        self.assert_measured(record["download"])
        return record

    def assert_measured(self, figures):
        self.assertEqual(figures["status"], "ok", figures)
        self.assertEqual(figures["stop"], "time")
        self.assertGreater(figures["rate_whole_bps"], LEAST_BPS)
        # A server that is never held up may send one file to its end before it looks at the next connection.
        moved = sum(sum(stream) > 0 for stream in figures["series"]["bytes"])
        self.assertGreaterEqual(moved, 2, "only one stream moved anything")

    def a_large_file(self, server):
        for port in TLS:
            with self.subTest(port=port, file=True):
                record = self.measure(server, port, "large.bin")
                self.assertEqual(record["server"]["kind"], "http")
                self.assertEqual(record["upload"], {"status": "not_measured", "reason": "this server takes no upload"})

    def php(self, server):
        for port, path, words, url in (("http", "backend", (), ""), ("tls13", "backend/garbage.php", (), ""),
                                       ("tls12", "large.bin", ("--server-kind", "http"), "backend/empty.php")):
            with self.subTest(port=port, path=path):
                before = server.received_bytes()
                record = self.measure(server, port, path, *words, upload_url=url and server.url(port, url))
                self.assertEqual(record["server"]["kind"], "http" if url else "librespeed")
                self.assert_measured(record["upload"])
                self.assert_received(server.received_bytes() - before, record["upload"])

    def assert_received(self, received, figures):
        """What was measured is what PHP read, but for the requests under way at the end."""
        print(f"    PHP read {received / 1e6:.0f} MB, measured {figures['bytes'] / 1e6:.0f} MB", flush=True)
        self.assertGreaterEqual(figures["bytes"] + STREAMS * PHP_UPLOAD_BYTES, received)
        self.assertLessEqual(figures["bytes"], received + STREAMS * PHP_UPLOAD_BYTES)

    def with_server(self, name):
        with servers.WebServer(name) as server:
            self.a_large_file(server)
            self.php(server)

    def test_nginx(self):
        self.with_server("nginx")

    def test_apache2(self):
        self.with_server("apache2")

    def test_lighttpd(self):
        self.with_server("lighttpd")


if __name__ == "__main__":
    lacking = servers.missing()
    if lacking:
        print("skipped: not installed:", *lacking)
        sys.exit(SKIP)
    unittest.main(verbosity=2)
