# SPDX-License-Identifier: Apache-2.0
"""Each program, taken over (intruder.c) at the moment when it turns to what comes from outside: the files, programs,
processes and ports that must be refused are, and the private key is neither readable nor in its memory."""

import base64
import contextlib
import errno
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from agent import ENVIRONMENT, PROGRAM, Agent  # noqa: E402
from test_state import Silent  # noqa: E402

REFERENCE = os.environ["DOKIEM_REFERENCE"]
COLLECTOR = os.environ["DOKIEM_COLLECTOR"]
INTRUDER = os.environ["INTRUDER"]
SANITIZED = bool(os.environ.get("DOKIEM_SANITIZED"))
MASK = 0x5A
DAC = 1 << 1 | 1 << 2


def capable(name):
    out = subprocess.run([PROGRAM, "capabilities", "--format", "json"], capture_output=True, text=True, env=ENVIRONMENT)
    return next(row["available"] for row in json.loads(out.stdout)["system"] if row["name"] == name)


def needles(key_file):
    """Parts of a private key as they lie in memory: the number, in both byte orders, and the text of the file."""
    with open(key_file, encoding="ascii") as file:
        pem = "".join(line.strip() for line in file if "-" not in line)
    der = subprocess.run(["openssl", "pkey", "-in", key_file, "-outform", "DER", "-traditional"], check=True,
                         capture_output=True).stdout
    number = der[7:39]  # SEQUENCE, version 1, OCTET STRING of 32 bytes
    assert der[2:7] == bytes([2, 1, 1, 4, 32])
    assert number in base64.b64decode(pem)
    return [number, number[::-1], pem[44:76].encode()]


class Taken:
    """A program with the intruder in it; `told` is what it could do, by name."""

    def __init__(self, command, on, key, secret, unsealed, elsewhere):
        reading, writing = os.pipe()
        masked = " ".join(bytes(b ^ MASK for b in needle).hex() for needle in needles(key))
        options = os.environ.get("ASAN_OPTIONS", "")
        environment = {**ENVIRONMENT, "LD_PRELOAD": INTRUDER, "INTRUDER_FD": str(writing), "INTRUDER_ON": on,
                       "INTRUDER_KEY": key, "INTRUDER_SECRET": secret, "INTRUDER_UNSEALED": unsealed,
                       "INTRUDER_ELSEWHERE": str(elsewhere),
                       "INTRUDER_NEEDLES": masked, "ASAN_OPTIONS": options + ":verify_asan_link_order=0"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env=environment, stdin=subprocess.DEVNULL, pass_fds=(writing,))
        os.close(writing)
        self.reading = reading

    def told(self):
        text, end = b"", time.monotonic() + 60
        while not text.endswith(b"end\n"):
            ready, _, _ = select.select([self.reading], [], [], max(0, end - time.monotonic()))
            part = os.read(self.reading, 65536) if ready else b""
            if not part:
                break
            text += part
        return dict(line.split(" ", 1) for line in text.decode().splitlines() if " " in line), text.endswith(b"end\n")

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        out, err = self.process.communicate(timeout=20)
        os.close(self.reading)
        return out + err


class Intruder(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.landlock, cls.ports, cls.seccomp = (capable(name) for name in ("landlock", "landlock-tcp", "seccomp"))

    def setUp(self):
        self.agent = Agent().__enter__()
        self.addCleanup(self.agent.__exit__)
        self.folder = tempfile.mkdtemp(prefix="dokiem-intruder-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.secret = os.path.join(self.folder, "secret")
        with open(self.secret, "w", encoding="ascii") as file:
            file.write("secret")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        self.key = os.path.join(self.agent.state, "device.pem")

    def take(self, command, on, key=None):
        return Taken(command, on, key or self.key, self.secret, os.path.join(self.agent.state, "unsealed", "new"),
                     self.listener.getsockname()[1])

    def refused(self, told, *names, by=(errno.EPERM, errno.EACCES)):
        for name in names:
            self.assertIn(name, told)
            self.assertIn(int(told[name]), by, f"{name}: {os.strerror(int(told[name])) if int(told[name]) else 'let'}")

    def check(self, told, whole, *, client, keep=0, signer=True):
        """What holds for all of them; `client`: it makes connections itself."""
        self.assertTrue(whole, told)  # nothing became of it but what it says: it is the same program still
        self.assertGreater(int(told["regions"]), 3)
        self.assertEqual(int(told["memory"]), 0, "the private key is in its memory")
        self.assertEqual(int(told["capabilities"]) & ~keep, 0, hex(int(told["capabilities"])))
        if signer:
            self.refused(told, "open-signer", "ptrace-signer", by=(errno.EPERM, errno.EACCES))
        if self.landlock:
            self.refused(told, "open-key", "open-secret", "open-shadow", "open-new", "unlink")
        if self.seccomp:
            self.refused(told, "exec", "code", "clock", "open-unix", "open-packet", "open-raw",
                         *(["vm-signer"] if signer else []), *([] if SANITIZED else ["fork", "ptrace-parent"]))
            self.refused(told, *(["listen"] if client else ["tcp"]))
        if client and self.ports:
            self.refused(told, "elsewhere", by=(errno.EACCES,))
        self.assertTrue(os.path.exists(self.secret))

    def taken_at_connect(self, verb, *arguments, key=None, wait=True):
        with Silent() as server:
            arguments = [argument.replace("URL", server.url) for argument in arguments]
            taken = self.take(self.agent.command(verb, *arguments), "connect", key)
            told, whole = taken.told()
            words = ""
            if whole and verb == "run":
                self.look_at_signer(taken.process.pid)
            words = taken.end()
        self.assertTrue(whole, words)
        return told, whole

    def look_at_signer(self, pid):
        """That the key is looked for as it lies in memory is seen where it is: in the signer, with root's rights."""
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            signer = file.read().split()[0]
        try:
            with open(f"/proc/{signer}/maps", encoding="ascii") as maps, open(f"/proc/{signer}/mem", "rb", 0) as memory:
                found = False
                for line in maps:
                    match = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
                    start, stop = (int(match[1], 16), int(match[2], 16)) if match else (0, 0)
                    if 0 < stop - start <= 64 << 20:
                        memory.seek(start)
                        data = memory.read(stop - start)
                        found = found or any(needle in data for needle in needles(self.key)[:2])
        except OSError:
            self.assertNotEqual(os.geteuid(), 0)
            return
        self.assertTrue(found, "the signer has not the key")

    def test_run(self):
        told, whole = self.taken_at_connect("run", "--server", "URL", "--stamp", "off")
        self.check(told, whole, client=True)
        self.assertEqual(int(told["open-unsealed"]), 0)

    def test_run_that_captures(self):
        # CAP_NET_RAW is there until the capture is open, and no other.
        told, whole = self.taken_at_connect("run", "--server", "URL", "--stamp", "off", "--evidence")
        for name in ("open-packet", "open-raw"):
            told[name] = str(errno.EPERM)
        self.check(told, whole, client=True, keep=1 << 13)

    def test_capture_leaves_no_capability(self):
        server = subprocess.Popen([REFERENCE, "--http", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True,
                                  env=ENVIRONMENT)
        try:
            port = re.fullmatch(r"http 127\.0\.0\.1:(\d+)\n", server.stdout.readline())[1]
            run = self.agent.start("run", "--server", f"http://127.0.0.1:{port}", "--stamp", "off", "--evidence",
                                   "--only", "latency,download", "--duration", "3")
            seen = set()
            while run.poll() is None:
                with contextlib.suppress(OSError, ValueError, IndexError), \
                        open(f"/proc/{run.pid}/status", encoding="ascii") as status:
                    text = status.read()
                    if "NoNewPrivs:\t1" in text:
                        seen.add(int(text.split("CapPrm:")[1].split()[0], 16))
                time.sleep(0.01)
            _, words = run.communicate()
            self.assertEqual(run.returncode, 0, words)
            self.assertIn(0, seen)
            self.assertLessEqual(seen, {0, 1 << 13})
            self.assertEqual(self.agent.last()["wire"]["status"] == "ok", 1 << 13 in seen)
        finally:
            server.kill()
            server.communicate()

    def test_deliver(self):
        self.agent.run("run", "--technology", "4g")
        with open(os.path.join(self.agent.state, "collector.jwk"), "w", encoding="ascii") as file:
            file.write(self.public_jwk())
        told, whole = self.taken_at_connect("deliver", "--collector", "URL")
        self.check(told, whole, client=True, signer=False)
        # It has nothing signed, and leaves nothing for a run to sign.
        self.assertTrue(os.path.isdir(os.path.join(self.agent.state, "unsealed")))
        if self.landlock:
            self.refused(told, "open-unsealed")

    def test_enrol(self):
        told, whole = self.taken_at_connect("enrol", "--collector", "URL", "--token", "0123456789abcdef")
        self.check(told, whole, client=True, signer=False)  # it has signed, and ended

    def public_jwk(self):
        der = subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-outform", "DER"], check=True,
                             capture_output=True).stdout
        x, y = (base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (der[-64:-32], der[-32:]))
        return json.dumps({"crv": "P-256", "kty": "EC", "x": x, "y": y})

    def taken_at_accept(self, command, pattern, key):
        taken = self.take(command, "accept", key)
        line = taken.process.stdout.readline()
        match = re.fullmatch(pattern, line)
        if match is None:
            self.fail(line + taken.end())
        with socket.create_connection(("127.0.0.1", int(match[1])), timeout=20):
            told, whole = taken.told()
        words = taken.end()
        self.assertTrue(whole, words)
        return told, whole

    def test_reference(self):
        told, whole = self.taken_at_accept([REFERENCE, "--http", "127.0.0.1:0", "--word-key", self.key],
                                           r"http 127\.0\.0\.1:(\d+)\n", self.key)
        self.check(told, whole, client=False)

    def test_collector(self):
        folder = os.path.join(self.folder, "collector")
        os.mkdir(folder)
        key, store = os.path.join(folder, "collector.pem"), "sqlite:" + os.path.join(folder, "store.sqlite")
        subprocess.run([COLLECTOR, "--store", store, "--key", key, "keygen"], check=True, capture_output=True)
        told, whole = self.taken_at_accept([COLLECTOR, "--listen", "127.0.0.1:0", "--store", store, "--key", key],
                                           r"listening 127\.0\.0\.1:(\d+)\n", key)
        self.check(told, whole, client=False)

    def taken_at_file(self, verb, *arguments, on, keep=DAC):
        taken = self.take(self.agent.command(verb, *arguments), on)
        told, whole = taken.told()
        words = taken.end()
        self.assertTrue(whole, words)
        self.check(told, whole, client=False, keep=keep, signer=False)

    def test_readers_of_files(self):
        self.agent.run("run", "--technology", "4g")
        record = os.path.join(self.agent.state, "journal", "0000000001.jws")
        self.assertTrue(os.path.exists(record))
        strange = os.path.join(self.folder, "strange.jws")
        shutil.copy(record, strange)
        for verb, *arguments in (("verify", strange), ("recompute", strange), ("assess", strange), ("export", strange),
                                 ("report", strange, "-o", os.path.join(self.agent.folder, "page.html"))):
            with self.subTest(verb):
                self.taken_at_file(verb, *arguments, on="strange.jws")

    def test_reader_of_captures(self):
        capture = os.path.join(self.folder, "strange.pcap")
        with open(capture, "wb") as file:
            file.write(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
        taken = self.take([PROGRAM, "wire", capture], "strange.pcap")
        told, whole = taken.told()
        words = taken.end()
        self.assertTrue(whole, words)
        self.check(told, whole, client=False, keep=DAC, signer=False)


if __name__ == "__main__":
    unittest.main(verbosity=2)
