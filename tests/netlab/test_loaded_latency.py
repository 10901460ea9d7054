#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Latency under load on a link whose queue is known: tbf with a queue of 50 ms. test_loaded_latency.py BUILD_FOLDER

An upload fills the queue before the agent's side of the link; every packet then waits in it. The truth is between the
queue that the link can hold and the least that keeps it busy.
"""
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden"))
import netlab
import recompute

BUILD = ""
QUEUE_MS = 50
# The shaper lets a burst through on top of what its queue holds, and a busy machine is late.
OVER_MS = 60


class LoadedLatency(unittest.TestCase):
    def measure(self, *extra):
        program = os.path.join(BUILD, "agent/dokiem")
        with tempfile.TemporaryDirectory(prefix="dokiem-state-") as state, \
                netlab.Lab(40_000_000, limit_ms=QUEUE_MS) as lab, \
                netlab.start_reference(lab.server, os.path.join(BUILD, "probes/dokiem-reference")):
            netlab.run(program, "keygen", "--state", state)
            done = lab.agent.run(program, "run", "--server", f"http://{netlab.SERVER}:{netlab.HTTP_PORT}", "--state",
                                 state, "--technology", "4g", "--duration", "4", "--format", "json", *extra,
                                 check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            record = json.loads(done.stdout)
            self.assertTrue(recompute.check_record(record, "record"))
            return record

    def check(self, latency, method):
        idle = latency["idle"]
        for phase in ("download", "upload"):
            loaded = latency[phase]
            print(f"  {method}, {phase}: {idle['rtt_median_ns'] / 1e6:.2f} ms idle,"
                  f" {loaded['rtt_median_ns'] / 1e6:.2f} ms loaded, {loaded['sent']} sent, {loaded['lost']} lost",
                  flush=True)
            self.assertEqual((loaded["status"], loaded["method"]), ("ok", method), loaded)
            self.assertEqual(loaded["sent"], loaded["received"] + loaded["lost"])
            # 3.2 s of a 4 s test, every 50 ms; HTTP cannot ask again before the last answer.
            self.assertGreater(loaded["sent"], 25)
            self.assertLessEqual(loaded["sent"], 65)
            self.assertGreater(loaded["rtt_median_ns"], idle["rtt_median_ns"] + 3_000_000)
            self.assertLess(loaded["rtt_median_ns"], (QUEUE_MS + OVER_MS) * 1_000_000)
        self.assertLess(idle["rtt_median_ns"], 5_000_000)

    def test_stamp(self):
        self.check(self.measure("--stamp", f"{netlab.SERVER}:{netlab.STAMP_PORT}")["latency"], "stamp")

    def test_http(self):
        self.check(self.measure("--latency-method", "http")["latency"], "http")

    def test_tcp(self):
        self.check(self.measure("--latency-method", "tcp")["latency"], "tcp")

    def test_the_first_that_works_is_icmp_without_a_reflector(self):
        self.check(self.measure()["latency"], "icmp")

    def test_only_what_was_asked_for(self):
        record = self.measure("--stamp", "off", "--only", "latency")
        for phase in ("download", "upload"):
            self.assertEqual(record["latency"][phase]["status"], "not_measured")
            self.assertIn("there was no", record["latency"][phase]["reason"])
        record = self.measure("--stamp", "off", "--only", "download")
        self.assertEqual({p: record["latency"][p]["reason"] for p in record["latency"]},
                         dict.fromkeys(("idle", "download", "upload", "gateway"), "not asked for"))


if __name__ == "__main__":
    netlab.enter()
    BUILD = sys.argv.pop(1)
    unittest.main(verbosity=2)
