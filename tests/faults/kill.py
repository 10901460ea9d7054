#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`kill -9` at random moments of a run, a delivery and the collector: kill.py DOKIEM REFERENCE COLLECTOR

Afterwards nothing that was confirmed is missing, nothing is there twice, and the chain is whole on both sides.
20 rounds; 500 and as many kills with DOKIEM_LONG=1. DK_SEED repeats the moments (not what the machine does with them).
"""
import base64
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../collector"))
from support import Collector, unb64  # noqa: E402

COLLECTOR = sys.argv.pop(3)
REFERENCE = sys.argv.pop(2)
DOKIEM = sys.argv.pop(1)
ROUNDS = 500 if os.environ.get("DOKIEM_LONG") == "1" else 20
SEED = int(os.environ.get("DK_SEED") or time.time_ns())


def sha(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


class Kill(unittest.TestCase):
    def setUp(self):
        print("seed", SEED)
        self.random = random.Random(SEED)
        self.folder = tempfile.mkdtemp(prefix="dokiem-kill-")
        self.addCleanup(shutil.rmtree, self.folder)
        os.environ["TMPDIR_OF_TEST"] = self.folder
        self.state = os.path.join(self.folder, "state")
        self.collector = Collector(COLLECTOR, os.path.join(self.folder, "collector"))
        self.addCleanup(self.collector.stop)
        self.reference = subprocess.Popen([REFERENCE, "--http", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end_reference)
        self.server = "http://" + self.reference.stdout.readline().split()[1]
        with open(os.path.join(self.folder, "dokiem.ini"), "w", encoding="utf-8") as out:
            out.write("[latency]\ncount = 3\ninterval = 10 ms\n[server]\nstamp = off\n")
        self.confirmed = set()  # ids of records that a command printed
        self.killed = {"run": 0, "deliver": 0, "collector": 0}
        self.seconds = {"run": 0.3, "deliver": 0.3}  # of one that was left in peace

    def end_reference(self):
        self.reference.terminate()
        self.reference.wait(30)
        self.reference.stdout.close()

    def start(self, verb, *arguments):
        return subprocess.Popen([DOKIEM, verb, "--config", os.path.join(self.folder, "dokiem.ini"), "--state",
                                 self.state, *arguments],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=os.environ | {"HOME": self.folder, "LC_ALL": "C"})

    def end(self, process, *good):
        """What it printed; with `good`, it must end by itself with one of these."""
        out, err = process.communicate(timeout=60)
        if good:
            self.assertIn(process.returncode, good, err)
        return out

    def kill_within(self, process, seconds):
        """Kills it at a random moment of that time; now and then it is faster."""
        try:
            process.wait(self.random.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            return True
        return False

    def start_run(self):
        return self.start("run", "--server", self.server, "--only", "latency", "--format", "json", "--progress", "none")

    def take(self, out):
        """A record is confirmed when its JSON is out."""
        try:
            self.confirmed.add(json.loads(out)["id"])
        except ValueError:
            pass

    def run_in_peace(self):
        begun = time.monotonic()
        self.take(self.end(self.start_run(), 0))
        self.seconds["run"] = time.monotonic() - begun

    def start_delivery(self):
        return self.start("deliver", "--collector", self.collector.url)

    def deliver_in_peace(self):
        begun = time.monotonic()
        out = self.end(self.start_delivery(), 0)
        self.assertIn("refused 0, waiting 0", out)
        self.seconds["deliver"] = time.monotonic() - begun

    def round(self, victim):
        if victim == "run":
            process = self.start_run()
            self.killed["run"] += self.kill_within(process, self.seconds["run"] * 1.1)
            self.take(self.end(process))
            return
        for _ in range(2):
            self.run_in_peace()
        process = self.start_delivery()
        if victim == "deliver":
            self.killed["deliver"] += self.kill_within(process, self.seconds["deliver"] * 1.1)
        else:
            time.sleep(self.random.uniform(0, self.seconds["deliver"]))
            self.collector.stop(signal.SIGKILL)
            self.killed["collector"] += 1
            process.kill()
            self.end(process)
            self.collector.start()
            return
        self.end(process)

    def journal(self):
        """The journal's records, checked: seq -> JWS."""
        folder = os.path.join(self.state, "journal")
        records, prev, ids = {}, None, set()
        for name in sorted(name for name in os.listdir(folder) if len(name) == len("0000000001.jws")):
            if name.startswith("."):
                continue
            with open(os.path.join(folder, name), "rb") as file:
                jws = file.read()
            record = json.loads(unb64(jws.decode().split(".")[1]))
            self.assertEqual((record["seq"], record["prev"]), (len(records) + 1, prev), name)
            self.assertNotIn(record["id"], ids)
            ids.add(record["id"])
            prev = sha(jws)
            records[record["seq"]] = jws.decode()
        self.assertEqual(self.confirmed - ids, set(), "confirmed, and lost")
        return records

    def receipts(self):
        return {int(name[:10]) for name in os.listdir(os.path.join(self.state, "journal"))
                if name.endswith(".receipt.jws") and name[0] != "."}

    def stored(self):
        """What the collector gives out: the JWS, in its order."""
        status, data, _ = self.collector.request("GET", "/v1/records?limit=1000000")
        self.assertEqual(status, 200)
        return data.splitlines()

    def test_kill(self):
        self.end(self.start("keygen"), 0)
        token = self.collector.token("--approve")
        self.end(self.start("enrol", "--collector", self.collector.url, "--token", token), 0)
        self.run_in_peace()
        self.deliver_in_peace()
        rounds = 0
        # A process that was faster than its killer counts for the short form only.
        while rounds < ROUNDS or (ROUNDS >= 500 and sum(self.killed.values()) < ROUNDS):
            self.round(("run", "deliver", "run", "collector")[rounds % 4])
            rounds += 1
            journal, stored = self.journal(), self.stored()
            self.assertEqual(stored, [journal[seq] for seq in range(1, len(stored) + 1)], "the two sides differ")
            self.assertLessEqual(self.receipts(), set(range(1, len(stored) + 1)), "a receipt for nothing")
        self.run_in_peace()
        self.deliver_in_peace()
        journal, stored = self.journal(), self.stored()
        self.assertEqual(stored, list(journal.values()))
        self.assertEqual(self.receipts(), set(journal))
        self.end(self.start("verify", os.path.join(self.state, "journal")), 0)
        print(f"{rounds} rounds: killed {self.killed}; {len(journal)} records, {len(self.confirmed)} confirmed, "
              "0 lost, 0 doubled, both chains whole")
        self.assertGreater(self.killed["run"], 0)
        self.assertGreater(len(self.confirmed), ROUNDS // 2)


if __name__ == "__main__":
    unittest.main()
