#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The server's word, from a run to its proof, with devices and servers that lie: word.py DOKIEM REFERENCE"""
import contextlib
import copy
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../collector"))
from support import Device, b64, compact, unb64  # noqa: E402

REFERENCE = sys.argv.pop(2)
DOKIEM = sys.argv.pop(1)


def payload_of(jws):
    return json.loads(unb64(jws.split(".")[1]))


def add(record, direction, factor):
    """All figures of a direction that a device can state, times `factor`."""
    figures = record[direction]
    for key in ("bytes", "rate_bps", "rate_whole_bps", "rate_low_bps", "rate_high_bps"):
        figures[key] = int(figures[key] * factor)
    figures["series"]["bytes"] = [[int(n * factor) for n in row] for row in figures["series"]["bytes"]]


class Evidence(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="dokiem-word-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.state = os.path.join(cls.folder, "state")
        cls.server = Device(os.path.join(cls.folder, "server"))
        cls.device = Device(os.path.join(cls.folder, "other"))
        cls.stranger = Device(os.path.join(cls.folder, "stranger"))
        cls.dokiem("keygen", "--state", cls.state)
        # The device's own key, in the hands of who wants to lie.
        shutil.copy(os.path.join(cls.folder, "other/device.pem"), os.path.join(cls.state, "device.pem"))
        for name, keys in (("device", [cls.device]), ("server", [cls.server]), ("stranger", [cls.stranger])):
            with open(cls.path(name + ".jwk"), "w", encoding="ascii") as out:
                out.write(compact(keys[0].jwk))
        reference = subprocess.Popen([REFERENCE, "--http", "127.0.0.1:0", "--word-key", cls.server.key,
                                      "--line-bps", "1000000"],
                                     stdout=subprocess.PIPE, text=True)
        try:
            url = "http://" + reference.stdout.readline().split()[1]
            for only in ("download,upload", "download"):
                done = cls.dokiem("run", "--state", cls.state, "--server", url, "--duration", "2s", "--only", only)
                assert done.returncode == 0, done.stderr
        finally:
            reference.terminate()
            reference.wait(30)
            reference.stdout.close()
        cls.jws = []
        for seq in (1, 2):
            with open(os.path.join(cls.state, f"journal/{seq:010}.jws"), encoding="ascii") as file:
                cls.jws.append(file.read().strip())
        cls.record = payload_of(cls.jws[0])

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    @classmethod
    def dokiem(cls, *arguments, locale="C.UTF-8"):
        return subprocess.run([DOKIEM, *arguments], capture_output=True, text=True, timeout=120,
                              env=os.environ | {"HOME": cls.folder, "XDG_CONFIG_HOME": cls.folder, "LC_ALL": locale})

    def verify(self, jws, server_key="server"):
        """Exit status, what is said of the word, and why; and the lines for people."""
        with open(self.path("case.jws"), "w", encoding="ascii") as out:
            out.write(jws + "\n")
        arguments = ["verify", "--key", self.path("device.jwk"), self.path("case.jws")]
        if server_key is not None:
            arguments += ["--server-key", self.path(server_key + ".jwk")]
        done = self.dokiem(*arguments, "--format", "json")
        item = json.loads(done.stdout)["records"][0]
        text = self.dokiem(*arguments)
        self.assertEqual(text.returncode, done.returncode)
        return done.returncode, item.get("word"), item.get("word_reason", ""), text.stdout

    def lied(self, change):
        record = copy.deepcopy(self.record)
        change(record)
        return self.device.sign("dokiem-record", record)

    def test_both_agree(self):
        for jws in self.jws:
            status, word, reason, text = self.verify(jws)
            self.assertEqual((status, word, reason), (0, "agrees", ""))
            self.assertIn("the server's word agrees", text)
        word = payload_of(self.record["server"]["word"])
        self.assertEqual(word["client"], "127.0.0.0/24")
        # What the server says of itself bears on a line, and here is none.
        self.assertEqual(word["line_bps"], 1000000)
        self.assertNotIn("own word", str(self.record["validity"]["flags"]))
        self.assertNotIn("upload", payload_of(payload_of(self.jws[1])["server"]["word"]))

    def test_without_the_servers_key_it_is_not_checked(self):
        for key in (None, "stranger"):
            status, word, _, text = self.verify(self.jws[0], key)
            self.assertEqual((status, word), (0, "unchecked"))
            self.assertRegex(text, "NOTE 1 words? of servers")
        record = copy.deepcopy(self.record)
        del record["server"]["word"]
        self.assertEqual(self.verify(self.device.sign("dokiem-record", record))[:2], (0, "none"))

    def test_a_device_that_lies_is_contradicted(self):
        def shorter(record):
            record["download"]["duration_ns"] //= 2
            record["download"]["rate_whole_bps"] *= 2
        for why, change in (
                ("download: .*bytes came through", lambda r: add(r, "download", 2)),
                ("download: .*bytes came through", lambda r: add(r, "download", 0.5)),
                ("upload: .*bytes came through", lambda r: add(r, "upload", 1.5)),
                ("download: .*took", shorter),
                ("download: .*whole rate", lambda r: r["download"].update(rate_whole_bps=10**9)),
                ("download: .*dates the run", lambda r: (r["time"].update(
                    start="2026-01-01T00:00:00.000Z", end="2026-01-01T00:00:10.000Z"),
                    r["time"]["clock"].update(state="synchronised")))):
            status, word, reason, text = self.verify(self.lied(change))
            self.assertEqual((status, word), (65, "differs"), reason)
            self.assertRegex(reason, why)
            self.assertRegex(text, "(?m)^BAD .*the server's word differs: ")
            self.assertRegex(text, "(?m)^OK ")  # its signature holds, and that is said too

    def test_a_server_that_lies_is_no_fault_of_the_device(self):
        word = payload_of(self.record["server"]["word"])
        word["download"]["bytes"] = [n // 2 for n in word["download"]["bytes"]]
        jws = self.server.sign("dokiem-word", word)
        status, state, reason, text = self.verify(self.lied(lambda r: r["server"].update(word=jws)))
        self.assertEqual((status, state), (65, "differs"))
        self.assertRegex(reason, "download: the device says .* the server ")
        self.assertNotRegex(text, "signature is not valid")

    def test_a_word_cannot_be_changed_borrowed_or_made_up(self):
        true = self.record["server"]["word"]
        head, body, signature = true.split(".")
        changed = payload_of(true)
        changed["download"]["bytes"][0] += 1
        for word, expected in (
                (f"{head}.{b64(compact(changed).encode())}.{signature}", (65, "invalid")),
                (payload_of(self.jws[1])["server"]["word"], (65, "invalid")),  # about another run
                (self.server.sign("dokiem-receipt", payload_of(true)), (65, "invalid")),
                (self.server.sign("dokiem-word", payload_of(true) | {"more": 1}), (65, "invalid")),
                (self.server.sign("dokiem-word", "[]"), (65, "invalid")),
                (self.device.sign("dokiem-word", payload_of(true)), (0, "unchecked"))):
            status, state, _, text = self.verify(self.lied(lambda r: r["server"].update(word=word)))
            self.assertEqual((status, state), expected)
            self.assertEqual("the server's word is not valid" in text, status == 65)

    def test_a_record_that_is_changed_afterwards_fails_by_its_signature(self):
        head, _, signature = self.jws[0].split(".")
        record = copy.deepcopy(self.record)
        add(record, "download", 2)
        done = self.verify(f"{head}.{b64(compact(record).encode())}.{signature}")
        self.assertEqual(done[0], 65)
        self.assertIn("the signature is not valid", done[3])

    def test_it_is_said_in_vietnamese_too(self):
        with open(self.path("vi.jws"), "w", encoding="ascii") as out:
            out.write(self.lied(lambda r: add(r, "download", 2)) + "\n")
        text = self.dokiem("verify", "--key", self.path("device.jwk"), "--server-key", self.path("server.jwk"),
                           self.path("vi.jws"), locale="vi_VN.UTF-8").stdout
        self.assertRegex(text, "xác nhận của máy chủ đo khác với bản ghi|the server's word differs")


class Hostile(http.server.BaseHTTPRequestHandler):
    """A server that measures well and says nonsense when it is asked for its word."""
    protocol_version = "HTTP/1.1"
    chunk = os.urandom(1 << 20)

    def log_message(self, *_):
        pass

    def do_GET(self):
        with contextlib.suppress(OSError):
            if self.path.startswith("/word"):
                self.server.asked.append(self.path)
                self.server.answer(self)
                return
            size = 1 << 30 if self.path.startswith("/garbage") else 0
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            while size > 0:
                self.wfile.write(self.chunk)
                size -= len(self.chunk)


def answers(status, body):
    def answer(handler):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
    return answer


def never(handler):
    handler.server.over.wait(60)


def drips(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "4000")
    handler.end_headers()
    while not handler.server.over.wait(0.2):
        handler.wfile.write(b"a")


class HostileServers(unittest.TestCase):
    def test_nonsense_costs_little_and_is_not_kept(self):
        folder = tempfile.mkdtemp(prefix="dokiem-word-")
        self.addCleanup(shutil.rmtree, folder)
        state = os.path.join(folder, "state")
        stranger = Device(os.path.join(folder, "stranger"))
        other = stranger.sign("dokiem-word", {
            "schema": "dokiem.word/1", "run": "XYoyjDeddkgFEI2zvqYY-Q", "client": "127.0.0.0/24",
            "issued": "2026-11-20T15:53:24.635Z"})
        environment = os.environ | {"HOME": folder, "XDG_CONFIG_HOME": folder, "LC_ALL": "C.UTF-8"}
        subprocess.run([DOKIEM, "keygen", "--state", state], check=True, capture_output=True, env=environment)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
        server.daemon_threads = True
        server.asked, server.over = [], threading.Event()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            for name, answer in (("404", answers(404, b"no")), ("nonsense", answers(200, b"\x1b[31m\0\xff")),
                                 ("1 MiB", answers(200, b"a" * (1 << 20))),
                                 ("another run", answers(200, other.encode())), ("never", never), ("drips", drips)):
                with self.subTest(answer=name):
                    server.answer = answer
                    begun = time.monotonic()
                    done = subprocess.run(
                        [DOKIEM, "run", "--state", state, "--server", f"http://127.0.0.1:{server.server_port}",
                         "--only", "download", "--streams", "1", "--duration", "1s", "--format", "json",
                         "--progress", "none"],
                        capture_output=True, text=True, timeout=60, env=environment)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    record = json.loads(done.stdout)
                    self.assertEqual(record["download"]["status"], "ok")
                    self.assertNotIn("word", record["server"])
                    self.assertLess(time.monotonic() - begun, 15)
            self.assertEqual(len(server.asked), 6)
            self.assertEqual(len(set(server.asked)), 6)  # each run is another one
        finally:
            server.over.set()
            server.shutdown()
            server.server_close()
            thread.join()


if __name__ == "__main__":
    unittest.main(verbosity=2)
