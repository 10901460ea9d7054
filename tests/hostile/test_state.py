# SPDX-License-Identifier: Apache-2.0
"""What happens around a run: a broken configuration, a full or missing disk, two runs at once, Ctrl-C. The exit status
is true, the words are clear, and the chain stays whole."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from agent import ENVIRONMENT, PROGRAM, Agent  # noqa: E402

NOBODY = 65534


class Silent:
    """Accepts connections and never answers, so that a run stays where it is. `reached` is set by the first one."""

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.reached = threading.Event()
        self._connections = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        for each in [self._listener, *self._connections]:
            each.close()

    def _accept(self):
        try:
            while True:
                self._connections.append(self._listener.accept()[0])
                self.reached.set()
        except OSError:
            pass


class State(unittest.TestCase):
    def agent(self):
        agent = Agent().__enter__()
        self.addCleanup(agent.__exit__)
        return agent

    def seal_one(self, agent):
        """One more record in the journal: a failed run is one, and needs no server."""
        self.assertEqual(agent.run("run", "--technology", "4g").returncode, 69)

    def assert_whole(self, agent, count):
        self.assertEqual(len(agent.records()), count)
        whole, words = agent.chain_is_whole()
        self.assertTrue(whole, words)

    def test_configuration_errors(self):
        agent = self.agent()
        cases = {
            "unknown key": ("[test]\nspeed = 1\n", "speed"),
            "unknown section": ("[tests]\nstreams = 1\n", "tests"),
            "wrong unit": ("[test]\nduration = 10MB\n", "duration"),
            "out of range": ("[test]\nstreams = 33\n", "streams"),
            "duplicate": ("[test]\nstreams = 3\nstreams = 4\n", "streams"),
            "leading zero": ("[test]\nstreams = 010\n", "010"),
            "trailing letters": ("[test]\nstreams = 12abc\n", "12abc"),
            "exponent": ("[test]\nstreams = 1e3\n", "1e3"),
            "empty": ("", "empty"),
        }
        with Silent() as server:
            for name, (text, word) in cases.items():
                with self.subTest(name):
                    path = agent.configuration(text)
                    for verb in ("run", "check-config"):
                        result = agent.run(verb, "--config", path, *(["--server", server.url] if verb == "run" else []))
                        self.assertEqual(result.returncode, 78, result.stderr)
                        self.assertIn(path, result.stderr)
                        self.assertIn(word, result.stderr)
                        self.assertEqual(result.stdout, "")
            self.assertFalse(server.reached.is_set(), "something was measured")
        with open(os.path.join(agent.folder, "binary"), "wb") as file:
            file.write(os.urandom(4096))
        for path in ("binary", "missing", ""):
            result = agent.run("check-config", "--config", os.path.join(agent.folder, path))
            self.assertEqual(result.returncode, 78, result.stderr)
        self.assertEqual(agent.records(), [])

    def test_usage_errors(self):
        agent = self.agent()
        for arguments in (["--streams", "0"], ["--duration", "1e3"], ["--nonsense"], ["--server"], ["--format", "xml"],
                          ["--technology", "6g"], ["operand"]):
            with self.subTest(arguments):
                result = agent.run("run", *arguments)
                self.assertEqual(result.returncode, 64, result.stderr)
                self.assertEqual(result.stdout, "")
        self.assertEqual(agent.records(), [])
        for arguments in ([], ["nonsense"]):
            result = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)
            self.assertEqual(result.returncode, 64)
            self.assertEqual(result.stdout, "")

    def test_help_is_on_stdout_and_narrow_enough(self):
        verbs = ["run", "deliver", "status", "list", "show", "report", "export", "verify", "assess", "recompute",
                 "wire", "campaign", "keygen", "enrol", "check-config", "sign-profile", "capabilities", "version"]
        for arguments in [["--help"], *([verb, "--help"] for verb in verbs)]:
            result = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, env=ENVIRONMENT)
            self.assertEqual(result.returncode, 0)
            self.assertEqual(result.stderr, "")
            self.assertLessEqual(max(map(len, result.stdout.splitlines())), 80)
        for verb in verbs:
            self.assertIn(f"\n  {verb} ", subprocess.run([PROGRAM, "--help"], capture_output=True, text=True).stdout)

    def test_key_missing_or_readable_by_others(self):
        agent = self.agent()
        key = os.path.join(agent.state, "device.pem")
        self.assertEqual(os.stat(key).st_mode & 0o7777, 0o600)
        os.chmod(key, 0o640)
        result = agent.run("run")
        self.assertEqual(result.returncode, 77)
        self.assertIn(key, result.stderr)
        os.remove(key)
        result = agent.run("run")
        self.assertEqual(result.returncode, 66)
        self.assertIn("keygen", result.stderr)
        self.assertEqual(agent.records(), [])

    def test_keygen_does_not_overwrite(self):
        agent = self.agent()
        with open(os.path.join(agent.state, "device.pem"), "rb") as file:
            before = file.read()
        self.assertNotEqual(agent.run("keygen").returncode, 0)
        with open(os.path.join(agent.state, "device.pem"), "rb") as file:
            self.assertEqual(file.read(), before)

    def test_journal_folder_missing(self):
        agent = self.agent()
        self.seal_one(agent)
        shutil.move(os.path.join(agent.state, "journal"), os.path.join(agent.folder, "away"))
        result = agent.run("run", "--technology", "4g")
        self.assertEqual(result.returncode, 74, result.stderr)
        self.assertIn("journal", result.stderr)
        shutil.move(os.path.join(agent.folder, "away"), os.path.join(agent.state, "journal"))
        self.seal_one(agent)
        self.assert_whole(agent, 2)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_journal_not_writable(self):
        agent = self.agent()
        self.seal_one(agent)
        # The state belongs to nobody, its journal is read-only for him.
        os.chmod(agent.folder, 0o755)
        # He may not be able to reach the build folder, as below /root.
        agent.program = shutil.copy(agent.program, agent.folder)
        for path, folders, files in os.walk(agent.state):
            for name in (".", *folders, *files):
                os.chown(os.path.join(path, name), NOBODY, NOBODY)
        os.chmod(os.path.join(agent.state, "journal"), 0o500)
        result = agent.run("run", "--technology", "4g", user=NOBODY, group=NOBODY, extra_groups=[])
        self.assertEqual(result.returncode, 77, result.stderr)
        self.assertIn("journal", result.stderr)
        os.chmod(os.path.join(agent.state, "journal"), 0o700)
        result = agent.run("run", "--technology", "4g", user=NOBODY, group=NOBODY, extra_groups=[])
        self.assertEqual(result.returncode, 69, result.stderr)
        self.assert_whole(agent, 2)

    @unittest.skipUnless(os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True,
                                                              check=False).returncode == 0,
                         "only root can mount, and in a chroot not apart from the machine")
    def test_disk_full(self):
        # A small file system in a mount namespace that ends with its shell.
        with tempfile.TemporaryDirectory(prefix="dokiem-full-") as folder:
            script = f"""
                mount -t tmpfs -o size=64k none {folder} || exit 99
                {PROGRAM} keygen --state {folder}/s >/dev/null || exit 98
                {PROGRAM} run --state {folder}/s --technology 4g; [ $? = 69 ] || exit 97
                dd if=/dev/zero of={folder}/fill bs=1k 2>/dev/null
                {PROGRAM} run --state {folder}/s --technology 4g; status=$?
                ls -A {folder}/s/journal
                rm {folder}/fill
                {PROGRAM} run --state {folder}/s --technology 4g; [ $? = 69 ] || exit 96
                {PROGRAM} verify --state {folder}/s {folder}/s/journal || exit 95
                exit $status
            """
            result = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True,
                                    env=ENVIRONMENT, timeout=60)
            self.assertEqual(result.returncode, 74, result.stdout + result.stderr)
            self.assertIn("free some space", result.stderr)
            self.assertNotIn(".tmp", result.stdout)

    def test_two_runs_at_once(self):
        agent = self.agent()
        with Silent() as server:
            first = agent.start("run", "--server", server.url, "--stamp", "off")
            self.assertTrue(server.reached.wait(20))
            second = agent.run("run", "--server", server.url, "--stamp", "off")
            self.assertEqual(second.returncode, 75, second.stderr)
            self.assertIn("another run", second.stderr)
            first.send_signal(signal.SIGINT)
            first.communicate(timeout=20)
            self.assertEqual(first.returncode, 130)
        self.assert_whole(agent, 1)

    def test_interrupted(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            agent = self.agent()
            with Silent() as server:
                run = agent.start("run", "--server", server.url, "--stamp", "off", "--format", "json")
                self.assertTrue(server.reached.wait(20))
                started = time.monotonic()
                run.send_signal(number)
                out, err = run.communicate(timeout=20)
                self.assertLess(time.monotonic() - started, 15)
            self.assertEqual(run.returncode, 130, err)
            self.assertEqual(json.loads(out)["kind"], "failed")
            self.assertEqual(json.loads(out)["reason"], "interrupted")
            self.assertEqual(agent.last(), json.loads(out))
            self.assert_whole(agent, 1)

    def test_killed(self):
        agent = self.agent()
        self.seal_one(agent)
        with Silent() as server:
            run = agent.start("run", "--server", server.url, "--stamp", "off")
            self.assertTrue(server.reached.wait(20))
            run.kill()
            run.communicate(timeout=20)
        self.seal_one(agent)
        self.assert_whole(agent, 2)

    def test_output_that_goes_nowhere(self):
        agent = self.agent()
        self.seal_one(agent)
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = subprocess.run(agent.command("show", "last"), stdout=full, stderr=subprocess.PIPE, text=True,
                                    env=ENVIRONMENT)
        self.assertEqual(result.returncode, 74, result.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
