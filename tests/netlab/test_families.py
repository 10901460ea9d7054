#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Which interface and which address family a run really uses, by the interfaces' own counters.
test_families.py BUILD_FOLDER

    agent ──wan0── server      the default route
    agent ──wan1── server      the other
"""
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import netlab

BUILD = ""
NAME = "reference.test"
OTHER = "10.77.3.1", "10.77.3.2"


def program(path):
    return os.path.join(BUILD, path)


class Families(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.state = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="dokiem-state-"))
        netlab.run(program("agent/dokiem"), "keygen", "--state", cls.state)
        cls.lab = lab = cls.enterClassContext(netlab.Lab(40_000_000))
        lab._join(lab.agent, "wan1", OTHER[0], lab.server, "wan1", OTHER[1], shaped=True)
        lab.agent.run("ip", "route", "add", "default", "via", OTHER[1], "dev", "wan1", "metric", "100")
        for node, address in ((lab.agent, netlab.AGENT6), (lab.server, netlab.SERVER6)):
            node.run("ip", "address", "add", address + "/64", "dev", "wan0", "nodad")
        for node, peer in ((lab.agent, netlab.SERVER6), (lab.server, netlab.AGENT6)):
            node.run("ip", "-6", "route", "add", peer + "/128", "dev", "wan0")
        lab.agent.run("ip", "link", "add", "bare0", "type", "veth", "peer", "name", "down0")
        lab.agent.run("ip", "link", "set", "bare0", "up")
        hosts = os.path.join(cls.state, "hosts")
        with open(hosts, "w", encoding="ascii") as file:
            file.write(f"{netlab.SERVER} {NAME}\n{netlab.SERVER6} {NAME}\n")
        lab.agent.run("mount", "--bind", hosts, "/etc/hosts")
        cls.enterClassContext(netlab.Service(
            lab.server, [program("probes/dokiem-reference"), "--http", f"[::]:{netlab.HTTP_PORT}", "--stamp",
                         f"[::]:{netlab.STAMP_PORT}"], tcp=(netlab.HTTP_PORT,), udp=(netlab.STAMP_PORT,)))

    def counters(self):
        return {name: sum(int(self.lab.agent.run("cat", f"/sys/class/net/{name}/statistics/{way}_packets").stdout)
                          for way in ("rx", "tx")) for name in ("wan0", "wan1")}

    def measure(self, *options, host=NAME, status=0):
        """The record, and the packets that each interface carried meanwhile."""
        before = self.counters()
        done = self.lab.agent.run(program("agent/dokiem"), "run", "--server", f"http://{host}:{netlab.HTTP_PORT}",
                                  "--stamp", f"{host}:{netlab.STAMP_PORT}", "--duration", "1", "--format", "json",
                                  "--state", self.state, *options, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        after = self.counters()
        return json.loads(done.stdout), {name: after[name] - before[name] for name in before}

    def check(self, record, packets, interface, address):
        other = {"wan0": "wan1", "wan1": "wan0"}[interface]
        for figures in (record["download"], record["upload"], record["latency"]["idle"]):
            self.assertEqual(figures["status"], "ok", figures)
        self.assertEqual(record["latency"]["idle"]["method"], "stamp")
        self.assertEqual(record["link"]["interface"], interface)
        self.assertEqual(record["server"]["address"], address)
        self.assertEqual(record["download"]["conditions"]["interface"], interface)
        self.assertGreater(packets[interface], 200)
        # Neighbour discovery and what was on its way from the run before, at most; 50 STAMP packets were answered.
        self.assertLess(packets[other], 60)

    def test_the_route_chooses(self):
        self.check(*self.measure(host=netlab.SERVER), "wan0", netlab.SERVER)

    def test_an_interface_is_asked_for(self):
        self.check(*self.measure("--interface", "wan1", "-4"), "wan1", netlab.SERVER)
        self.check(*self.measure("--interface", "wan0", "-4"), "wan0", netlab.SERVER)

    def test_a_family_is_asked_for(self):
        self.check(*self.measure("-4"), "wan0", netlab.SERVER)
        self.check(*self.measure("-6"), "wan0", netlab.SERVER6)
        self.check(*self.measure("-6", "--interface", "wan0", host=f"[{netlab.SERVER6}]"), "wan0", netlab.SERVER6)

    def run_both(self, *options, host=NAME, status=0):
        """The two records."""
        done = self.lab.agent.run(program("agent/dokiem"), "run", "--server", f"http://{host}:{netlab.HTTP_PORT}",
                                  "--stamp", "off", "--duration", "1", "--format", "json", "--state", self.state,
                                  "--technology", "5g", *options, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_both_families_are_two_runs(self):
        for asked, options in ((("download", "upload"), ("-6", "-4")), ((), ("--family", "both", "--only", "latency"))):
            first, second = self.run_both(*options)
            self.assertEqual(first["server"]["address"], netlab.SERVER)
            self.assertEqual(second["server"]["address"], netlab.SERVER6)
            self.assertEqual(second["seq"], first["seq"] + 1)
            for record in (first, second):
                for figures in (*[record[name] for name in asked], record["latency"]["idle"]):
                    self.assertEqual(figures["status"], "ok", figures)
                # 40 Mb/s is no 5G.
                self.assertEqual(record["verdict"]["outcome"], "fail" if asked else "not_applicable")

    def test_of_both_families_the_worse_counts(self):
        for host, failed in ((netlab.SERVER, 1), (f"[{netlab.SERVER6}]", 0)):
            records = self.run_both("-4", "-6", "--check", "--only", "latency,download", host=host, status=69)
            self.assertEqual(records[failed]["kind"], "failed")
            self.assertEqual(records[1 - failed]["kind"], "measurement")
            self.assertEqual(records[1 - failed]["verdict"]["outcome"], "fail")
        self.run_both("-4", "-6", "--check", "--only", "download", status=1)

    def test_what_cannot_be_used_is_said(self):
        for options, host, reason in (
                (["--interface", "nope0"], NAME, "there is no interface 'nope0'"),
                (["--interface", "down0"], NAME, "the interface down0 is down"),
                (["--interface", "bare0"], NAME, "the interface bare0 has no IP address"),
                (["--interface", "wan1", "-6"], NAME, "the interface wan1 has no IPv6 address"),
                (["-6"], netlab.SERVER, "(IPv6 only)"),
                (["-4"], f"[{netlab.SERVER6}]", "(IPv4 only)")):
            with self.subTest(options=options):
                record, packets = self.measure(*options, host=host, status=69)
                self.assertEqual(record["kind"], "failed")
                self.assertIn(reason, record["reason"])
                self.assertEqual(record["server"]["status"], "failed")
                self.assertLess(sum(packets.values()), 60)

    def test_what_can_be_had_here(self):
        done = self.lab.agent.run(program("agent/dokiem"), "capabilities", "--format", "json")
        said = json.loads(done.stdout)
        self.assertEqual(said["calibration"]["status"], "ok", said)
        self.assertGreater(said["calibration"]["download_rate_bps"], 10_000_000)
        for row in said["probes"] + said["system"]:
            self.assertTrue(row["available"], row)


if __name__ == "__main__":
    netlab.enter()
    BUILD = sys.argv.pop(1)
    unittest.main(verbosity=2)
