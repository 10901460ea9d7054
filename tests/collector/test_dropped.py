#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A journal that is full of undelivered records: test_dropped.py DOKIEM COLLECTOR

The oldest go; a record of the chain says which, is there before they go, and is understood by verify and the collector.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import jsonschema
from support import Collector, Device, compact, sha, unb64

COLLECTOR = sys.argv.pop(2)
DOKIEM = sys.argv.pop(1)
PAD = 100_000  # bytes of payload
LIMIT = 1_000_000
with open(os.path.join(os.path.dirname(__file__), "../../docs/record.schema.json"), encoding="utf-8") as schema:
    SCHEMA = json.load(schema)


class Dropped(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="dokiem-dropped-")
        self.addCleanup(shutil.rmtree, self.folder)
        os.environ["TMPDIR_OF_TEST"] = self.folder
        self.state = os.path.join(self.folder, "state")
        self.device = Device(self.state)
        self.journal = os.path.join(self.state, "journal")
        os.mkdir(self.journal, 0o700)
        self.config = os.path.join(self.folder, "dokiem.ini")
        with open(self.config, "w", encoding="utf-8") as out:
            out.write("[journal]\nmax_bytes = 1MB\n")

    def path(self, seq):
        return os.path.join(self.journal, f"{seq:010}.jws")

    def fill(self, count):
        for _ in range(count):
            jws = self.device.record(note="x" * PAD)
            with open(self.path(self.device.seq), "w", encoding="ascii") as out:
                out.write(jws)

    def dokiem(self, verb, *arguments, status=0):
        done = subprocess.run([DOKIEM, verb, "--config", self.config, "--state", self.state, *arguments], text=True,
                              capture_output=True, timeout=60, env=os.environ | {"HOME": self.folder, "LC_ALL": "C"})
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout

    def run_once(self):
        """A failed run: without a server it is one record."""
        self.dokiem("run", status=69)
        records = self.records()
        self.device.seq, self.device.prev = max(records), sha(records[max(records)])

    def records(self):
        found = {}
        for name in sorted(os.listdir(self.journal)):
            if len(name) == 14:
                with open(os.path.join(self.journal, name), encoding="ascii") as file:
                    found[int(name[:10])] = file.read()
        return found

    def payload(self, jws):
        return json.loads(unb64(jws.split(".")[1]))

    def statements(self):
        """seq -> the `dropped` of the records that have one; all of the form of the schema."""
        found = {}
        for seq, jws in self.records().items():
            payload = self.payload(jws)
            if "dropped" in payload:
                jsonschema.validate(payload, SCHEMA)
                self.assertEqual(payload["kind"], "skipped")
                found[seq] = payload["dropped"]
        return found

    def test_oldest_go(self):
        self.fill(12)
        before = self.records()
        self.run_once()
        after = self.records()
        self.assertEqual(list(self.statements()), [14])
        stated = self.statements()[14]
        last = stated["last_seq"]
        self.assertEqual(stated["first_seq"], 1)
        self.assertEqual(stated["count"], last)
        self.assertNotIn("prev", stated)
        self.assertEqual(stated["sha256"], sha(before[last]))
        self.assertEqual(self.payload(after[last + 1])["prev"], stated["sha256"])
        self.assertEqual(sorted(after), list(range(last + 1, 15)))
        self.assertEqual(stated["bytes"], sum(len(before[seq]) for seq in range(1, last + 1)))
        self.assertLess(sum(map(len, after.values())), LIMIT * 0.9 + 5000)
        self.run_once()  # there is room again
        self.assertEqual(list(self.statements()), [14])

    def test_broken_off(self):
        """The power went after the statement, before the records: the next run removes them, and says nothing new."""
        self.fill(12)
        before = self.records()
        self.run_once()
        stated = self.statements()[14]
        for seq in (1, stated["last_seq"]):
            with open(self.path(seq), "w", encoding="ascii") as out:
                out.write(before[seq])
        self.run_once()
        self.assertEqual(min(self.records()), stated["last_seq"] + 1)
        self.assertEqual(list(self.statements()), [14])

    def test_taken_over(self):
        """A statement that has to go itself is taken over by the next one; refused and damaged records go, too."""
        self.fill(12)
        self.run_once()
        first = self.statements()[14]
        self.fill(10)
        with open(os.path.join(self.journal, "0000000016.refused"), "w", encoding="ascii") as out:
            out.write("no")
        with open(self.path(17), "w", encoding="ascii") as out:
            out.write("\0")
        self.run_once()
        statements = self.statements()
        self.assertEqual(len(statements), 1)
        second = next(iter(statements.values()))
        self.assertEqual(second["first_seq"], 1)
        self.assertGreater(second["last_seq"], 17)
        self.assertGreater(second["bytes"], first["bytes"])
        self.assertEqual(second["count"], second["last_seq"])
        self.assertEqual(min(self.records()), second["last_seq"] + 1)
        self.assertEqual([name for name in os.listdir(self.journal) if name.endswith(".refused")], [])

    def test_delivered_go_first(self):
        collector = Collector(COLLECTOR, os.path.join(self.folder, "collector"))
        self.addCleanup(collector.stop)
        self.fill(5)
        self.dokiem("enrol", "--collector", collector.url, "--token", collector.token("--approve"))
        self.dokiem("deliver", "--collector", collector.url)
        self.fill(6)
        self.run_once()
        self.assertEqual(self.statements(), {})
        self.assertGreater(min(self.records()), 1)
        self.assertLessEqual(min(self.records()), 6)
        self.fill(4)
        self.run_once()
        stated = next(iter(self.statements().values()))
        self.assertEqual(stated["first_seq"], 6)
        self.dokiem("deliver", "--collector", collector.url)
        status, body, _ = collector.request("GET", "/v1/devices")
        self.assertEqual(status, 200)
        device = json.loads(body)[0]
        self.assertEqual((device["last_seq"], device["records"]), (self.device.seq, self.device.seq - stated["count"]))
        self.assertEqual((device["gaps"], device["dropped"]), (0, stated["count"]))

    def rotate(self):
        """Changes the key: one record. Returns its number."""
        self.dokiem("keygen", "--rotate")
        records = self.records()
        self.device.seq, self.device.prev = max(records), sha(records[max(records)])
        kid = sha(compact(json.loads(self.dokiem("keygen", "--public"))))
        self.device.sign = lambda typ, payload: Device.sign(self.device, typ, payload,
                                                            {"alg": "ES256", "kid": kid, "typ": typ})
        return self.device.seq

    def verify_by_first_key(self, *seqs):
        first = os.path.join(self.folder, "first.jwk")
        with open(first, "w", encoding="utf-8") as out:
            json.dump(self.device.jwk, out)
        self.dokiem("verify", "--key", first, *map(self.path, seqs))

    def test_change_of_key_stays(self):
        """It is never dropped, nor removed once delivered: without it nobody can check what came later."""
        collector = Collector(COLLECTOR, os.path.join(self.folder, "collector"))
        self.addCleanup(collector.stop)
        self.dokiem("enrol", "--collector", collector.url, "--token", collector.token("--approve"))
        self.fill(2)
        self.assertEqual([self.rotate(), self.rotate()], [3, 4])
        self.fill(10)
        self.run_once()
        stated = self.statements()[16]
        self.assertEqual(stated["first_seq"], 1)
        self.assertGreater(stated["last_seq"], 4)
        self.assertEqual(stated["count"], stated["last_seq"] - 2)
        self.assertEqual(sorted(self.records()), [3, 4, *range(stated["last_seq"] + 1, 17)])
        self.verify_by_first_key(3, 4, 15, 16)
        self.dokiem("deliver", "--collector", collector.url)
        device = json.loads(collector.request("GET", "/v1/devices")[1])[0]
        self.assertEqual((device["last_seq"], device["gaps"], device["dropped"]), (16, 0, stated["count"]))
        self.fill(9)
        self.run_once()
        self.assertEqual(sorted(self.records())[:2], [3, 4])
        self.assertGreater(sorted(self.records())[2], stated["last_seq"] + 1)
        self.verify_by_first_key(3, 4, 26)
        with self.assertRaises(AssertionError):
            self.verify_by_first_key(26)


if __name__ == "__main__":
    unittest.main()
