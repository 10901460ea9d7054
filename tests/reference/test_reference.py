#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""dokiem-reference from outside: test_reference.py PROGRAM

Starts the program on free ports of the loopback interface and talks to it as good and bad clients do.
"""
import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

PROGRAM = None
MIB = 1 << 20
PATIENCE_S = 30


class Server:
    """The program on free ports; as a context manager it ends, and must end well, with the block."""

    def __init__(self, *options, host="127.0.0.1", stamp=False):
        listen = ["--http", f"{host}:0"] + (["--stamp", f"{host}:0"] if stamp else [])
        self.process = subprocess.Popen([PROGRAM, *listen, *options], stdout=subprocess.PIPE, text=True)
        self.addresses = {}
        for _ in range(len(listen) // 2):
            what, address = self.process.stdout.readline().split()
            name, port = re.fullmatch(r"\[?([0-9a-f.:]+?)\]?:([0-9]+)", address).groups()
            self.addresses[what] = (name, int(port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()
        if status != 0:
            raise AssertionError(f"the server ended with {status}")

    def connect(self):
        return socket.create_connection(self.addresses["http"], PATIENCE_S)

    def client(self):
        return contextlib.closing(http.client.HTTPConnection(*self.addresses["http"], timeout=PATIENCE_S))

    def ask(self, method, path, body=None, headers={}):
        """Status, headers and body of one request on a connection of its own."""
        with self.client() as client:
            client.request(method, path, body, headers)
            answer = client.getresponse()
            return answer.status, answer.headers, answer.read()


def ended(connection):
    """Waits for the peer to end the connection; whatever came before that."""
    got = b""
    try:
        while part := connection.recv(65536):
            got += part
    except ConnectionResetError:
        pass
    return got


class Paths(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.__exit__)

    def test_garbage_is_as_long_as_asked_and_does_not_shrink(self):
        for query, size in (("", 4), ("?ckSize=1", 1), ("?ckSize=3", 3), ("?r=0.5&ckSize=2", 2), ("?ckSize=40", 40)):
            with self.subTest(query=query):
                status, headers, body = self.server.ask("GET", "/garbage" + query)
                self.assertEqual((status, len(body)), (200, size * MIB))
                self.assertEqual(headers["Content-Length"], str(size * MIB))
                self.assertEqual(headers["Cache-Control"], "no-store")
                self.assertEqual(headers["Content-Type"], "application/octet-stream")
                self.assertIsNone(headers["Content-Encoding"])
                if size <= 4:
                    self.assertGreater(len(zlib.compress(body, 1)), 0.99 * len(body))

    def test_nonsense_sizes_are_refused(self):
        for size in ("0", "-1", "1025", "1e3", "010", "4x", "", "%20", "99999999999999999999", "1.5", "0x10"):
            with self.subTest(size=size):
                self.assertEqual(self.server.ask("GET", f"/garbage?ckSize={size}")[0], 400)

    def test_head_has_no_body(self):
        for path, size in (("/garbage?ckSize=1024", 1024 * MIB), ("/empty", 0), ("/getIP", 9)):
            with self.subTest(path=path):
                status, headers, body = self.server.ask("HEAD", path)
                self.assertEqual((status, headers["Content-Length"], body), (200, str(size), b""))

    def test_empty_reads_and_answers_nothing(self):
        for method, body in (("GET", None), ("POST", b""), ("POST", b"x"), ("POST", bytes(5 * MIB))):
            with self.subTest(method=method, body=len(body or b"")):
                status, headers, answer = self.server.ask(method, "/empty", body)
                self.assertEqual((status, headers["Content-Length"], answer), (200, "0", b""))

    def test_chunked_uploads(self):
        status, _, answer = self.server.ask("POST", "/empty", iter([b"a" * 70000] * 20))
        self.assertEqual((status, answer), (200, b""))

    def test_an_upload_is_answered_when_all_of_it_was_read(self):
        with self.server.connect() as connection:
            connection.sendall(b"POST /empty HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + bytes(99999))
            self.assertEqual(select.select([connection], [], [], 0.3)[0], [])
            connection.sendall(b"x")
            self.assertTrue(connection.recv(1000).startswith(b"HTTP/1.1 200 "))

    def test_the_address_of_the_client(self):
        status, headers, body = self.server.ask("GET", "/getIP")
        self.assertEqual((status, body, headers["Content-Type"]), (200, b"127.0.0.1", "text/plain"))

    def test_all_else_is_refused(self):
        for method, path, expected in (("GET", "/", 404), ("GET", "/garbage/", 404), ("GET", "/../etc/passwd", 404),
                                       ("POST", "/other", 404), ("POST", "/garbage", 405), ("PUT", "/empty", 405),
                                       ("DELETE", "/getIP", 405), ("POST", "/getIP", 405), ("BREW", "/empty", 405)):
            with self.subTest(method=method, path=path):
                self.assertEqual(self.server.ask(method, path, b"abc" if method in ("POST", "PUT") else None)[0],
                                 expected)

    def test_a_connection_is_kept(self):
        with self.server.client() as client:
            client.connect()
            own = client.sock.getsockname()
            for method, path, body in (("GET", "/empty", None), ("POST", "/empty", bytes(100000)),
                                       ("GET", "/garbage?ckSize=1", None), ("GET", "/none", None),
                                       ("GET", "/getIP", None)) * 3:
                client.request(method, path, body)
                client.getresponse().read()
                self.assertEqual(client.sock.getsockname(), own)

    def test_clients_that_leave_or_talk_nonsense_do_no_harm(self):
        for text in (b"", b"GET /gar", b"GET /garbage?ckSize=1024 HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"POST /empty HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n" + bytes(100000),
                     b"POST /empty HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nabc",
                     b"POST /empty HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                     b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 1000, bytes(100000),
                     b"GET /empty HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100000):
            for _ in range(5):
                with self.server.connect() as connection, contextlib.suppress(ConnectionError):
                    connection.sendall(text)
        self.assertEqual(self.server.ask("GET", "/empty")[0], 200)


class Limits(unittest.TestCase):
    def test_connections_of_one_client(self):
        with Server("--connections", "3") as server, contextlib.ExitStack() as stack:
            kept = [stack.enter_context(server.connect()) for _ in range(3)]
            for connection in kept:
                connection.sendall(b"GET /empty HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertTrue(connection.recv(1000).startswith(b"HTTP/1.1 200 "))
            self.assertEqual(ended(stack.enter_context(server.connect())), b"")
            kept[0].close()
            deadline = time.monotonic() + PATIENCE_S
            while True:  # until the server has seen that one is gone
                with contextlib.suppress(ConnectionError, http.client.HTTPException):
                    if server.ask("GET", "/empty")[0] == 200:
                        break
                self.assertLess(time.monotonic(), deadline)

    def test_bytes_of_one_client(self):
        with Server("--bytes-per-hour", "3000000") as server:
            with server.client() as client:
                for _ in range(3):
                    client.request("GET", "/garbage?ckSize=1")
                    self.assertEqual(len(client.getresponse().read()), MIB)
                client.request("GET", "/garbage?ckSize=1")
                answer = client.getresponse()
                answer.read()
                self.assertEqual((answer.status, answer.headers["Retry-After"]), (429, "3600"))
            self.assertEqual(server.ask("GET", "/garbage?ckSize=1")[0], 429)
            self.assertEqual(server.ask("POST", "/empty", b"abc")[0], 429)

    def test_an_upload_without_end_is_ended(self):
        with Server("--bytes-per-hour", "3000000") as server, server.connect() as connection:
            connection.sendall(b"POST /empty HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000000\r\n\r\n")
            with self.assertRaises(ConnectionError):
                while True:
                    connection.sendall(bytes(65536))

    def test_time_of_a_connection(self):
        with Server("--connection-seconds", "1") as server, server.connect() as busy, server.connect() as half:
            half.sendall(b"GET /emp")
            with contextlib.suppress(ConnectionError):
                while True:
                    busy.sendall(b"GET /empty HTTP/1.1\r\nHost: x\r\n\r\n")
                    if not busy.recv(1000):
                        break
            self.assertEqual(ended(half), b"")
            self.assertEqual(server.ask("GET", "/empty")[0], 200)

    def test_silence_of_a_connection(self):
        with Server("--idle-seconds", "1") as server, server.connect() as half, server.connect() as silent:
            half.sendall(b"POST /empty HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
            ended(half)
            self.assertEqual(ended(silent), b"")
            self.assertEqual(server.ask("GET", "/empty")[0], 200)

    def test_a_client_that_does_not_read_is_ended(self):
        with Server("--connection-seconds", "1") as server, server.connect() as connection:
            connection.sendall(b"GET /garbage?ckSize=1024 HTTP/1.1\r\nHost: x\r\n\r\n")
            poll = select.poll()
            poll.register(connection, select.POLLRDHUP)
            self.assertTrue(poll.poll(PATIENCE_S * 1000))
            self.assertLess(len(ended(connection)), 1024 * MIB)


class Program(unittest.TestCase):
    def run_with(self, *options):
        return subprocess.run([PROGRAM, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=False)

    def test_help(self):
        done = self.run_with("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for option in ("--http", "--stamp", "--connections", "--bytes-per-hour"):
            self.assertIn(option, done.stdout)
        self.assertLessEqual(max(map(len, done.stdout.splitlines())), 110)

    def test_wrong_options(self):
        for options in ((), ("--htpp", "127.0.0.1:0"), ("--http",), ("--http", "127.0.0.1"), ("--http", "localhost:0"),
                        ("--http", "127.0.0.1:65536"), ("--http", "::1:0"), ("--http", "[127.0.0.1]:0"),
                        ("--http", ":80"), ("--http", "127.0.0.1:080"), ("--stamp", "[::1:862"),
                        ("--http", "127.0.0.1:0", "--http", "127.0.0.1:0"),
                        ("--http", "127.0.0.1:0", "--stamp-key", "/dev/null"),
                        ("--http", "127.0.0.1:0", "--connections", "0"),
                        ("--http", "127.0.0.1:0", "--connections", "010"),
                        ("--http", "127.0.0.1:0", "--line-bps", "1000000"),
                        ("--http", "127.0.0.1:0", "--bytes-per-hour", "1G"), ("garbage",), ("-h",)):
            with self.subTest(options=options):
                done = self.run_with(*options)
                self.assertEqual((done.returncode, done.stdout), (64, ""))
                self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            done = self.run_with("--http", "127.0.0.1:%d" % taken.getsockname()[1])
            self.assertEqual(done.returncode, 74)
            self.assertIn("in use", done.stderr)

    def test_both_signals_end_it_in_the_middle_of_work(self):
        for what in (signal.SIGTERM, signal.SIGINT):
            with Server() as server, server.connect() as connection:
                connection.sendall(b"GET /garbage?ckSize=1024 HTTP/1.1\r\nHost: x\r\n\r\n")
                connection.recv(1000)
                server.process.send_signal(what)
                self.assertEqual(server.process.wait(PATIENCE_S), 0)

    @unittest.skipUnless(socket.has_ipv6, "no IPv6")
    def test_ipv6_and_ipv4_on_one_socket(self):
        try:
            server = Server(host="[::]", stamp=True)
        except ValueError:
            self.skipTest("no IPv6 here")
        with server:
            port = server.addresses["http"][1]
            for address, shown in (("::1", b"::1"), ("127.0.0.1", b"127.0.0.1")):
                server.addresses["http"] = (address, port)
                self.assertEqual(server.ask("GET", "/getIP")[2], shown)
            for family, address in ((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1")):
                with socket.socket(family, socket.SOCK_DGRAM) as client:
                    client.settimeout(PATIENCE_S)
                    client.connect((address, server.addresses["stamp"][1]))
                    client.send(bytes(44))
                    self.assertEqual(len(client.recv(2000)), 44)


class StampWithKey(unittest.TestCase):
    """The authenticated mode, RFC 8762 section 4.3.2, with an HMAC that is not ours."""

    def test_only_the_key_is_answered_and_answers(self):
        key = bytes(range(32))
        mac = lambda data: hmac.new(key, data, "sha256").digest()[:16]
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(key.hex() + "\n")
            file.flush()
            server = Server("--stamp-key", file.name, stamp=True)
        with server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE_S)
            client.connect(server.addresses["stamp"])
            request = struct.pack(">I12xQHH68x", 7, 0x1122334455667788, 0x0101, 9)
            client.send(bytes(44))
            client.send(request + bytes(16))
            client.send(request[:-1] + b"\1" + mac(request))
            client.send(request + mac(request))
            answer = client.recv(4096)
            self.assertEqual(len(answer), 112)
            self.assertEqual(answer[96:], mac(answer[:96]))
            sequence, _, _, session, _, sender_sequence, sender_time, sender_error, ttl = (
                struct.unpack(">I12xQHH4xQ8xI12xQH6xB15x", answer[:96]))
            self.assertEqual((sequence, session, sender_sequence, sender_time, sender_error),
                             (0, 9, 7, 0x1122334455667788, 0x0101))
            self.assertGreater(ttl, 0)
            client.setblocking(False)
            with self.assertRaises(BlockingIOError):
                client.recv(4096)


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class Word(unittest.TestCase):
    RUN = "XYoyjDeddkgFEI2zvqYY-Q"

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.key = os.path.join(folder.name, "word.pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                        self.key], check=True, capture_output=True)
        os.chmod(self.key, 0o600)
        self.server = Server("--word-key", self.key)
        self.addCleanup(self.server.__exit__)

    def word(self, run=RUN, server=None):
        """The answer's status, and the payload of the word when its signature is the key's (asked of OpenSSL)."""
        status, headers, text = (server or self.server).ask("GET", f"/word?run={run}")
        if status != 200:
            return status, None
        self.assertEqual(headers["Content-Type"], "application/jose")
        head, payload, signature = text.decode().split(".")
        jwk = json.loads(self.server.ask("GET", "/word/key")[2])
        thumbprint = hashlib.sha256(json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()).digest()
        self.assertEqual(json.loads(decoded(head)),
                         {"alg": "ES256", "typ": "dokiem-word",
                          "kid": base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode()})
        pair = b""
        for half in (decoded(signature)[:32], decoded(signature)[32:]):
            number = int.from_bytes(half, "big")
            der = number.to_bytes(number.bit_length() // 8 + 1, "big")
            pair += bytes([2, len(der)]) + der
        with open(os.path.join(self.folder, "signature"), "wb") as file:
            file.write(bytes([0x30, len(pair)]) + pair)
        subprocess.run(["openssl", "dgst", "-sha256", "-prverify", self.key, "-signature",
                        os.path.join(self.folder, "signature")], input=f"{head}.{payload}".encode(), check=True,
                       capture_output=True)
        return status, json.loads(decoded(payload))

    def move(self, method, path, body=None, run=RUN, stream=0, **more):
        return self.server.ask(method, path, body, {"Dokiem-Run": run, "Dokiem-Stream": str(stream), **more})

    def test_what_was_moved_is_told_by_stream(self):
        before = time.time()
        self.assertEqual(len(self.move("GET", "/garbage?ckSize=3", stream=1)[2]), 3 * MIB)
        self.move("GET", "/garbage?ckSize=1", stream=1)
        self.move("POST", "/empty", bytes(5 * MIB), stream=2)
        self.move("POST", "/empty", b"", stream=3)  # warming up
        self.move("GET", "/empty", stream=3)
        status, word = self.word()
        self.assertEqual((status, word["schema"], word["run"], word["client"]),
                         (200, "dokiem.word/1", self.RUN, "127.0.0.0/24"))
        down, up = word["download"], word["upload"]
        self.assertEqual((len(down["bytes"]), down["bytes"][0], len(up["bytes"]), up["bytes"][:2]), (2, 0, 3, [0, 0]))
        for bytes_, moved in ((down["bytes"][1], 4 * MIB), (up["bytes"][2], 5 * MIB)):
            self.assertIn(bytes_, range(moved, moved + 2000))  # with headers
        for direction in (down, up):
            self.assertLess(direction["duration_ns"], (time.time() - before) * 1e9 + 1e7)
            self.assertGreaterEqual(direction["start"], time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(before)))

    def test_the_word_says_what_held_the_server_back(self):
        with Server("--word-key", self.key, "--line-bps", "50000000") as server, server.client() as client:
            mine = {"Dokiem-Run": self.RUN, "Dokiem-Stream": "0"}

            def get(asked_by, mib, headers):
                asked_by.request("GET", f"/garbage?ckSize={mib}", headers=headers)
                asked_by.getresponse().read()

            get(client, 1, mine)
            for _ in range(3):  # of somebody else
                server.ask("GET", "/garbage?ckSize=2")
            os.kill(server.process.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, server.process.pid, os.WSTOPPED | os.WNOWAIT)
            client.request("GET", "/garbage?ckSize=1", headers=mine)
            time.sleep(0.3)
            os.kill(server.process.pid, signal.SIGCONT)
            client.getresponse().read()
            client.request("POST", "/empty", bytes(MIB), mine)
            client.getresponse().read()
            status, headers, text = server.ask("GET", f"/word?run={self.RUN}")
            word = json.loads(decoded(text.decode().split(".")[1]))
        self.assertEqual(word["line_bps"], 50000000)
        self.assertIn(word["download"]["others_bytes"], range(6 * MIB, 6 * MIB + 20000))
        self.assertIn(word["upload"]["others_bytes"], range(0, 20000))
        self.assertGreater(word["download"]["idle_ns"], 250_000_000)
        self.assertLessEqual(word["download"]["idle_ns"], word["download"]["duration_ns"])
        self.assertGreater(word["download"]["send_buffer_bytes"], 4096)
        self.assertGreaterEqual(word["download"]["rtt_ns"], word["download"]["rtt_min_ns"])
        self.assertEqual(set(word["upload"]), {"start", "duration_ns", "rtt_ns", "bytes", "others_bytes"})

    def test_a_transfer_that_is_cut_off_counts_as_far_as_it_came(self):
        with self.server.connect() as connection:
            connection.sendall(f"GET /garbage?ckSize=1024 HTTP/1.1\r\nHost: x\r\nDokiem-Run: {self.RUN}\r\n"
                               "Dokiem-Stream: 0\r\n\r\n".encode())
            got = 0
            while got < 10 * MIB:
                got += len(connection.recv(1 << 16))
            # The connection is still open, and the word knows of it all the same.
            self.assertGreaterEqual(self.word()[1]["download"]["bytes"][0], got)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.assertGreaterEqual(self.word()[1]["download"]["bytes"][0], got)

    def test_what_came_before_the_run_is_not_of_the_run(self):
        with self.server.client() as client:
            for headers in ({}, {"Dokiem-Run": self.RUN, "Dokiem-Stream": "0"}):
                client.request("POST", "/empty", bytes(MIB), headers)
                client.getresponse().read()
                client.request("GET", "/garbage?ckSize=2", headers=headers)
                client.getresponse().read()
        word = self.word()[1]
        self.assertIn(word["upload"]["bytes"][0], range(MIB, MIB + 2000))
        self.assertIn(word["download"]["bytes"][0], range(2 * MIB - 70000, 2 * MIB + 2000))

    def test_nonsense_makes_no_run(self):
        for run, stream in (("", 0), ("x", 0), (self.RUN + "A", 0), (self.RUN[:-1] + "R", 0), ("A" * 21 + ";", 0),
                            (self.RUN, -1), (self.RUN, 32), (self.RUN, "01"), (self.RUN, ""), (self.RUN, "1e1")):
            with self.subTest(run=run, stream=stream):
                self.assertEqual(self.move("GET", "/garbage?ckSize=1", run=run, stream=stream)[0], 200)
                self.assertEqual(self.word()[0], 404)
        for header in ("Via", "X-Forwarded-For", "Forwarded", "X-Real-IP"):
            with self.subTest(header=header):
                self.move("POST", "/empty", bytes(MIB), **{header: "203.0.113.7"})
                self.assertEqual(self.word()[0], 404)
        for query in ("", "?run=", "?run=" + "A" * 100000, "?run=%00", "?runs=" + self.RUN):
            self.assertIn(self.server.ask("GET", "/word" + query)[0], (404, 431, 414))
        self.assertEqual(self.server.ask("POST", "/word", b"x")[0], 405)

    def test_a_run_is_its_clients_and_words_are_few(self):
        with Server("--word-key", self.key, host="[::]") as server:
            def ask_from(host, path, headers={}):
                with contextlib.closing(http.client.HTTPConnection(
                        host, server.addresses["http"][1], timeout=PATIENCE_S)) as client:
                    client.request("GET", path, headers=headers)
                    answer = client.getresponse()
                    return answer.status, len(answer.read())
            tag = {"Dokiem-Run": self.RUN, "Dokiem-Stream": "0"}
            self.assertEqual(ask_from("127.0.0.1", "/garbage?ckSize=1", tag), (200, MIB))
            self.assertEqual(ask_from("::1", f"/word?run={self.RUN}")[0], 404)
            self.assertEqual(ask_from("::1", "/garbage?ckSize=1", tag), (200, MIB))
            self.assertEqual([ask_from("127.0.0.1", f"/word?run={self.RUN}")[0] for _ in range(6)],
                             [200] * 4 + [429] * 2)

    def test_without_a_key_there_is_no_word(self):
        with Server() as server:
            self.assertEqual(server.ask("GET", f"/word?run={self.RUN}")[0], 404)
            self.assertIn(b"no word", server.ask("GET", "/word/key")[2])
        os.chmod(self.key, 0o644)
        bad = subprocess.run([PROGRAM, "--http", "127.0.0.1:0", "--word-key", self.key], capture_output=True, text=True)
        self.assertEqual(bad.returncode, 77)
        self.assertIn("word.pem", bad.stderr)


class Stamp(unittest.TestCase):
    def setUp(self):
        self.server = Server("--packets-per-second", "50", stamp=True)
        self.addCleanup(self.server.__exit__)
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.client.close)
        self.client.settimeout(PATIENCE_S)
        self.client.connect(self.server.addresses["stamp"])

    def test_an_answer_is_as_long_as_its_question(self):
        for number, size in enumerate((44, 45, 100, 1472, 2048)):
            with self.subTest(size=size):
                request = struct.pack(">IQHH", 7, 0x1122334455667788, 0x0101, 9) + b"\xff" * (size - 16)
                before = time.time()
                self.client.send(request)
                answer = self.client.recv(4096)
                after = time.time()
                self.assertEqual(len(answer), size)
                (sequence, sent, _, session, received, sender_sequence, sender_time, sender_error, _, ttl) = (
                    struct.unpack(">IQHHQIQHHB", answer[:41]))
                # The reflector counts by itself (RFC 8762 section 4.3.1).
                self.assertEqual((sequence, session, sender_sequence, sender_time, sender_error),
                                 (number, 9, 7, 0x1122334455667788, 0x0101))
                self.assertGreater(ttl, 0)
                received_s, sent_s = (stamp / 2**32 - 2208988800 for stamp in (received, sent))
                self.assertLessEqual(before - 0.001, received_s)
                self.assertLessEqual(received_s, sent_s)
                self.assertLessEqual(sent_s, after + 0.001)
                # Three bytes of zero; then what is no TLV (RFC 8972 section 4) comes back marked as malformed, M set.
                self.assertEqual(answer[41:44], bytes(3))
                self.assertEqual(answer[44:], b"\xff" * (size - 44))

    def test_sessions_are_counted_apart_and_told_of_the_answer_before(self):
        question = bytes((0x80, 3, 0, 4, 0, 0, 0, 0, 0x80, 7, 0, 16)) + bytes(16)
        before = time.time()
        for session, sequence in ((9, 0), (9, 1), (8, 0), (9, 2)):
            self.client.send(struct.pack(">IQHH28x", 50 + sequence, 1, 0x0101, session) + question)
            answer = self.client.recv(4096)
            self.assertEqual((len(answer), struct.unpack(">I", answer[:4])[0]), (44 + 28, sequence))
            self.assertEqual(answer[44:48] + answer[52:56], bytes((0, 3, 0, 4, 0, 7, 0, 16)))
            self.assertIn(answer[48], (1, 5))  # NTP, or free-running
            self.assertEqual(answer[49], 2)    # software
            told, moment, how = struct.unpack(">IQB3x", answer[56:])
            if sequence == 0:
                self.assertEqual((told, moment, how), (0, 0, 0))
            else:
                self.assertEqual((told, how), (sequence - 1, 2))
                self.assertLess(before - 0.001, moment / 2**32 - 2208988800)
                self.assertLess(moment / 2**32 - 2208988800, time.time() + 0.001)

    def test_what_is_too_short_or_too_long_gets_nothing(self):
        for size in (0, 1, 43, 2049, 9000):
            self.client.send(bytes(size))
        self.client.send(b"\0\0\0\x05" + bytes(40))
        self.assertEqual(self.client.recv(4096)[24:28], b"\0\0\0\x05")
        self.client.setblocking(False)
        with self.assertRaises(BlockingIOError):
            self.client.recv(4096)

    def test_the_rate_of_one_client_is_limited(self):
        for _ in range(200):
            self.client.send(bytes(44))
        self.client.settimeout(0.5)
        answers = 0
        with contextlib.suppress(TimeoutError):
            while True:
                self.client.recv(4096)
                answers += 1
        self.assertIn(answers, range(50, 101))  # a new second may begin in between


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=2)
