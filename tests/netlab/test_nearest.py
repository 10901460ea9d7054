#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Which of several servers is used, by distances that are known. test_nearest.py DOKIEM DOKIEM_REFERENCE LINK_EMULATOR

    agent (server "near") ──30 ms── server (servers "far" and "as-far")
"""
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import netlab

PROGRAMS = {}
MS = 1_000_000
ONE_WAY = {"delay_us": 15_000}
PORTS = {"far": 8081, "as-far": 8082}


class Nearest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.state = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="dokiem-state-"))
        netlab.run(PROGRAMS["dokiem"], "keygen", "--state", cls.state)
        cls.lab = cls.enterClassContext(
            netlab.EmulatedLab(down=ONE_WAY, up=ONE_WAY, program=PROGRAMS["emulator"]))
        for port in PORTS.values():
            cls.enterClassContext(cls.reference(cls.lab.server, port))
        cls.config = os.path.join(cls.state, "dokiem.ini")
        with open(cls.config, "w", encoding="ascii") as file:
            for name, port in PORTS.items():
                file.write(f"[server {name}]\nurl = http://{netlab.SERVER}:{port}\nstamp = off\n")
            file.write(f"[server near]\nurl = http://127.0.0.1:{netlab.HTTP_PORT}\nstamp = off\n[latency]\ncount = 3\n")

    @staticmethod
    def reference(node, port):
        return netlab.Service(node, [PROGRAMS["reference"], "--http", f"0.0.0.0:{port}", "--stamp",
                                     f"0.0.0.0:{port + 1000}"], tcp=(port,))

    def measure(self, *options):
        done = self.lab.agent.run(PROGRAMS["dokiem"], "run", "--config", self.config, "--state", self.state, "--format",
                                  "json", "--only", "latency", *options)
        server = json.loads(done.stdout)["server"]
        return server, {each["name"]: each for each in server.get("candidates", [])}

    def test_the_nearest_that_answers(self):
        with self.reference(self.lab.agent, netlab.HTTP_PORT):
            server, candidates = self.measure()
            self.assertEqual(server["name"], "near")
            for name in PORTS:
                self.assertEqual(candidates[name]["status"], "ok")
                self.assertTrue(30 * MS <= candidates[name]["connect_ns"] <= 45 * MS, candidates)
            self.assertLess(candidates["near"]["connect_ns"], 5 * MS)
            # A server of the run before is no reason to go that far.
            self.measure("--server", "far")
            self.assertEqual(self.measure()[0]["name"], "near")
        server, candidates = self.measure()
        self.assertIn(server["name"], PORTS)
        self.assertEqual(candidates["near"]["status"], "failed")
        self.assertNotIn("connect_ns", candidates["near"])

    def test_a_series_stays_with_one_of_two_as_far(self):
        for name in PORTS:
            self.measure("--server", name)
            self.assertEqual([self.measure()[0]["name"] for _ in range(4)], [name] * 4)


if __name__ == "__main__":
    netlab.enter()
    PROGRAMS = dict(zip(("dokiem", "reference", "emulator"), (sys.argv.pop(1) for _ in range(3))))
    unittest.main(verbosity=2)
