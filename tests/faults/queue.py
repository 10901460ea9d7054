#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A journal of 100,000 records that nobody has fetched: queue.py DOKIEM

`status` takes at most 50 ms, and 10 MB of memory of its own (RLIMIT_DATA: heap and all other private writable memory;
the code of shared libraries is not counted). A run adds a record as to an empty journal.
"""
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../collector"))
from support import Device, sha  # noqa: E402

DOKIEM = sys.argv.pop(1)
COUNT = 100_000
STATUS_S, MEMORY, RUN_MORE_S = 0.05, 10_000_000, 0.3


class Queue(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="dokiem-queue-")
        self.addCleanup(shutil.rmtree, self.folder)

    def dokiem(self, state, verb, *arguments, status=0, memory=None):
        """Seconds of processor time, and output: the fastest of ten, as what else this machine does is not asked."""
        best, limit = None, None
        if memory:
            limit = lambda: resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        for _ in range(10):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run([DOKIEM, verb, "--state", state, *arguments], capture_output=True, text=True,
                                  timeout=60, preexec_fn=limit, env=os.environ | {"HOME": self.folder, "LC_ALL": "C"})
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            self.assertEqual(done.returncode, status, done.stderr)
            best = min(best or seconds, seconds)
        return best, done.stdout

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
        seconds, out = self.dokiem(full, "status", "--format", "json", memory=MEMORY)
        idle, _ = self.dokiem(empty, "status")
        status = json.loads(out)
        self.assertEqual((status["waiting"], status["head_seq"]), (COUNT, COUNT), out)
        run = ("run", "--server", "http://127.0.0.1:1", "--only", "latency")
        more = self.dokiem(full, *run, status=69)[0] - self.dokiem(empty, *run, status=69)[0]
        print(f"{COUNT} records wait: status {seconds * 1000:.0f} ms (an empty journal: {idle * 1000:.0f} ms), within "
              f"{MEMORY / 1e6:.0f} MB of its own; a run takes {more * 1000:.0f} ms more")
        self.assertLessEqual(seconds, STATUS_S)
        self.assertLessEqual(more, RUN_MORE_S)


if __name__ == "__main__":
    unittest.main()
