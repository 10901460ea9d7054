# SPDX-License-Identifier: Apache-2.0
"""A run that waits for its server, looked at from outside: its walls, and that the key is elsewhere; and a kernel that
has no walls to offer."""

import ctypes
import errno
import json
import os
import platform
import signal
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from agent import ENVIRONMENT, PROGRAM, Agent  # noqa: E402
from test_state import Silent  # noqa: E402

SANITIZED = bool(os.environ.get("DOKIEM_SANITIZED"))
NET_RAW = 1 << 13


def status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def capable(name):
    out = subprocess.run([PROGRAM, "capabilities", "--format", "json"], capture_output=True, text=True, env=ENVIRONMENT)
    return next(row["available"] for row in json.loads(out.stdout)["system"] if row["name"] == name)


class Walls(unittest.TestCase):
    def setUp(self):
        self.agent = Agent().__enter__()
        self.addCleanup(self.agent.__exit__)

    def test_run(self):
        with Silent() as server:
            run = self.agent.start("run", "--server", server.url, "--stamp", "off")
            self.assertTrue(server.reached.wait(20))
            with open(f"/proc/{run.pid}/task/{run.pid}/children", encoding="ascii") as file:
                signers = file.read().split()
            # The key's process reads nothing from outside; both have no way to other programs.
            self.assertEqual(len(signers), 1)
            for pid, kept in ((run.pid, 0), (signers[0], 0)):
                found = status(pid)
                self.assertEqual(found["NoNewPrivs"], "1")
                self.assertEqual(int(found["CapEff"], 16) & ~kept, 0, found["CapEff"])
                self.assertEqual(int(found["CapPrm"], 16) & ~kept, 0, found["CapPrm"])
                if not SANITIZED and capable("seccomp"):
                    self.assertEqual(found["Seccomp"], "2")
            run.send_signal(signal.SIGINT)
            run.communicate(timeout=20)
        self.assertEqual(run.returncode, 130)
        self.assertFalse(os.path.exists(f"/proc/{signers[0]}"), "the signer is left")
        whole, words = self.agent.chain_is_whole()
        self.assertTrue(whole, words)

    def test_signer_ends_with_a_killed_run(self):
        with Silent() as server:
            run = self.agent.start("run", "--server", server.url, "--stamp", "off")
            self.assertTrue(server.reached.wait(20))
            run.kill()
            # Its output ends when the last of the two has ended.
            run.communicate(timeout=20)

    def test_what_was_measured_outlives_its_signer(self):
        waiting = os.path.join(self.agent.state, "unsealed", "record.json")
        with Silent() as server:
            run = self.agent.start("run", "--server", server.url, "--stamp", "off")
            self.assertTrue(server.reached.wait(20))
            with open(f"/proc/{run.pid}/task/{run.pid}/children", encoding="ascii") as file:
                signer, = file.read().split()
            os.kill(int(signer), signal.SIGKILL)
            run.send_signal(signal.SIGINT)
            _, words = run.communicate(timeout=20)
        self.assertEqual(run.returncode, 74, words)
        self.assertIn("run again", words)
        self.assertEqual(self.agent.records(), [])
        with open(waiting, encoding="utf-8") as file:
            payload = json.load(file)
        self.assertEqual(self.agent.run("run").returncode, 69)
        self.assertFalse(os.path.exists(waiting))
        self.assertEqual(len(self.agent.records()), 2)
        shown = self.agent.run("show", "1", "--format", "json")
        self.assertEqual(json.loads(shown.stdout), payload)
        whole, words = self.agent.chain_is_whole()
        self.assertTrue(whole, words)

    def test_old_temporary_files_are_swept(self):
        old = os.path.join(self.agent.state, ".device.pem.1.tmp")
        new = os.path.join(self.agent.state, ".device.pem.2.tmp")
        for path in (old, new):
            with open(path, "w", encoding="ascii"):
                pass
        os.utime(old, (1, 1))
        self.agent.run("run")
        self.assertFalse(os.path.exists(old))
        self.assertTrue(os.path.exists(new))


# Of prctl() and landlock_create_ruleset().
CALLS = {"x86_64": (157, 444), "aarch64": (167, 444)}.get(platform.machine())
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
RET_ALLOW, RET_ERRNO = 0x7FFF0000, 0x00050000
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06


def be_an_old_kernel():
    """From now on this process, and what it starts, is told that there is no Landlock and no seccomp."""
    prctl, landlock = CALLS
    code = [(LOAD, 0, 0, 0), (EQUAL, 4, 0, landlock), (EQUAL, 0, 2, prctl), (LOAD, 0, 0, 16),
            (EQUAL, 2, 0, PR_SET_SECCOMP), (RETURN, 0, 0, RET_ALLOW), (RETURN, 0, 0, RET_ERRNO | errno.ENOSYS),
            (RETURN, 0, 0, RET_ERRNO | errno.EINVAL)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *row) for row in code))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or \
            libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no filter can be set")


@unittest.skipIf(CALLS is None or not capable("seccomp"), "this machine cannot play an older one")
class WithoutWalls(unittest.TestCase):
    def test_works_and_says_so(self):
        with Agent() as agent:
            done = agent.run("capabilities", "--format", "json", preexec_fn=be_an_old_kernel)
            rows = {row["name"]: row["available"] for row in json.loads(done.stdout)["system"]}
            self.assertEqual([rows[name] for name in ("landlock", "landlock-tcp", "seccomp")], [False] * 3)
            with Silent() as server:
                run = agent.start("run", "--server", server.url, "--stamp", "off", preexec_fn=be_an_old_kernel)
                self.assertTrue(server.reached.wait(20))
                found = status(run.pid)
                self.assertEqual(int(found["CapEff"], 16), 0)
                run.send_signal(signal.SIGINT)
                run.communicate(timeout=20)
            self.assertEqual(run.returncode, 130)
            done = agent.run("verify", os.path.join(agent.state, "journal"), preexec_fn=be_an_old_kernel)
            self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
