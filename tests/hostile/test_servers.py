# SPDX-License-Identifier: Apache-2.0
"""Servers that are away, broken or hostile: each leaves a `failed` record with its reason, exit status 69, within the
deadline and in bounded memory."""

import contextlib
import itertools
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from agent import Agent  # noqa: E402

CONNECT_TIMEOUT_S = 2
DURATION_S = 1
# Reach, latency, download and upload may each wait for the connect timeout; a wide margin for a busy machine.
DEADLINE_S = 4 * CONNECT_TIMEOUT_S + 2 * DURATION_S + 20
# The addresses a sanitizer reserves do not count as resident; its shadow of what is used does.
RSS_MAX_KB = 400_000 if os.environ.get("DOKIEM_SANITIZED") else 64_000

MIB = bytes(1 << 20)
OK_EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Server:
    """A TCP server on the loopback: `talk(connection, request)` answers one request, given with its headers; False
    ends the connection. `context`: for TLS, or an iterator with one for each connection."""

    def __init__(self, talk, context=None):
        self._talk, self._context = talk, context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._open = set()
        self._stopped = False
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stopped = True
        # shutdown() wakes the thread that is in accept().
        for each in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self):
        while not self._stopped:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self._context:
                context = self._context if isinstance(self._context, ssl.SSLContext) else next(self._context)
                connection = context.wrap_socket(connection, server_side=True)
            self._open.add(connection)
            while True:
                request = self._head(connection)
                if not request or not self._talk(connection, request):
                    break
        except (OSError, ssl.SSLError):
            pass
        finally:
            self._open.discard(connection)
            connection.close()

    @staticmethod
    def _head(connection):
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(4096)
            if not part:
                return None
            data += part
        return data.decode("latin-1")


def good_until(path, talk):
    """Answers the small requests well, so that what follows is reached."""

    def both(connection, request):
        if path in request:
            return talk(connection, request)
        connection.sendall(OK_EMPTY)
        return True

    return both


def answer(head, body=b""):
    def talk(connection, _request):
        connection.sendall(head.replace(b"\n", b"\r\n") + body)
        return True

    return talk


class Servers(unittest.TestCase):
    def setUp(self):
        self.agent = self.enterContext(Agent()) if hasattr(self, "enterContext") else Agent().__enter__()
        if not hasattr(self, "enterContext"):
            self.addCleanup(self.agent.__exit__)
        self.config = self.agent.configuration(
            f"[server]\nconnect_timeout = {CONNECT_TIMEOUT_S}s\n[latency]\ncount = 2\ntimeout = 500ms\n")

    def fails(self, url, *words, options=()):
        started = time.monotonic()
        result = self.agent.run("run", "--config", self.config, "--server", url, "--stamp", "off", "--technology", "4g",
                                "--duration", str(DURATION_S), *options, timeout=DEADLINE_S)
        took = time.monotonic() - started
        self.run_peak_kb = self.agent.peak_kb
        self.assertEqual(result.returncode, 69, result.stderr)
        self.assertLess(took, DEADLINE_S)
        record = self.agent.last()
        self.assertEqual(record["kind"], "failed")
        for word in words:
            self.assertIn(word, record["reason"])
            self.assertIn(word, result.stderr)
        for figure in ("download", "upload"):
            if record[figure]["status"] != "ok":
                self.assertNotIn("rate_bps", record[figure])
                self.assertTrue(record[figure]["reason"])
        self.assertNotEqual(record["verdict"]["outcome"], "pass")
        whole, words_of_verify = self.agent.chain_is_whole()
        self.assertTrue(whole, words_of_verify)
        return record

    def fails_with(self, talk, *words, context=None, scheme="http", options=()):
        with Server(talk, context) as server:
            return self.fails(f"{scheme}://127.0.0.1:{server.port}", *words, options=options)

    def test_no_server_is_configured(self):
        result = self.agent.run("run", "--technology", "4g")
        self.assertEqual(result.returncode, 69)
        self.assertIn("no reference server is configured", self.agent.last()["reason"])
        self.assertEqual(self.agent.last()["kind"], "failed")

    def test_name_does_not_resolve(self):
        self.fails("http://nobody.invalid", "nobody.invalid")

    def test_refuses(self):
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        self.fails(f"http://127.0.0.1:{port}", "server:")

    def test_hangs_after_connecting(self):
        self.fails_with(lambda connection, _: time.sleep(DEADLINE_S), "no answer within")

    def test_hangs_before_the_download(self):
        self.fails_with(good_until("/garbage", lambda connection, _: time.sleep(DEADLINE_S)), "download:")

    def test_is_not_http(self):
        self.fails_with(lambda connection, _: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), "server:")

    def test_answers_with_an_error(self):
        for status in (404, 500, 429):
            with self.subTest(status):
                self.fails_with(answer(b"HTTP/1.1 %d No\nContent-Length: 3\n\n" % status, b"no\n"), str(status))

    def test_garbage_is_missing(self):
        self.fails_with(good_until("/garbage", answer(b"HTTP/1.1 404 No\nContent-Length: 3\n\n", b"no\n")), "404")

    def test_redirects_for_ever(self):
        self.fails_with(answer(b"HTTP/1.1 302 Found\nLocation: /empty\nContent-Length: 0\n\n"), "302", "redirect")

    def test_sends_half_a_body(self):
        def half(connection, _request):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n" + MIB)
            return False

        self.fails_with(good_until("/garbage", half), "download:")

    def test_sends_almost_nothing(self):
        self.fails_with(good_until("/garbage", answer(b"HTTP/1.1 200 OK\nContent-Length: 10\n\n", b"0123456789")),
                        "sent 10 bytes where")

    def test_sends_more_than_asked(self):
        self.fails_with(answer(b"HTTP/1.1 200 OK\nContent-Length: 1000000\n\n", bytes(1000000)), "more than the")
        big = b"HTTP/1.1 200 OK\nContent-Length: 1099511627776\n\n"
        self.fails_with(good_until("/garbage", answer(big, MIB)), "download:", "more than the")

    def test_resets_the_connection(self):
        def reset(connection, _request):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n" + MIB)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            return False

        self.fails_with(good_until("/garbage", reset), "download:")

    def test_announces_less_than_it_sends(self):
        """Bytes that nobody asked for take the line from those that are counted."""
        def too_small(connection, _request):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2097152\r\n\r\n")
            for _ in range(8):
                connection.sendall(MIB)
            return True

        self.fails_with(good_until("/garbage", too_small), "download:")

    def test_announces_more_than_it_sends(self):
        def too_large(connection, _request):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n" + MIB)
            time.sleep(DEADLINE_S)

        self.fails_with(good_until("/garbage", too_large), "download: stalled")

    def test_opens_a_new_connection_for_each_request(self):
        close = answer(b"HTTP/1.1 200 OK\nContent-Length: 1048576\nConnection: close\n\n", MIB)
        self.fails_with(good_until("/garbage", lambda *all: close(*all) and False), "download:",
                        "does not keep connections open")

    def test_drips(self):
        def drip(connection, _request):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
            while True:
                connection.sendall(b"x")
                time.sleep(0.2)

        record = self.fails_with(good_until("/garbage", drip), "download: only", "bytes came through")
        self.assertLess(record["download"]["bytes"], 65536)

    def test_one_stream_of_four(self):
        """The other three go on well: what they moved is kept, and is no figure of the line."""
        for name, words, trouble in (
                ("reset", ("download:", "reset"), lambda connection: connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")),
                ("closed", ("download:",), lambda connection: None),
                ("silent", ("download: stalled: stream",), lambda connection: time.sleep(DEADLINE_S))):
            with self.subTest(name):
                chosen = threading.Lock()

                def garbage(connection, _request, trouble=trouble, chosen=chosen):
                    mine = chosen.acquire(blocking=False)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
                    for count in itertools.count():
                        if mine and count == 10:
                            trouble(connection)
                            return False
                        connection.sendall(MIB)
                        time.sleep(0.05)

                record = self.fails_with(good_until("/garbage", garbage), *words,
                                         options=("--only", "download", "--duration", "5"))
                self.assertGreater(record["download"]["bytes"], 0)

    def test_each_stream_has_a_warm_connection_of_its_own(self):
        """Also when answers come so fast that one connection could serve all streams in turn."""
        ports = {"/empty": set(), "/garbage": set()}

        def talk(connection, request):
            what = next(path for path in ports if path in request)
            ports[what].add(connection.getpeername()[1])
            if what == "/empty":
                connection.sendall(OK_EMPTY)
                return True
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
            while True:
                connection.sendall(MIB)
                time.sleep(0.02)

        with Server(talk) as server:
            result = self.agent.run("run", "--config", self.config, "--server", f"http://127.0.0.1:{server.port}",
                                    "--stamp", "off", "--duration", str(DURATION_S), "--only", "download")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(ports["/garbage"]), 4)
        self.assertLessEqual(ports["/garbage"], ports["/empty"])

    def test_sends_before_it_is_asked(self):
        """What waits in the connection when the test begins did not come over the line in the test."""
        ahead = b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n" + MIB

        def talk(connection, request):
            connection.sendall(OK_EMPTY if "/garbage" not in request else b"")
            connection.sendall(ahead)
            time.sleep(DEADLINE_S)

        with Server(talk) as server:
            self.agent.run("run", "--config", self.config, "--server", f"http://127.0.0.1:{server.port}", "--stamp",
                           "off", "--duration", str(DURATION_S), "--only", "download", timeout=DEADLINE_S)
        self.assertEqual(self.agent.last()["download"]["status"], "failed", self.agent.last()["download"])

    def test_answers_an_upload_without_reading_it(self):
        """Bytes in a buffer of the server's kernel are acknowledged, and were not received by anybody."""
        for name, seconds, head in (("stays", DEADLINE_S, OK_EMPTY), ("resets", 0, OK_EMPTY),
                                    ("says that it closes", 0, OK_EMPTY[:-2] + b"Connection: close\r\n\r\n")):
            def talk(connection, request, seconds=seconds, head=head):
                warm_up = "Content-Length: 0\r\n" in request or request.startswith("GET")
                connection.sendall(OK_EMPTY if warm_up else head)
                time.sleep(0 if warm_up else seconds)
                return warm_up

            with self.subTest(name):
                self.fails_with(talk, "upload:", options=("--only", "upload"))

    def test_changes_its_certificate_between_streams(self):
        with tempfile.TemporaryDirectory() as folder:
            contexts = []
            for name in "ab":
                self.certificate(folder, name)
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{name}.key")
                contexts.append(context)
            both = os.path.join(folder, "both.pem")
            with open(both, "w", encoding="ascii") as trusted:
                for name in "ab":
                    with open(f"{folder}/{name}.pem", encoding="ascii") as one:
                        trusted.write(one.read())
            # The first connection is the one that reaches the server.
            self.fails_with(answer(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"), "download: before the test:",
                            "certificate", context=itertools.cycle(contexts), scheme="https",
                            options=("--ca-file", both, "--only", "download"))

    def certificate(self, folder, name):
        """A self-signed certificate for 127.0.0.1: NAME.pem, NAME.key."""
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-keyout",
                        f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem"], check=True, capture_output=True)

    def test_refuses_the_upload(self):
        def refuse(connection, request):
            if request.startswith("POST"):
                connection.sendall(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return False
            connection.sendall(OK_EMPTY)
            return True

        self.fails_with(refuse, "upload:", options=("--only", "upload"))

    def test_gzip_bomb(self):
        bomb = answer(b"HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: 104857600\n\n", MIB)
        self.fails_with(good_until("/garbage", bomb), "compresses")
        self.assert_memory_is_bounded()

    def test_endless_headers(self):
        def endless(connection, _request):
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                connection.sendall(b"X: " + b"y" * 1000 + b"\r\n")

        self.fails_with(endless, "headers")

        def endless_line(connection, _request):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while True:
                connection.sendall(b"y" * 65536)

        self.fails_with(endless_line, "server:")
        self.assert_memory_is_bounded()

    def assert_memory_is_bounded(self):
        self.assertGreater(self.run_peak_kb, 1000)
        self.assertLess(self.run_peak_kb, RSS_MAX_KB)

    def test_words_of_the_server_do_not_reach_the_terminal(self):
        record = self.fails_with(answer(b"HTTP/1.1 200 \x1b[31mred\nContent-Encoding: \x1b]0;x\x07\n\n"))
        self.assertTrue(record["reason"].isprintable())

    def test_certificate_is_wrong(self):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = os.path.join(folder, "c.pem"), os.path.join(folder, "k.pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-subj", "/CN=other", "-addext", "subjectAltName=DNS:other.example", "-days", "2",
                            "-keyout", key, "-out", certificate], check=True, capture_output=True)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            serve = answer(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n")
            self.fails_with(serve, "certificate", context=context, scheme="https")
            # Trusted, but made out to another name.
            self.fails_with(serve, "127.0.0.1", context=context, scheme="https", options=("--ca-file", certificate))


if __name__ == "__main__":
    unittest.main(verbosity=2)
