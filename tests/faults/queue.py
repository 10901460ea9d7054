#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A journal of 100,000 records that nobody has fetched (10,000 without DOKIEM_LONG=1): queue.py DOKIEM USAGE

`status` takes at most 50 ms of processor time and 10 MiB of memory, shared libraries included. A run adds a record as
to an empty journal.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../collector"))
from support import Device, sha  # noqa: E402

USAGE = sys.argv.pop(2)
DOKIEM = sys.argv.pop(1)
COUNT = 100_000 if os.environ.get("DOKIEM_LONG") == "1" else 10_000
STATUS_S, MEMORY_KIB, RUN_MORE_S = 0.05, 10 * 1024, 0.3


class Queue(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="dokiem-queue-")
        self.addCleanup(shutil.rmtree, self.folder)

    def dokiem(self, state, verb, *arguments, status=0):
        """Seconds of processor time, KiB and output: the best of ten, as what else this machine does is not asked."""
        best, used = [], os.path.join(self.folder, "usage")
        for _ in range(10):
            done = subprocess.run([USAGE, used, DOKIEM, verb, "--state", state, *arguments], capture_output=True,
                                  text=True, timeout=60, env=os.environ | {"HOME": self.folder, "LC_ALL": "C"})
            self.assertEqual(done.returncode, status, done.stderr)
            with open(used, encoding="ascii") as file:
                best.append([int(word) for word in file.read().split()])
        return min(cpu for cpu, _ in best) / 1e6, min(memory for _, memory in best), done.stdout

    def make(self, name, count):
        state = os.path.join(self.folder, name)
        device = Device(state)
        journal = os.path.join(state, "journal")
        os.mkdir(journal, 0o700)
        first = device.record() if count else ""
        for seq in range(1, count + 1):
            with open(os.path.join(journal, f"{seq:010}.jws"), "w", encoding="ascii") as out:
                out.write(first if seq < count else device.record(seq=seq, prev=sha(first)))
        return state

    def test_queue(self):
        full, empty = self.make("full", COUNT), self.make("empty", 0)
        seconds, memory, out = self.dokiem(full, "status", "--format", "json")
        idle, bare, _ = self.dokiem(empty, "status")
        _, least, _ = self.dokiem(empty, "status", "--help")
        status = json.loads(out)
        self.assertEqual((status["waiting"], status["head_seq"]), (COUNT, COUNT), out)
        run = ("run", "--server", "http://127.0.0.1:1", "--only", "latency")
        more = self.dokiem(full, *run, status=69)[0] - self.dokiem(empty, *run, status=69)[0]
        print(f"{COUNT} records wait: status {seconds * 1000:.0f} ms, {memory} KiB (an empty journal: "
              f"{idle * 1000:.0f} ms, {bare} KiB; the libraries alone: {least} KiB); "
              f"a run takes {more * 1000:.0f} ms more")
        self.assertLessEqual(seconds, STATUS_S)
        self.assertLessEqual(memory, MEMORY_KIB)
        self.assertLessEqual(more, RUN_MORE_S)


if __name__ == "__main__":
    unittest.main()
